import { EventEmitter } from 'node:events';
import { checkFunction, checkOptions } from './arguments.js';
import {
  checkKey,
  checkKeys,
  checkNames,
  checkPrefixes,
  checkSeconds,
  engineOptions,
  type Names,
  setCall,
  withPriorities,
} from './cache/arguments.js';
import { DomainEntries, type DomainHost } from './cache/domain-entries.js';
import { CacheEngine } from './cache/engine.js';
import { CacheFailures } from './cache/failures.js';
import type { Factory } from './cache/flights.js';
import type { HotView } from './cache/hot-view.js';
import { type Invalidated, invalidateAll, resolveInvalidation, resourceInvalidation } from './cache/invalidating.js';
import { bulkMaking, making, PLAIN } from './cache/making.js';
import { CacheReader } from './cache/reader.js';
import { refreshExpiringKeys } from './cache/refreshing.js';
import { ScheduledInvalidations } from './cache/scheduled-invalidations.js';
import { Statistics } from './cache/statistics.js';
import { statsQuery, statsReport } from './cache/stats-report.js';
import { encode, type Serializer } from './cache/values.js';
import { warm } from './cache/warming.js';
import { openConnection } from './connection.js';
import { invalidArgument, invalidOption, ReplyError } from './errors.js';
import { kindOf } from './kind-of.js';
import { ServiceEmitter } from './service-emitter.js';
import type * as domains from './types/cache-domain-types.js';
import { InvalidationStrategy } from './types/cache-domain-types.js';
import type * as types from './types/cache-types.js';
import type { ConnectionState } from './types/redis-config.js';

type Awaitable<T> = T | PromiseLike<T>;

/** Life of what `get(key, fetcher)` stores, in seconds. */
const FETCHER_TTL = 300;
/** Where what a cache without level 2 has to do later is kept. */
const IN_THIS_PROCESS = { url: 'memory://cache-agendas' } as const;

/**
 * A cache in two levels: copies in this process, entries in Redis.
 *
 * A read looks into the process first. A value that this process changed, from whichever thread, is never seen again; one
 * that another process (or anything else that writes to Redis) changed ends within milliseconds, because the server tells
 * of it, or, where that refuses to, the other caches do. Where nobody does ({@link health} says `coherent: false`), a copy
 * may be `level1.ttl` seconds old. A load or a
 * factory that began before its key was written or invalidated does not bring the old value back.
 *
 * Values are what JSON makes of them (a `Date` comes back as a string, from the first read on), stored as plain JSON that
 * other clients can read; entries with tags have a line in front. `null` and `undefined` are no values: a factory that
 * returns one stores nothing, and setting one deletes the key. `false`, `0` and `''` are values.
 *
 * Redis may be away at any time: reads then find nothing, at once, and factories run (their values are kept in the
 * process); writes wait for it up to `commandTimeout`. What it then missed is made up for, by removing it, when it is back and
 * before it is read again. See `onError` and `level2`.
 *
 * @example
 * const cache = new CacheService({ redis: { url: 'redis://127.0.0.1:6379' }, prefix: 'shop:' });
 * const user = await cache.getOrSet(`user:${id}`, () => db.findUser(id), { ttl: 600, tags: [`team:${teamId}`] });
 * await cache.invalidateByTag(`team:${teamId}`);
 */
