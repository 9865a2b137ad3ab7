import { EventEmitter } from 'node:events';
import {
  checkFunction,
  checkKey,
  checkKeys,
  checkNames,
  checkOptions,
  checkSeconds,
  engineOptions,
  inDomain,
  kindOf,
  type Names,
  setCall,
  storing,
} from './cache/arguments.js';
import { CacheEngine } from './cache/engine.js';
import type { HotView } from './cache/hot-view.js';
import { CacheReader } from './cache/reader.js';
import { encode, type Serializer } from './cache/values.js';
import { openConnection } from './connection.js';
import {
  ConnectionError,
  invalidArgument,
  invalidOption,
  OverloadedError,
  ReplyError,
  TimeoutError,
} from './errors.js';
import { ServiceEmitter } from './service-emitter.js';
import type * as types from './types/cache-types.js';
import type { ConnectionState } from './types/redis-config.js';

type Awaitable<T> = T | PromiseLike<T>;

/** Life of what `get(key, fetcher)` stores, in seconds. */
const FETCHER_TTL = 300;
/** Errors of Redis that are told in a second; more are counted by nobody, the first ones say it all. */
const ERRORS_A_SECOND = 10;

/**
 * A cache in two levels: copies in this process, entries in Redis.
 *
 * A read looks into the process first. A value that this process changed, from whichever thread, is never seen again; one
 * that another process (or anything else that writes to Redis) changed ends within milliseconds, because the server tells
 * of it. Where it does not ({@link health} says `coherent: false`), a copy may be `level1.ttl` seconds old. A load or a
 * factory that began before its key was written or invalidated does not bring the old value back.
 *
 * Values are what JSON makes of them (a `Date` comes back as a string, from the first read on), stored as plain JSON that
 * other clients can read; entries with tags have a line in front. `null` and `undefined` are no values: a factory that
 * returns one stores nothing, and setting one deletes the key. `false`, `0` and `''` are values.
 *
 * Redis may be away at any time: reads then find nothing, at once, and factories run (their values are kept in the
 * process); writes wait for it up to `commandTimeout`. See `onError`.
 *
 * @example
 * const cache = new CacheService({ redis: { url: 'redis://127.0.0.1:6379' }, prefix: 'shop:' });
 * const user = await cache.getOrSet(`user:${id}`, () => db.findUser(id), { ttl: 600, tags: [`team:${teamId}`] });
 * await cache.invalidateByTag(`team:${teamId}`);
 */
