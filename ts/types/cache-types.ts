import type {
  CacheDomainOptions,
  CachePriority,
  CacheWriteFailure,
  InvalidationStrategy,
} from './cache-domain-types.js';
import type { ConnectionState, RedisConfig } from './redis-config.js';

/** Options of a `CacheService`. Durations are **seconds**. An option that is unknown or wrong is `ERR_INVALID_OPTION`. */
export interface CacheOptions<
  Ttls extends Record<string, number> = Record<string, number>,
  Domains extends Record<string, CacheDomainOptions> = Record<string, CacheDomainOptions>,
> {
  /** The server. Its `keyPrefix` goes in front of `prefix`. */
  redis?: RedisConfig;
  /** In front of every key in Redis. Default `cache:`. With an empty one, `flush` is refused. */
  prefix?: string;
  /** Life of an entry whose writer names none. Default: `level2.ttl`. */
  defaultTtl?: number;
  /**
   * What a caller hears of a Redis that is away, slow or refuses. `swallow`, the default: reads find nothing, writes do
   * nothing, both emit `error`. `throw`: the call rejects. Mistakes of the caller (arguments, limits) always reject, and so
   * does what a factory throws.
   */
  onError?: 'swallow' | 'throw';
  /**
   * Give every caller a copy of its own. Default false: callers share one object, which is frozen unless `NODE_ENV` is
   * `production`.
   */
  clone?: boolean;
  /** Lives by name, for `ttlKey`; see `defineTtls`. */
  ttls?: Ttls;
  /** Groups of keys for the `(domain, id)` forms of `get`, `set` and `delete`. */
  domains?: Domains;
  /** Copies in this process. */
  level1?: {
    /** Default true. */
    enabled?: boolean;
    /**
     * Bytes, shared by all threads of the process that have the same options, with about 500 for each copy beside its key and
     * value. Each thread has decoded values of up to a thirty-second part beside them. Default 100 MB.
     */
    maxSize?: number;
    /**
     * Longest life of a copy in seconds, and so how old a value can be while the server is away, or where nobody tells
     * of a change. Default 60. An entry that expires earlier expires here with it.
     */
    ttl?: number;
    /** What gives way when it is full: what was unused for longest (`LRU`, the default) or used least (`LFU`). */
    strategy?: 'LRU' | 'LFU';
    /**
     * What gives way first when it is full, by what keys begin with (the longest counts): of the lowest priority that is there,
     * what was unused for longest. Keys that are not named have `MEDIUM`. With `LRU` only. Default: all copies are alike.
     */
    priorities?: Record<string, CachePriority | keyof typeof CachePriority>;
  };
  /** Redis. */
  level2?: {
    /**
     * False: no Redis at all. `redis` is then not used, no connection is made, and entries live in this process alone, in
     * `level1.maxSize` bytes, of which a quarter is for copies; `level1.enabled` cannot be false as well. Everything else is as
     * with Redis, but that it ends with the process. Default true.
     */
    enabled?: boolean;
    /** Life of an entry for which neither its writer nor `defaultTtl` says one. Default 3600. */
    ttl?: number;
    /**
     * How many seconds a call with a source (`getOrSet`, `getOrSetMany`, …) waits for a round trip to Redis before it turns to the
     * source, or to a stale value if it may. The read goes on: what it brings is kept in this process. What the source gave
     * then stays in this process. Default: as long as `timeout`.
     */
    softTimeout?: number;
    /**
     * How many seconds Redis has for what a cache can do without: reads, and storing what a source gave. Never more than
     * `redis.commandTimeout`, which writes and invalidations have. Default 1.
     */
    timeout?: number;
    /** When Redis is left alone because it does not answer. */
    circuitBreaker?: {
      /** After so many timeouts in a row. Default 1. */
      threshold?: number;
      /** For so many seconds; then one call probes whether it answers again, while the others go on without. Default 1. */
      duration?: number;
    };
    /**
     * Writes and invalidations that did not reach Redis are remembered in this process. When it is back, what they were about is
     * removed there, before any of it is read again: also what a write was about, because somebody else may have written since.
     * What waits when the process ends is lost.
     */
    recoveryQueue?: {
      /**
       * Keys, tags and patterns; one of more than 512 bytes counts for several. When there are more, all entries below `prefix`
       * are removed instead (with an empty prefix the oldest are forgotten), and an `error` says so. Default 10,000.
       */
      maxSize?: number;
    };
    /** What the keys of a resource begin with, for `invalidateResource`. Default: its name and a colon. */
    prefixes?: Record<string, string>;
  };
  /**
   * Who tells this process that another one changed what it has copies of.
   *
   * - `tracking`: the server, which remembers what was read here (`CLIENT TRACKING` of RESP3), and tells of every writer.
   * - `bus`: the other caches of the prefix, on the channel `<prefix>#bus`. It tells of no writer that is not a cache of oxcart, and
   *   not of entries that expire early or are evicted. Each write waits for one more round trip.
   * - `auto`, the default: the server, and where it refuses (an older one, one without RESP3, a user without the permission), the
   *   bus. A process that the server tells does not tell others on the bus: give all processes of a cache the same permissions,
   *   or say `bus` in all of them.
   * - `none`: nobody. A copy may be `level1.ttl` seconds old.
   *
   * With any but `none` a message that may have been missed ends all copies in this process.
   */
  coherence?: 'auto' | 'tracking' | 'bus' | 'none';
  /**
   * A table in a database, which keeps values when Redis loses them or is away. Off by default. Every process that has the
   * cache must have it, or none: what ends an entry ends its row.
   */
  level3?: {
    /** Default false. */
    enabled?: boolean;
    /** `sqlite:<path>`, or `postgres://user:password@host:port/database`. Connected on first use. */
    url?: string;
    /** The table, made on first use, `UNLOGGED` in PostgreSQL; so is a second one, named the same and `_state`. Default `oxcart_cache`. */
    table?: string;
    /** Longest life of a row. An entry whose writer names a life has none longer here. Default 86400. */
    ttl?: number;
    /** Rows of this cache, with the marks of what was invalidated. What ends first gives way. Default 100,000. */
    maxRows?: number;
    /** Bytes of their keys and values, with 64 for each row. Default 1 GB. */
    maxBytes?: number;
    /** How long a read or a write may take, at most 5. A read that takes longer is a miss. Default 0.5. */
    timeout?: number;
  };
  /**
   * How values are written. `json`, the default, is read by anything. `msgpack` gives back `Date`, `Map`, `Set`, `BigInt`,
   * `Buffer`, typed arrays and `undefined` inside objects as they went in, and is smaller. Either reads what the other wrote.
   */
  serializer?: 'json' | 'msgpack';
  /** Makes large values smaller in Redis. Off by default; compressed entries are read whether or not it is set. */
  compression?: {
    /** Bytes of a value from which on it is compressed, unless that would make it larger. */
    threshold: number;
    /** `zstd`, the default, is smaller; `lz4` is faster. */
    algorithm?: 'zstd' | 'lz4';
  };
  limits?: {
    /** Characters of a key, without the prefix. Beyond: `ERR_CACHE_KEY_TOO_LONG`. Default 512. */
    maxKeyLength?: number;
    /** Bytes of a value as JSON or MessagePack, before compression. Beyond: `ERR_CACHE_VALUE_TOO_LARGE`. Default 5 MB. */
    maxValueSize?: number;
    /** Keys of one bulk call. Beyond: `ERR_CACHE_BULK_TOO_LARGE`. Default 1,000. */
    maxBulkKeys?: number;
  };
}

