import {
  type CacheDomainOptions,
  type CacheSourceContext,
  CacheStrategy,
  type CacheWriteFailure,
} from '../types/cache-domain-types.js';
import type { RedisConfig } from '../types/redis-config.js';
import { domainOf, inDomain, type Names, storing } from './arguments.js';
import { writesToSource } from './domain-options.js';
import { tooLargeForDomain } from './exceptions.js';
import type { Storing } from './reader.js';
import type { Statistics } from './statistics.js';
import { encode, type Serializer } from './values.js';
import { WriteBehind } from './write-behind.js';

/** What domains need of their cache. */
export interface DomainHost {
  /** The value that this process has of a key; undefined without one. */
  local(key: string): Promise<unknown> | undefined;
  get(key: string): Promise<unknown>;
  getOrSet(key: string, factory: () => unknown, storing: Storing): Promise<unknown>;
  set(key: string, value: unknown, storing: Storing): Promise<void>;
  delete(key: string): Promise<boolean>;
  writeFailed(failure: CacheWriteFailure): void;
}

export interface DomainSettings {
  names: Names;
  statistics: Statistics;
  /** Of the cache: where writes wait. */
  redis: RedisConfig;
  prefix: string;
  serializer: Serializer;
}

/** Never aborted: for calls whose caller waits. */
const NEVER = new AbortController().signal;

/** The `(domain, id)` forms, each by the strategy of its domain. */
export class DomainEntries {
  readonly #host: DomainHost;
  readonly #names: Names;
  readonly #statistics: Statistics;
  readonly #serializer: Serializer;
  readonly #behind = new Map<string, WriteBehind>();
  /** The last change of each key that is under way here: the source and the cache must hear of changes in one order. */
  readonly #changes = new Map<string, Promise<unknown>>();

  constructor(host: DomainHost, { names, statistics, redis, prefix, serializer }: DomainSettings) {
    this.#host = host;
    this.#names = names;
    this.#statistics = statistics;
    this.#serializer = serializer;
    for (const [name, options] of Object.entries(names.domains)) {
      if (options.strategy !== CacheStrategy.WRITE_BEHIND) continue;
      const forget = (id: string) => host.delete(inDomain(name, id, names).key);
      this.#behind.set(
        name,
        new WriteBehind({ name, options, redis, prefix, serializer, forget, failed: host.writeFailed }),
      );
    }
  }

  async get(domain: unknown, id: unknown): Promise<unknown> {
    const { key, options } = inDomain(domain, id, this.#names);
    const name = domain as string;
    this.#statistics.tick();
    const local = this.#host.local(key);
    if (local !== undefined) {
      this.#statistics.count(name, 1);
      return local;
    }
    const load = this.loader(name, String(id), options);
    if (load === undefined) {
      const value = await this.#host.get(key);
      this.#statistics.count(name, value === null ? undefined : 2);
      return value;
    }
    let isMade = false;
    const factory = () => {
      isMade = true;
      return load();
    };
    try {
      return (await this.#host.getOrSet(key, factory, { ttl: options.ttl, tags: [] })) ?? null;
    } finally {
      this.#statistics.count(name, isMade ? undefined : 2);
    }
  }

  async set(domain: unknown, id: unknown, value: unknown, given: unknown): Promise<void> {
    const { key, options } = inDomain(domain, id, this.#names);
    const { ttl = options.ttl, tags } = storing(given, this.#names);
    const name = domain as string;
    if (value === undefined || value === null) {
      await this.delete(name, id);
      return;
    }
    this.#checkSize(name, key, value, options);
    const put = () => this.#host.set(key, value, { ttl, tags });
    const behind = this.#behind.get(name);
    if (behind !== undefined) {
      const version = await behind.write(String(id), value);
      await put();
      // Another process may have put a newer value between the two, which must not be hidden by ours.
      if (!(await behind.isLatest(String(id), version))) await this.#host.delete(key);
      return;
    }
    if (!writesToSource(options)) return put();
    await this.#change(key, async () => {
      await this.#source(key, () => options.write!(String(id), value, context(name)));
      if (options.strategy === CacheStrategy.WRITE_AROUND) await this.#host.delete(key);
      else await put();
    });
  }

  async delete(domain: unknown, id: unknown): Promise<boolean> {
    const { key, options } = inDomain(domain, id, this.#names);
    const name = domain as string;
    const behind = this.#behind.get(name);
    if (behind !== undefined) {
      // A write that waits would bring back what is removed now.
      await behind.remove(String(id));
      return this.#host.delete(key);
    }
    if (options.remove === undefined) return this.#host.delete(key);
    return this.#change(key, async () => {
      await this.#source(key, () => options.remove!(String(id), context(name)));
      return this.#host.delete(key);
    });
  }

  /** What finds the value of an id that the cache does not have; undefined when the domain has no source. */
  loader(domain: string, id: string, options = domainOf(domain, this.#names)): (() => unknown) | undefined {
    const { load } = options;
    const behind = this.#behind.get(domain);
    if (behind === undefined) return load && (() => load(id, context(domain)));
    return async () => {
      // What waits to be written is newer than what the source has.
      const waiting = await behind.waiting(id);
      return waiting === undefined ? load?.(id, context(domain)) : waiting.value;
    };
  }

  /** Resolves when nothing waits to be written. */
  async flushWrites(domain: unknown, timeoutSeconds: number): Promise<void> {
    if (domain !== undefined) domainOf(domain, this.#names);
    const flushed = domain === undefined ? [...this.#behind.values()] : [this.#behind.get(domain as string)];
    await Promise.all(flushed.map((behind) => behind?.flush(timeoutSeconds)));
  }

  /** Whether changes to sources are under way. */
  get isBusy(): boolean {
    return this.#changes.size > 0 || [...this.#behind.values()].some((behind) => behind.isBusy);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#changes.values());
    await Promise.all([...this.#behind.values()].map((behind) => behind.close()));
  }

  #checkSize(domain: string, key: string, value: unknown, { maxSize }: CacheDomainOptions): void {
    if (maxSize === undefined) return;
    const bytes = Buffer.byteLength(encode(key, value, this.#serializer));
    if (bytes > maxSize) throw tooLargeForDomain(key, domain, bytes, maxSize);
  }

  /** Changes the source; when that fails nobody knows what it holds, and the cache must not say otherwise. */
  async #source(key: string, change: () => unknown): Promise<void> {
    try {
      await change();
    } catch (error) {
      await this.#host.delete(key);
      throw error;
    }
  }

  #change<T>(key: string, change: () => Promise<T>): Promise<T> {
    const before = this.#changes.get(key) ?? Promise.resolve();
    const changed = before.then(change, change);
    this.#changes.set(key, changed);
    const done = () => {
      if (this.#changes.get(key) === changed) this.#changes.delete(key);
    };
    changed.then(done, done);
    return changed;
  }
}

function context(domain: string): CacheSourceContext {
  return { domain, signal: NEVER, attempt: 1 };
}