export class CacheService<
    Ttls extends Record<string, number> = Record<string, number>,
    Domains extends Record<string, types.CacheDomainOptions> = Record<string, types.CacheDomainOptions>,
  >
  extends ServiceEmitter<types.CacheEvents>
  implements AsyncDisposable
{
  readonly #engine: CacheEngine;
  readonly #reader: CacheReader;
  readonly #hot: HotView;
  readonly #names: Names;
  readonly #throws: boolean;
  readonly #serializer: Serializer;
  /** Whether there may be listeners of `hit`: asking the emitter would cost a tenth of a hit. */
  #hearsHits = false;
  #errorsUntil = 0;
  #errors = 0;

  /**
   * Does not wait for the server.
   *
   * @throws `ERR_INVALID_OPTION` for an option that is unknown or wrong.
   */
  constructor(options: types.CacheOptions<Ttls, Domains> = {}) {
    super();
    if (typeof options !== 'object' || options === null) throw invalidOption('options', kindOf(options), 'an object');
    const { redis = {}, onError = 'swallow', clone = false, ttls = {}, domains = {}, ...engine } = options;
    this.#serializer = engine.serializer ?? 'json';
    if (onError !== 'swallow' && onError !== 'throw')
      throw invalidOption('onError', `\`${onError}\``, '`swallow`, `throw`');
    if (typeof clone !== 'boolean') throw invalidOption('clone', kindOf(clone), 'a boolean');
    this.#names = checkNames({ ttls, domains });
    this.#throws = onError === 'throw';
    const connection = openConnection(redis, {
      state: (state) => this.fire('state', state),
      error: (error) => this.#tell(error),
    });
    try {
      this.#engine = new CacheEngine(connection, engineOptions(engine), (error) => this.#tell(error));
    } catch (error) {
      connection.close();
      throw error;
    }
    this.#reader = new CacheReader(
      this.#engine,
      { clone, serializer: this.#serializer },
      {
        unreadable: (error) => this.#tell(error),
        hit: (key, level) => this.#hearsHits && this.#hit(key, level),
        miss: (key) => this.listenerCount('miss') > 0 && this.fire('miss', { key }),
        stored: (key) => this.#stored(key),
        failed: (error) => this.#failed(error),
      },
    );
    this.#hot = this.#reader.hot;
    this.#notice();
  }

  /** What the connection is doing. */
  get state(): ConnectionState {
    return this.#engine.state;
  }

  /**
   * The value of a key, `null` without one. With `{ parse: false }`, the stored text; with a fetcher, what it returns when
   * there is no value, stored for `ttl` seconds (300 by default); with a domain of the option `domains`, the value of an id.
   */
  get<T = unknown>(key: string): Promise<T | null>;
  get<T = string>(key: string, options: types.CacheGetOptions): Promise<T | null>;
  get<T>(key: string, fetcher: () => Awaitable<T>, ttl?: number): Promise<T>;
  get<T = unknown>(domain: keyof Domains & string, id: string | number): Promise<T | null>;
  get(key: string, second?: unknown, ttl: number = FETCHER_TTL): Promise<any> {
    if (second === undefined) {
      const entry = this.#hot.get(key);
      if (entry !== undefined) {
        if (this.#hearsHits) this.#hit(key, 1);
        return entry.text === undefined ? entry.promise : this.#reader.promiseOf(entry);
      }
    } else if (typeof second === 'function') {
      return this.getOrSet(key, second as () => unknown, ttl);
    }
    return this.#get(key, second);
  }

  async #get(key: string, second: unknown): Promise<unknown> {
    if (typeof second === 'string' || typeof second === 'number') {
      return this.#reader.get(inDomain(key, second, this.#names).key);
    }
    checkKey(key);
    if (second === undefined) return this.#reader.get(key);
    checkOptions(second, ['parse']);
    return (second as types.CacheGetOptions).parse === false ? this.#reader.getText(key) : this.#reader.get(key);
  }

  /**
   * The value of a key; without one, what `factory` returns, stored for the next. However many callers ask at once, one
   * factory runs in this thread, and all get its value or its error.
   *
   * Resolves at once for a value that this thread read lately: the promise that it returns is then always the same.
   */
  getOrSet<T>(
    key: string,
    factory: () => Awaitable<T>,
    ttlOrOptions?: number | types.CacheEntryOptions<keyof Ttls & string>,
  ): Promise<T> {
    const entry = this.#hot.get(key);
    if (entry !== undefined) {
      if (this.#hearsHits) this.#hit(key, 1);
      return (entry.text === undefined ? entry.promise : this.#reader.promiseOf(entry)) as Promise<T>;
    }
    return this.#getOrSet(key, factory, ttlOrOptions) as Promise<T>;
  }

  #getOrSet(key: string, factory: () => unknown, options: unknown): Promise<unknown> {
    try {
      checkKey(key);
      checkFunction(factory, 'factory');
      return this.#reader.getOrSet(key, factory, storing(options, this.#names));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** A function that caches what `fn` returns, under the key that `keyFactory` makes of the same arguments. */
  wrap<Fn extends (...args: any[]) => unknown>(
    keyFactory: (...args: Parameters<Fn>) => string,
    fn: Fn,
    ttlOrOptions?: number | types.CacheEntryOptions<keyof Ttls & string>,
  ): (...args: Parameters<Fn>) => Promise<Awaited<ReturnType<Fn>>> {
    checkFunction(keyFactory, 'keyFactory');
    checkFunction(fn, 'fn');
    storing(ttlOrOptions, this.#names);
    return async (...args) => this.getOrSet<any>(keyFactory(...args), () => fn(...args), ttlOrOptions);
  }

  /**
   * Stores a value. With `nx` or `xx`, resolves to whether it did. `ttl` is in seconds; without one, `defaultTtl` holds.
   *
   * @throws `ERR_NOT_SERIALIZABLE`, `ERR_CACHE_KEY_TOO_LONG`, `ERR_CACHE_VALUE_TOO_LARGE`, `ERR_INVALID_ARGUMENT`
   */
  set<T>(
    key: string,
    value: T,
    options: types.CacheSetOptions<keyof Ttls & string> & ({ nx: true } | { xx: true }),
  ): Promise<boolean>;
  set<T>(key: string, value: T, ttlOrOptions?: number | types.CacheSetOptions<keyof Ttls & string>): Promise<void>;
  set<T>(params: types.CacheSetParams<T, keyof Ttls & string>): Promise<void>;
  set<T>(
    domain: keyof Domains & string,
    id: string | number,
    value: T,
    options: types.CacheEntryOptions<keyof Ttls & string>,
  ): Promise<void>;
  async set(...args: unknown[]): Promise<any> {
    const { key, value, ttl, tags, condition } = setCall(args, this.#names);
    const conditional = condition !== undefined;
    if (value === undefined || value === null) {
      const deleted = condition === 'NX' ? false : await this.delete(key);
      return conditional ? deleted : undefined;
    }
    const text = encode(key, value, this.#serializer);
    const written = await this.#attempt(this.#engine.set({ key, text, ttl, tags }, condition), false);
    if (written) this.#stored(key);
    return conditional ? written : undefined;
  }

  /** Removes a key; resolves to whether there was one. */
  async delete(key: string): Promise<boolean> {
    checkKey(key);
    return (await this.#delete([key])) > 0;
  }

  /** {@link delete} without its answer. */
  async del(key: string): Promise<void> {
    await this.delete(key);
  }

  /** Removes keys in one round trip; resolves to how many there were. */
  async mdel(keys: readonly string[]): Promise<number> {
    checkKeys(keys);
    return this.#delete(keys);
  }

  /** {@link mdel} without its answer. */
  async delMany(keys: readonly string[]): Promise<void> {
    await this.mdel(keys);
  }

  /** Removes a key. */
  async invalidateKey(key: string): Promise<void> {
    await this.delete(key);
  }

  /** Whether there is a value, as Redis knows it. */
  async exists(key: string): Promise<boolean> {
    checkKey(key);
    return this.#attempt(this.#engine.exists(key), false);
  }

  /**
   * Adds to a number and resolves to the new one. It begins at 0, and an entry that this makes never expires; one that was
   * there keeps its expiry. Resolves to `NaN` when Redis failed and `onError` is `swallow`.
   *
   * @throws `ERR_REPLY` when the value is no integer
   */
  async increment(key: string, by = 1): Promise<number> {
    checkKey(key);
    if (!Number.isSafeInteger(by)) {
      throw invalidArgument('by', typeof by === 'number' ? String(by) : kindOf(by), 'a whole number below 2^53');
    }
    try {
      return await this.#engine.increment(key, by);
    } catch (error) {
      if (error instanceof ReplyError) throw error;
      this.#failed(error);
      return Number.NaN;
    }
  }

  /** {@link increment} by `-by`. */
  async decrement(key: string, by = 1): Promise<number> {
    return this.increment(key, typeof by === 'number' ? -by : by);
  }

  /** Gives an entry a new life in seconds; resolves to whether there is one. */
  async expire(key: string, seconds: number): Promise<boolean> {
    checkKey(key);
    checkSeconds(seconds, 'seconds');
    return this.#attempt(this.#engine.expire(key, seconds), false);
  }

  /** Seconds until an entry expires: -1 when it never does, -2 when there is none. */
  async ttl(key: string): Promise<number> {
    checkKey(key);
    return this.#attempt(this.#engine.ttl(key), -2);
  }

  /** The values of keys, in their order, `null` for each without one. Redis is asked once, for what this process has not. */
  async mget<T = unknown>(keys: readonly string[]): Promise<(T | null)[]> {
    checkKeys(keys);
    return this.#reader.getMany(keys) as Promise<(T | null)[]>;
  }

  /** Stores values in one round trip; all are checked before any is written. */
  async mset(entries: readonly { key: string; value: unknown; ttl?: number }[]): Promise<void> {
    if (!Array.isArray(entries)) throw invalidArgument('entries', kindOf(entries), 'an array');
    const calls = entries.map((entry) => {
      checkOptions(entry, ['key', 'value', 'ttl']);
      return setCall([entry], this.#names);
    });
    const isValue = ({ value }: { value: unknown }) => value !== undefined && value !== null;
    const writes = calls
      .filter(isValue)
      .map((call) => ({ ...call, text: encode(call.key, call.value, this.#serializer) }));
    const deleted = calls.filter((call) => !isValue(call)).map(({ key }) => key);
    const written =
      writes.length === 0
        ? true
        : this.#attempt(
            this.#engine.setMany(writes).then(() => true),
            false,
          );
    await Promise.all([written, deleted.length === 0 ? 0 : this.#delete(deleted)]);
    if (await written) for (const { key } of writes) this.#stored(key);
  }

  /** The value that this process has of a key, `null` without one. Asks nobody. */
  async getLocal<T = unknown>(key: string): Promise<T | null> {
    checkKey(key);
    return ((await this.#reader.local(key)) ?? null) as T | null;
  }

  /** The value of a key in Redis, whatever this process has. */
  async getRedis<T = unknown>(key: string): Promise<T | null> {
    checkKey(key);
    return this.#reader.getRemote(key) as Promise<T | null>;
  }

  /**
   * Removes the entries whose keys match a pattern: `*`, `?`, `[ab]`, and `\` before a character that means itself.
   * Resolves to how many there were. Walks the whole database in slices and empties level 1: tags are cheaper.
   */
  async deletePattern(pattern: string): Promise<number> {
    checkKey(pattern, 'pattern');
    const count = await this.#attempt(this.#engine.deletePattern(pattern), 0);
    this.#invalidated({ count, pattern });
    return count;
  }

  /** {@link deletePattern} without its answer. */
  async delPattern(pattern: string): Promise<void> {
    await this.deletePattern(pattern);
  }

  /** The same as {@link deletePattern}. */
  invalidatePattern(pattern: string): Promise<number> {
    return this.deletePattern(pattern);
  }

  /**
   * Invalidates the entries that carry a tag, in one round trip however many they are. Resolves to about how many keys were
   * written under the tag since it was last invalidated: counted by a HyperLogLog, which is off by 1 % where there are
   * thousands; keys that expired or were deleted meanwhile count too.
   */
  invalidateByTag(tag: string): Promise<number> {
    return this.invalidateTags([tag]);
  }

  /** {@link invalidateByTag} for several tags at once. */
  async invalidateTags(tags: readonly string[]): Promise<number> {
    checkKeys(tags, 'tags');
    const count = await this.#attempt(this.#engine.invalidateTags(tags), 0);
    this.#invalidated({ count, tags });
    return count;
  }

  /**
   * Removes everything under the prefix of this cache, and nothing else.
   *
   * @throws `ERR_INVALID_OPTION` when the prefix is empty
   */
  async flush(): Promise<void> {
    await this.#flush();
  }

  /** Removes the entries whose keys begin with `namespace:`, or all; resolves to how many there were. */
  async clear(namespace?: string): Promise<number> {
    if (namespace === undefined) return this.#flush();
    checkKey(namespace, 'namespace');
    const count = await this.#attempt(this.#engine.clear(namespace), 0);
    this.#invalidated({ count, namespace });
    return count;
  }

  /** Hits and misses of this service, and what the cache holds. Counting the keys takes time in a large database. */
  async getStats(): Promise<types.CacheStats> {
    const { level1Hits, level2Hits, misses } = this.#reader;
    const [keyCount, complete] = await this.#attempt(this.#engine.count(), [0, false] as [number, boolean]);
    const [localCount, memoryUsed] = this.#engine.localSize;
    const rate = (hits: number, missed: number) => (hits === 0 ? 0 : hits / (hits + missed));
    const asked = level2Hits + misses;
    return {
      hits: level1Hits + level2Hits,
      misses,
      hitRate: rate(level1Hits + level2Hits, misses),
      keyCount,
      memoryUsed,
      levels: {
        level1: { hits: level1Hits, misses: asked, hitRate: rate(level1Hits, asked), keyCount: localCount, memoryUsed },
        level2: { hits: level2Hits, misses, hitRate: rate(level2Hits, misses), keyCount, complete },
      },
    };
  }

  /** Asks the server for a sign of life; resolves to `PONG`, rejects whatever `onError` says. */
  ping(): Promise<string> {
    return this.#engine.ping();
  }

  /** How the cache is. Never rejects. */
  async health(): Promise<types.CacheHealth> {
    const started = performance.now();
    try {
      await this.#engine.ping();
      const { state, followsChanges: coherent } = this.#engine;
      return { status: 'healthy', state, coherent, latencyMs: performance.now() - started };
    } catch (error) {
      return { status: 'degraded', state: this.state, coherent: false, error: error as Error };
    }
  }

  /** Refuses new calls with `ERR_CLOSED`, waits for those in flight, and leaves the connection. Closing twice is safe. */
  close(): Promise<void> {
    const closed = this.#engine.close();
    this.#reader.hot.clear();
    return closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  override removeAllListeners(event?: string | symbol): this {
    if (event === undefined) super.removeAllListeners();
    else super.removeAllListeners(event);
    if (event === undefined || event === 'newListener') this.#notice();
    return this;
  }

  protected override describe(): string {
    return `cache on ${this.#engine.describe}`;
  }

  async #delete(keys: readonly string[]): Promise<number> {
    const count = await this.#attempt(this.#engine.deleteMany(keys), 0);
    if (this.listenerCount('delete') > 0) for (const key of keys) this.fire('delete', { key });
    return count;
  }

  async #flush(): Promise<number> {
    const count = await this.#attempt(this.#engine.flush(), 0);
    this.#invalidated({ count, all: true });
    return count;
  }

  /** Has the emitter say when somebody wants to hear of hits. */
  #notice(): void {
    EventEmitter.prototype.on.call(this, 'newListener', (event: unknown) => {
      if (event === 'hit') this.#hearsHits = true;
    });
  }

  #hit(key: string, level: 1 | 2): void {
    if (this.listenerCount('hit') > 0) this.fire('hit', { key, level });
    else this.#hearsHits = false;
  }

  #stored(key: string): void {
    if (this.listenerCount('set') > 0) this.fire('set', { key });
  }

  #invalidated(event: types.CacheEvents['invalidate'][0]): void {
    if (this.listenerCount('invalidate') > 0) this.fire('invalidate', event);
  }

  async #attempt<T>(outcome: Promise<T>, otherwise: T): Promise<T> {
    try {
      return await outcome;
    } catch (error) {
      this.#failed(error);
      return otherwise;
    }
  }

  /** Throws what the caller did wrong, or what it wants to hear; reports the rest. */
  #failed(error: unknown): void {
    const ofRedis =
      error instanceof ConnectionError ||
      error instanceof TimeoutError ||
      error instanceof ReplyError ||
      error instanceof OverloadedError;
    if (!ofRedis) throw error;
    this.#tell(error);
    if (this.#throws) throw error;
  }

  #tell(error: Error): void {
    const now = performance.now();
    if (now > this.#errorsUntil) {
      this.#errorsUntil = now + 1000;
      this.#errors = 0;
    }
    if (this.#errors++ < ERRORS_A_SECOND) this.fire('error', error);
  }
}