/** How long an entry lives, and what invalidates it. */
export interface CacheEntryOptions<TtlKey extends string = string> {
  /** Seconds above 0; fractions down to a millisecond. */
  ttl?: number;
  /** A life of the `ttls` option, by name. `ttl` goes before it. */
  ttlKey?: TtlKey;
  /** At most 64, of 1 to 256 characters. */
  tags?: readonly string[];
}

/** How `getOrSet` makes a value, and what it does when it cannot. Durations are **seconds**, fractions down to a millisecond. */
export interface CacheMakeOptions<TtlKey extends string = string> extends CacheEntryOptions<TtlKey> {
  /**
   * How long after its life a value stands in when the factory fails. The source is then left alone for `backoff`. An entry
   * with it (or `swr`) stays in Redis for so much longer, behind a line that plain readers do not expect. Default: none.
   */
  grace?: number;
  /** How long after its life a value is handed out at once, while the factory runs behind the callers. Default: none. */
  swr?: number;
  /** How long this call waits before it takes a value of `grace` or `swr`, if there is one. The factory goes on. */
  softTimeout?: number;
  /**
   * How long this call waits at all: `ERR_WAIT_TIMED_OUT`. When all callers of a factory have left, its signal is aborted; what
   * it returns all the same is stored.
   */
  hardTimeout?: number;
  /**
   * Refresh the value before its life ends, by one reader chosen by lot (XFetch): the likelier the longer the factory took.
   * `true` is the factor 1; larger is earlier. Default false.
   */
  earlyRefresh?: boolean | number;
  /** The part of the life, 0 to 1, that chance may take from it, so that entries do not end together. Default 0. */
  jitter?: number;
  /** How long it is remembered that the factory gave `null` or `undefined`. Default: not at all. */
  negativeTtl?: number;
  /**
   * Who else asks the source at the same time: nobody in this thread (`local`, the default), nobody in any process as long as
   * Redis is there (`distributed`: the others wait up to `hardTimeout`, else 10 s, and take over from a process that died), or
   * anybody (`false`).
   */
  lock?: 'local' | 'distributed' | false;
  /**
   * How long a source that failed is left alone: callers get the stale value meanwhile (default 1), or without one the same
   * error (default: not at all).
   */
  backoff?: number;
  /** Takes this caller out. The factory's own signal is aborted when all of its callers have left. */
  signal?: AbortSignal;
}

/** How `getOrSetMany` stores what its loader returns: see {@link CacheMakeOptions}. */
export type CacheBulkOptions<TtlKey extends string = string> = Pick<
  CacheMakeOptions<TtlKey>,
  'ttl' | 'ttlKey' | 'tags' | 'grace' | 'jitter' | 'negativeTtl'