export class CacheService<
    Ttls extends Record<string, number> = Record<string, number>,
    Domains extends Record<string, domains.CacheDomainOptions> = Record<string, domains.CacheDomainOptions>,
  >
  extends ServiceEmitter<types.CacheEvents>
  implements AsyncDisposable
{
  readonly #engine: CacheEngine;
  readonly #reader: CacheReader;
  readonly #hot: HotView;
  readonly #names: Names;
  readonly #serializer: Serializer;
  readonly #prefixes: Readonly<Record<string, string>>;
  readonly #domains: DomainEntries;
  readonly #statistics: Statistics;
  readonly #scheduled: ScheduledInvalidations;
  readonly #failures: CacheFailures;
  readonly #host: DomainHost = {
    local: (key) => this.#reader.local(key),
    get: (key) => this.#reader.get(key),
    getOrSet: (key, factory, storing) => {
      checkKey(key);
      return this.#reader.getOrSet(key, factory, { ...PLAIN, ...storing });
    },
    set: (key, value, storing) => this.set(key, value, storing),
    delete: (key) => this.delete(key),
    writeFailed: (failure) => this.#writeFailed(failure),
  };
  /** Whether there may be listeners of `hit`: asking the emitter would cost a tenth of a hit. */
  #hearsHits = false;
  #closing: Promise<void> | undefined;

  /**
   * Does not wait for the server.
   *
   * @throws `ERR_INVALID_OPTION` for an option that is unknown or wrong.
   */
  constructor(options: types.CacheOptions<Ttls, Domains> = {}) {
    super();
    if (typeof options !== 'object' || options === null) throw invalidOption('options', kindOf(options), 'an object');
    const { redis: server = {}, onError = 'swallow', clone = false, ttls = {}, domains = {}, ...engine } = options;
    this.#serializer = engine.serializer ?? 'json';
    if (onError !== 'swallow' && onError !== 'throw')
      throw invalidOption('onError', `\`${onError}\``, '`swallow`, `throw`');
    if (typeof clone !== 'boolean') throw invalidOption('clone', kindOf(clone), 'a boolean');
    this.#names = checkNames({ ttls, domains });
    const level1 = withPriorities(engine.level1, this.#names);
    this.#failures = new CacheFailures(onError === 'throw', (error) => this.fire('error', error));
    // Without level 2 there is no server, and what is to be done later waits in this process.
    const redis = engine.level2?.enabled === false ? IN_THIS_PROCESS : server;
    const connection = openConnection(redis, {
      state: (state) => this.fire('state', state),
      error: (error) => this.#failures.tell(error),
    });
    const { prefixes = {}, ...level2 } = engine.level2 ?? {};
    this.#prefixes = checkPrefixes(prefixes);
    try {
      this.#engine = new CacheEngine(
        connection,
        engineOptions({ ...engine, level1, level2: engine.level2 && level2 }),
        {
          error: (error) => this.#failures.tell(error),
          circuit: (state) => this.listenerCount('circuit') > 0 && this.fire('circuit', state),
        },
      );
    } catch (error) {
      connection.close();
      throw error;
    }
    this.#reader = new CacheReader(
      this.#engine,
      { clone, serializer: this.#serializer },
      {
        unreadable: (error) => this.#failures.tell(error),
        hit: (key, level) => this.#hearsHits && this.#hit(key, level),
        miss: (key) => this.listenerCount('miss') > 0 && this.fire('miss', { key }),
        stored: (key) => this.#stored(key),
        sourceFailed: (error) => this.#failures.tell(error instanceof Error ? error : new Error(String(error))),
        failed: (error) => this.#failures.take(error),
      },
    );
    this.#hot = this.#reader.hot;
    this.#statistics = new Statistics(
      Object.keys(domains),
      () => {
        const { level1Hits: level1, level2Hits: level2, level3Hits: level3, misses } = this.#reader;
        return { level1, level2, level3, misses };
      },
      connection.now,
    );
    const prefix = engine.prefix ?? 'cache:';
    const settings = { names: this.#names, statistics: this.#statistics, redis, prefix, serializer: this.#serializer };
    this.#domains = new DomainEntries(this.#host, settings);
    this.#scheduled = new ScheduledInvalidations(redis, prefix, (invalidation) =>
      this.#invalidateNow(resolveInvalidation(invalidation, this.#names)),
    );
    this.#notice();
  }

  /** What the connection is doing. */
  get state(): ConnectionState {
    return this.#engine.state;
  }

  /**
   * The value of a key, `null` without one. With `{ parse: false }`, the stored text; with a fetcher, what it returns when
   * there is no value, stored for `ttl` seconds (300 by default); with a domain of the option `domains`, the value of an id,
   * loaded by the domain's `load` if it has one.
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
    if (typeof second === 'string' || typeof second === 'number') return this.#domains.get(key, second);
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
    factory: (context: types.CacheFactoryContext<T>) => Awaitable<T>,
    ttlOrOptions?: number | types.CacheMakeOptions<keyof Ttls & string>,
  ): Promise<T> {
    const entry = this.#hot.get(key);
    if (entry !== undefined) {
      if (this.#hearsHits) this.#hit(key, 1);
      return (entry.text === undefined ? entry.promise : this.#reader.promiseOf(entry)) as Promise<T>;
    }
    return this.#getOrSet(key, factory, ttlOrOptions) as Promise<T>;
  }

  #getOrSet(key: string, factory: Factory, options: unknown): Promise<unknown> {
    try {
      checkKey(key);
      checkFunction(factory, 'factory');
      return this.#reader.getOrSet(key, factory, making(options, this.#names));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** A function that caches what `fn` returns, under the key that `keyFactory` makes of the same arguments. */
  wrap<Fn extends (...args: any[]) => unknown>(
    keyFactory: (...args: Parameters<Fn>) => string,
    fn: Fn,
    ttlOrOptions?: number | types.CacheMakeOptions<keyof Ttls & string>,
  ): (...args: Parameters<Fn>) => Promise<Awaited<ReturnType<Fn>>> {
    checkFunction(keyFactory, 'keyFactory');
    checkFunction(fn, 'fn');
    making(ttlOrOptions, this.#names);
    return async (...args) => this.getOrSet<any>(keyFactory(...args), () => fn(...args), ttlOrOptions);
  }

  /**
   * Stores a value. With `nx` or `xx`, resolves to whether it did. `ttl` is in seconds; without one, `defaultTtl` holds. With a
   * domain, its strategy says what becomes of the source; what the source throws reaches the caller.
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
    if (args.length > 3) return this.#domains.set(args[0], args[1], args[2], args[3]);
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

  /** Removes a key; resolves to whether there was one. With a domain, an id, which its `remove` takes from the source, too. */
  delete(key: string): Promise<boolean>;
  delete(domain: keyof Domains & string, id: string | number): Promise<boolean>;
  async delete(key: string, id?: string | number): Promise<boolean> {
    if (id !== undefined) return this.#domains.delete(key, id);
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
      this.#failures.take(error);
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

  /**
   * The values of keys, in their order. `loader` is called once, with the keys that are missing, and returns their values in
   * that order or as a `Map`; what it has not is `null`, and not stored. One round trip reads, one stores.
   */
  async getOrSetMany<T>(
    keys: readonly string[],
    loader: (missing: readonly string[]) => Awaitable<readonly (T | null | undefined)[] | ReadonlyMap<string, T>>,
    ttlOrOptions?: number | types.CacheBulkOptions<keyof Ttls & string>,
  ): Promise<(T | null)[]> {
    checkKeys(keys);
    checkFunction(loader, 'loader');
    return this.#reader.getOrSetMany(keys, loader, bulkMaking(ttlOrOptions, this.#names)) as Promise<(T | null)[]>;
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
    this.#invalidated({ count, pattern, strategy: InvalidationStrategy.MANUAL });
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
    this.#invalidated({ count, tags, strategy: InvalidationStrategy.TAG_BASED });
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
    this.#invalidated({ count, namespace, strategy: InvalidationStrategy.MANUAL });
    return count;
  }

  /**
   * Invalidates keys, tags and a pattern in one call, or a whole domain; resolves to about how many entries there were. Sources
   * hear nothing of it.
   */
  async invalidate(invalidation: domains.CacheInvalidation<keyof Domains & string>): Promise<number> {
    return this.#attempt(this.#invalidateNow(resolveInvalidation(invalidation, this.#names)), 0);
  }

  /**
   * Invalidates all that belongs to a resource: what carries the tag `resource:id`, the key made of the resource's prefix
   * (`level2.prefixes`, else its domain's, else its name and a colon) and the id, and below that prefix every key that has
   * the id as one of its parts, as in `user:profile:7:settings`. That walks the whole database in slices, once; the tag alone
   * is cheaper.
   */
  async invalidateResource(params: { resource: string; id: string | number }): Promise<void> {
    checkOptions(params, ['resource', 'id']);
    const { resource, id } = params;
    checkKey(resource, 'resource');
    if (typeof id !== 'number') checkKey(id, 'id');
    if (id === '') throw invalidArgument('id', 'empty', 'a string of at least one character');
    const known = Object.hasOwn(this.#names.domains, resource) ? this.#names.domains[resource]?.prefix : undefined;
    const prefix = this.#prefixes[resource] ?? known ?? `${resource}:`;
    const all = resourceInvalidation(prefix, resource, String(id));
    await this.#attempt(this.#invalidateNow(all, { resource, id: String(id) }), 0);
  }

  /**
   * Invalidates a key, tags or a pattern at a time, to the second. The order waits in Redis, at most 10,000 of them: it outlives this
   * process, and one of the processes that have this cache open then does it. Scheduling the same again moves its time.
   *
   * @throws `ERR_INVALID_ARGUMENT`; `ERR_OVERLOADED`, and what Redis gives, whatever `onError` says.
   */
  async scheduleInvalidation(invalidation: domains.ScheduledInvalidation): Promise<void> {
    await this.#scheduled.schedule(invalidation);
  }

  /**
   * Loads values before anyone asks for them, ten at a time unless told otherwise. A load that fails is told in the result and
   * keeps no other from running.
   */
  async warm<T = unknown>(options: domains.CacheWarmOptions<T>): Promise<domains.CacheWarmResult> {
    return warm(this.#host, this.#domains, this.#names, options);
  }

  /**
   * Gives entries that expire soon a new value and a new life. Looks for them in slices that do not hold up the server. A value
   * that somebody writes while `refresh` runs is replaced by the one that it returns.
   */
  async refreshExpiringKeys<T = unknown>(options: domains.CacheRefreshOptions<T>): Promise<domains.CacheRefreshResult> {
    return refreshExpiringKeys(this.#engine, this.#host, options);
  }

  /**
   * Writes what waits in write-behind domains, or in one of them, without waiting for newer values; resolves when nothing waits,
   * in no process. What waits for another attempt after a failure keeps its time.
   *
   * @param timeout Seconds; then it rejects with `ERR_WAIT_TIMED_OUT`, and what waits is written later. Default 30.
   */
  async flushWrites(domain?: keyof Domains & string, timeout = 30): Promise<void> {
    checkSeconds(timeout, 'timeout');
    await this.#domains.flushWrites(domain, timeout);
  }

  /**
   * Hits and misses of this service, and what the cache holds; of one domain: of the reads of its `(domain, id)` forms here. A
   * time is met by the minute, within the last day. Counting the keys takes time in a large database.
   */
  async getStats(
    query?: (keyof Domains & string) | domains.CacheStatsQuery<keyof Domains & string>,
  ): Promise<types.CacheStats> {
    const wanted = statsQuery(query, this.#names);
    const counting = this.#attempt(this.#engine.count(wanted.start), [0, false] as [number, boolean]);
    return statsReport(this.#engine, this.#statistics, wanted, counting);
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
      const { state, circuit, missed, followsChanges: coherent } = this.#engine;
      const status = circuit === 'closed' && missed === 0 ? 'healthy' : 'degraded';
      return { status, state, circuit, missed, coherent, latencyMs: performance.now() - started };
    } catch (error) {
      const { state, circuit, missed } = this.#engine;
      return { status: 'degraded', state, circuit, missed, coherent: false, error: error as Error };
    }
  }

  /** Refuses new calls with `ERR_CLOSED`, waits for those in flight, and leaves the connection. Closing twice is safe. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
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

  async #close(): Promise<void> {
    this.#statistics.close();
    // What is being done for sources and by schedule still needs the cache.
    const others = [this.#domains.close(), this.#scheduled.close()];
    if (this.#domains.isBusy || this.#scheduled.isBusy) await Promise.all(others);
    const closed = this.#engine.close();
    this.#reader.hot.clear();
    await Promise.all([closed, ...others]);
  }

  async #invalidateNow(all: Invalidated, resource?: { resource: string; id: string }): Promise<number> {
    const count = await invalidateAll(this.#engine, all);
    const { keys, tags, patterns, strategy } = all;
    this.#invalidated(resource ? { count, strategy, resource } : { count, strategy, keys, tags, pattern: patterns[0] });
    return count;
  }

  async #delete(keys: readonly string[]): Promise<number> {
    const count = await this.#attempt(this.#engine.deleteMany(keys), 0);
    if (this.listenerCount('delete') > 0) for (const key of keys) this.fire('delete', { key });
    return count;
  }

  async #flush(): Promise<number> {
    const count = await this.#attempt(this.#engine.flush(), 0);
    this.#invalidated({ count, all: true, strategy: InvalidationStrategy.MANUAL });
    return count;
  }

  /** Has the emitter say when somebody wants to hear of hits. */
  #notice(): void {
    EventEmitter.prototype.on.call(this, 'newListener', (event: unknown) => {
      if (event === 'hit') this.#hearsHits = true;
    });
  }

  #hit(key: string, level: 1 | 2 | 3): void {
    if (this.listenerCount('hit') > 0) this.fire('hit', { key, level });
    else this.#hearsHits = false;
  }

  #stored(key: string): void {
    if (this.listenerCount('set') > 0) this.fire('set', { key });
  }

  #writeFailed(failure: domains.CacheWriteFailure): void {
    if (this.listenerCount('writeFailed') > 0) this.fire('writeFailed', failure);
    else if (failure.dead)
      this.fire('error', failure.error instanceof Error ? failure.error : new Error(String(failure.error)));
  }

  #invalidated(event: types.CacheInvalidateEvent): void {
    if (this.listenerCount('invalidate') > 0) this.fire('invalidate', event);
  }

  #attempt<T>(outcome: Promise<T>, otherwise: T): Promise<T> {
    return this.#failures.attempt(outcome, otherwise);
  }
}
