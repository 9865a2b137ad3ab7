/** How reads and writes through a domain deal with the source of its values. */
export enum CacheStrategy {
  /** `set` gives the value to the source, then to the cache. The caller waits for both. */
  WRITE_THROUGH = 'WRITE_THROUGH',
  /** `set` gives the value to the cache and to a buffer in Redis, from which it reaches the source a little later. */
  WRITE_BEHIND = 'WRITE_BEHIND',
  /** `set` gives the value to the source and removes it from the cache: the next read loads it. */
  WRITE_AROUND = 'WRITE_AROUND',
  /** `get` asks the source for what the cache has not. `set` writes to the cache alone. */
  READ_THROUGH = 'READ_THROUGH',
  /** The application deals with the source. The default. */
  CACHE_ASIDE = 'CACHE_ASIDE',
}

/** Which copies in this process give way to others, `LOW` first. */
export enum CachePriority {
  LOW = 1,
  /** The default. */
  MEDIUM = 2,
  HIGH = 3,
  CRITICAL = 4,
}

/** What made entries invalid, as `invalidate` events tell it. */
export enum InvalidationStrategy {
  /** A time that was set with `scheduleInvalidation`. */
  TTL_BASED = 'TTL_BASED',
  /** A message to a `CacheInvalidationHandler`. */
  EVENT_BASED = 'EVENT_BASED',
  /** A call that names a pattern, a namespace or everything. */
  MANUAL = 'MANUAL',
  /** A call that names tags. */
  TAG_BASED = 'TAG_BASED',
}

/** What a function of a domain is told beside the id. */
export interface CacheSourceContext {
  /** Name of the domain. */
  readonly domain: string;
  /** Aborted when the call takes longer than `writeBehind.timeout`; never for the strategies whose callers wait. */
  readonly signal: AbortSignal;
  /** 1 for the first attempt. Above 1 with write-behind only: others do not try again by themselves. */
  readonly attempt: number;
}

/** How values of a write-behind domain get to their source. Durations are seconds. */
export interface WriteBehindOptions {
  /** How long a value waits for a newer one of the same id, which takes its place. 0.001 to 3,600; default 1. */
  delay?: number;
  /** Ids that are written at a time by one process, one value of each. 1 to 1,000; default 4. */
  concurrency?: number;
  /** Attempts at one value, the first among them, before it is given up. 1 to 1,000; default 10. */
  maxAttempts?: number;
  /** Pause after the first failed attempt. It doubles with each, up to 60 seconds. 0.01 to 60; default 1. */
  backoff?: number;
  /** Longest time for one attempt, after which its `signal` is aborted and it counts as failed. 0.1 to 3,600; default 30. */
  timeout?: number;
  /** Ids that may wait, of all processes together. Beyond: `ERR_OVERLOADED`. 1 to 1,000,000; default 10,000. */
  maxPending?: number;
}

/** A group of keys with one life, and perhaps one source. */
export interface CacheDomainOptions {
  /** Life of its entries in seconds. Default: that of the service. */
  ttl?: number;
  /** What its keys begin with. Default: its name and a colon. */
  prefix?: string;
  /** Bytes of a value as JSON. Beyond: `ERR_CACHE_VALUE_TOO_LARGE`. Default: `limits.maxValueSize`, which holds too. */
  maxSize?: number;
  /**
   * When level 1 is full, copies of a lower priority give way first. Default `MEDIUM`. Of all keys that begin as those of the
   * domain do, however they are read; the same as an entry of `level1.priorities`.
   */
  priority?: CachePriority | keyof typeof CachePriority;
  /** Default `CACHE_ASIDE`. `READ_THROUGH` needs `load`, those that begin with `WRITE` need `write`. */
  strategy?: CacheStrategy | `${CacheStrategy}`;
  /** Loads the value of an id, for `get` and `warm`. `null` and `undefined` are not stored. */
  load?: (id: string, context: CacheSourceContext) => unknown;
  /** Writes the value of an id to the source. With write-behind it may be called again for a value that it wrote before. */
  write?: (id: string, value: any, context: CacheSourceContext) => unknown;
  /** Removes an id from the source, for `delete(domain, id)`. Without one, only the cache forgets it. */
  remove?: (id: string, context: CacheSourceContext) => unknown;
  writeBehind?: WriteBehindOptions;
}