>;

/** What a factory is told, and may say. */
export interface CacheFactoryContext<T = unknown> {
  readonly key: string;
  /** The value that stands in, should the factory fail. Only with `grace` or `swr`. */
  readonly stale: T | undefined;
  /** Aborted when nobody waits for the factory any more. */
  readonly signal: AbortSignal;
  /** Gives the entry this life in seconds, whatever the call said. */
  setTtl(seconds: number): void;
  /** Gives the entry these tags, beside those of the call. */
  setTags(tags: readonly string[]): void;
  /** Hands the value out, and stores nothing. */
  skip(): void;
}

export interface CacheSetOptions<TtlKey extends string = string> extends CacheEntryOptions<TtlKey> {
  /** Only where there is no entry. */
  nx?: boolean;
  /** Only where there is one. */
  xx?: boolean;
}

/** The form of `set` with one argument. */
export interface CacheSetParams<T = unknown, TtlKey extends string = string> extends CacheSetOptions<TtlKey> {
  key: string;
  value: T;
}

export interface CacheGetOptions {
  /** False gives the stored text instead of its value: JSON, so a string comes with its quotes. Default true. */
  parse?: boolean;
}

export interface CacheStats {
  /** Reads of this service that found a value, in any level, and those that did not. A bulk read counts each key. */
  hits: number;
  misses: number;
  /** Hits by all reads, 0 to 1; 0 before the first. */
  hitRate: number;
  /** Keys under the prefix in Redis, counted in slices over at most a million keys of the database. */
  keyCount: number;
  /** Bytes of level 1. */
  memoryUsed: number;
  levels: {
    level1: {
      hits: number;
      misses: number;
      hitRate: number;
      keyCount: number;
      memoryUsed: number;
      /** With priorities, and for the whole cache only: what there is of each, and how many copies gave way to others. */
      priorities?: Record<keyof typeof CachePriority, { keyCount: number; memoryUsed: number; evicted: number }>;
    };
    /** `complete` is false when the database has more keys than were looked at, or could not be asked. */
    level2: { hits: number; misses: number; hitRate: number; keyCount: number; complete: boolean };
    /**
     * Of the whole service, where level 3 is on; in a domain, its hits count with those of level 2. `rows` (with marks of what
     * was invalidated) and `bytes` are those of this cache as of the last write of this process. `errors` counts reads and writes
     * that failed, `dropped` values that were not stored. `closed`: an invalidation did not reach the table, and it is not read
     * until all its rows are ended.
     */
    level3?: {
      hits: number;
      misses: number;
      hitRate: number;
      rows: number;
      bytes: number;
      errors: number;
      dropped: number;
      closed: boolean;
    };
  };
}

/** What becomes of calls to Redis: made (`closed`), not made (`open`), or one of them made to see whether it answers. */
export type CacheCircuitState = 'closed' | 'open' | 'half-open';

export interface CacheHealth {
  /** `degraded`: Redis does not answer, is left alone, or has to make up for what it missed, and the cache lives on level 1 and the sources. */
  status: 'healthy' | 'degraded';
  state: ConnectionState;
  /** Of the circuit breaker, `level2.circuitBreaker`. */
  circuit: CacheCircuitState;
  /** Keys, tags and patterns that Redis missed and is still to make up for. It is not read until it has. */
  missed: number;
  /**
   * Whether writes by other processes end the copies in this process within milliseconds (with the bus of `coherence`: writes
   * by other caches). False while Redis is away, and where nobody tells of changes: a copy may then be as old as `level1.ttl`.
   */
  coherent: boolean;
  /** Milliseconds of a round trip to Redis. */
  latencyMs?: number;
  error?: Error;
}

/** What a cache reports. */
export interface CacheEvents {
  /** A read found a value: in this process (level 1), in Redis (level 2) or in the database (level 3). */
  hit: [event: { key: string; level: 1 | 2 | 3 }];
  /** A read found none. */
  miss: [event: { key: string }];
  /** A value was stored. */
  set: [event: { key: string }];
  /** A key was deleted, whether or not there was one. */
  delete: [event: { key: string }];
  /** Entries were invalidated; `count` as the call returned it. */
  invalidate: [event: CacheInvalidateEvent];
  /** A value of a write-behind domain did not reach its source. Without a listener, one that was given up is an `error`. */
  writeFailed: [failure: CacheWriteFailure];
  /** Redis failed, whether or not a caller was told. At most ten a second. Without a listener: one process warning a code. */
  error: [error: Error];
  /** The connection changed its state. */
  state: [state: ConnectionState];
  /** The circuit breaker opened, let a probe through, or closed. */
  circuit: [state: CacheCircuitState];
}

/** What became invalid. */
export interface CacheInvalidateEvent {
  count: number;
  /** What made it so. */
  strategy: InvalidationStrategy;
  keys?: readonly string[];
  tags?: readonly string[];
  pattern?: string;
  namespace?: string;
  resource?: { resource: string; id: string };
  all?: true;
}