/** A value that did not reach its source. */
export interface CacheWriteFailure {
  domain: string;
  id: string;
  /** What was to be written; undefined when the id was to be removed. */
  value: unknown;
  /** Attempts so far. */
  attempts: number;
  error: unknown;
  /**
   * Whether it was given up: the source does not have it and will not get it, and the cache has forgotten it, so that reads show
   * what the source has. Otherwise it is tried again.
   */
  dead: boolean;
}

/** What `warm` is asked to do. */
export interface CacheWarmOptions<T = unknown> {
  /** The domain whose ids `keys` are. */
  domain?: string;
  /** Keys; ids of the domain, with one. */
  keys: readonly (string | number)[];
  /** Life in seconds. Default: that of the domain or the service. */
  ttl?: number;
  tags?: readonly string[];
  /** Loads the value of a key or id. Default: the `load` of the domain. `null` and `undefined` are not stored. */
  load?: (key: string) => T | PromiseLike<T>;
  /** Loads at a time. 1 to 1,000; default 10. */
  concurrency?: number;
  /** Load what is there already, too. Default false. */
  refresh?: boolean;
  /** Called after each key. */
  onProgress?: (progress: CacheWarmProgress) => void;
  /** Ends it: what runs is awaited, no more is begun, and the call rejects with the reason. */
  signal?: AbortSignal;
}

export interface CacheWarmProgress {
  /** Keys that are done, in whichever way. */
  done: number;
  total: number;
  key: string;
}

export interface CacheWarmResult {
  /** Keys whose value was loaded and is now there. */
  warmed: number;
  /** Keys that had a value. */
  present: number;
  /** Keys for which there is none. */
  absent: number;
  /** Keys whose load failed. The others are warm all the same. */
  failed: { key: string; error: unknown }[];
}

/** What `refreshExpiringKeys` is asked to do. */
export interface CacheRefreshOptions<T = unknown> {
  /** Seconds: entries that expire sooner are refreshed. Default 60. */
  within?: number;
  /** Only keys that match: `*`, `?`, `[ab]`. Default `*`. */
  pattern?: string;
  /** The new value of a key; `null` or `undefined` leaves the entry as it is. */
  refresh: (key: string) => T | PromiseLike<T>;
  /** Life of a refreshed entry in seconds. Default: that of the service. */
  ttl?: number | ((key: string) => number | undefined);
  /** Tags of a refreshed entry: those that it had are replaced. */
  tags?: (key: string) => readonly string[];
  /** Calls of `refresh` at a time. 1 to 1,000; default 10. */
  concurrency?: number;
  signal?: AbortSignal;
}

export interface CacheRefreshResult {
  /** Entries that have a new value. */
  refreshed: number;
  /** Entries that stayed as they were. */
  kept: number;
  failed: { key: string; error: unknown }[];
}

/** Entries to be invalidated at a time: exactly one of `key`, `tags` and `pattern`. */
export type ScheduledInvalidation = { at: Date | number } & (
  | { key: string; tags?: undefined; pattern?: undefined }
  | { tags: readonly string[]; key?: undefined; pattern?: undefined }
  | { pattern: string; key?: undefined; tags?: undefined }
);

/** Which statistics are wanted. */
export interface CacheStatsQuery<Domain extends string = string> {
  /** Only reads through this domain, and keys of it. */
  domain?: Domain;
  /** Only reads since then, by the minute. At most the last day is known. Default: since the service was made. */
  startTime?: Date | number;
  /** Only reads before then, by the minute. Default: now. */
  endTime?: Date | number;
}

/** What to invalidate: all of it that is given. A domain alone is everything in it. */
export interface CacheInvalidation<Domain extends string = string> {
  /** The domain whose ids `keys` are, and below whose prefix `pattern` is. */
  domain?: Domain;
  keys?: readonly (string | number)[];
  tags?: readonly string[];
  /** `*`, `?`, `[ab]`, and `\` before a character that means itself. Walks the whole database in slices. */
  pattern?: string;
  /** What `invalidate` events tell. Default: `TAG_BASED` for tags alone, else `MANUAL`. */
  strategy?: InvalidationStrategy | `${InvalidationStrategy}`;
}
