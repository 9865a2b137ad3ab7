import type { ServiceConnection } from '../connection.js';
import { type Argument, cacheEpochs, door, NativeCache } from '../native.js';
import { systemNow } from '../system-time.js';
import type { CacheCircuitState } from '../types/cache-types.js';
import type { ConnectionState } from '../types/redis-config.js';
import { coarseClock } from './coarse-clock.js';
import { cacheClosed } from './exceptions.js';
import type { Validity } from './hot-view.js';

/** What is asked of the target: `mod code` of `src/node/cache.rs`. */
const LOAD = 0;
const LOAD_MANY = 1;
const FILL = 2;
const SET = 3;
const SET_MANY = 4;
const DELETE_MANY = 5;
const EXISTS = 6;
const TTL = 7;
const EXPIRE = 8;
const INCREMENT = 9;
const INVALIDATE_TAGS = 10;
const DELETE_PATTERN = 11;
const CLEAR = 12;
const FLUSH = 13;
const COUNT = 14;
const PING = 15;
const EXPIRING = 32;
const ACQUIRE = 16;
const ACQUIRE_MANY = 17;
const RELEASE = 18;
const DELETE_PART = 19;

/** The events of an error that no call had, and that the circuit changed: `src/node/cache.rs`. */
const ERROR_EVENT = 1;
const CIRCUIT_EVENT = 2;
/** By the number that crosses. */
const CIRCUIT: readonly CacheCircuitState[] = ['closed', 'open', 'half-open'];

/** Where `peek` says more than it returns: `LANES` of `src/node/cache_functions.rs`. */
const MAX_TAGS = 64;
const LANES = 7 + MAX_TAGS;

/** This process, Redis, a database. */
export type CacheLevel = 1 | 2 | 3;

/** What level 3 tells of itself; see `database_figures` of `src/node/cache.rs`. */
export interface DatabaseFigures {
  rows: number;
  bytes: number;
  errors: number;
  dropped: number;
  closed: boolean;
}

/** A value that was found, as text. */
export interface Found extends Validity {
  readonly text: string;
  /** Milliseconds that a copy may live; 0 when it must not be kept. */
  readonly lifeMs: number;
  /** Milliseconds that the value is fresh: 0 when it may only stand in for a source. */
  readonly freshMs: number;
  /** Milliseconds that it may stand in for a source, after it was fresh. */
  readonly staleMs: number;
  /** Milliseconds that it took to load, where it is to be refreshed early; else 0. */
  readonly loadMs: number;
  /** Where it was found. */
  readonly level: CacheLevel;
}

/** Leave to store what a source will give: `Lease` of `src/cache/lease.rs`, in its parts. */
export type Lease = readonly Argument[];

export interface AcquireArguments {
  key: string;
  shard: number;
  ttl: number | undefined;
  tags: readonly string[];
  /** How long to wait for another process that asks the source; undefined asks it without looking for others. */
  waitMs: number | undefined;
  /** Whether something stale is better than to wait. */
  staleSuffices: boolean;
  /** How long the value is known to be fresh, when it is to be refreshed all the same. */
  freshMs: number | undefined;
}

export type Acquired =
  | { hit: Found }
  /** `busy`: another process asks the source. */
  | { busy: boolean; stale: Found | undefined; lease: Lease };

export interface WriteArguments {
  key: string;
  text: string;
  ttl: number | undefined;
  tags: readonly string[];
}

export interface FillArguments extends WriteArguments {
  /** Tags that the factory named while it ran. */
  late: readonly string[];
  /** Seconds that it may stand in for a source after its life. */
  stale: number;
  loadMs: number;
  /** Sum of the epochs before the load. */
  stamp: number;
  /** Gaps before the load: see {@link Peeked}. */
  gaps: number;
  /** Undefined when Redis could not be asked. */
  lease: Lease | undefined;
}

/** The validity of a value that is loaded from now on. */
export interface Peeked extends Validity {
  /**
   * How often all copies in this process became invalid because changes by others may have been missed. That moves the
   * epochs too, but is no reason to call off what a factory is making.
   */
  readonly gaps: number;
}

/** The epochs of the process, asked for once a thread; undefined where the runtime does not lend them. */
export const epochs: Int32Array | undefined = cacheEpochs();

/** Who hears of what no call asked for. */
export interface EngineNews {
  error(error: Error): void;
  circuit(state: CacheCircuitState): void;
}

/** The native half of one cache. */
export class CacheEngine {
  /** Shard of the epochs that pattern deletes and flushes move. */
  readonly sweepShard: number;
  /** Longest life of a copy in this process, in milliseconds. */
  readonly localLifeMs: number;
  /** Bytes of level 1; 0 when it is off. */
  readonly localBytes: number;
  /** Life of an entry whose writer names none, in milliseconds. */
  readonly defaultTtlMs: number;
  readonly describe: string;

  readonly #native: NativeCache;
  readonly #connection: ServiceConnection;
  readonly #functions: ReturnType<NativeCache['functions']>;
  readonly #lanes = new Int32Array(LANES);
  readonly #id: number;
  #pending = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(connection: ServiceConnection, options: string, news: EngineNews) {
    this.#connection = connection;
    this.#native = new NativeCache(door.native, connection.json, options, this.#lanes);
    this.#id = this.#native.id;
    this.#functions = this.#native.functions();
    this.sweepShard = this.#native.sweepShard;
    this.describe = this.#native.describe;
    const [lifeMs, bytes, defaultTtlMs] = this.#native.limits as [number, number, number];
    this.localLifeMs = lifeMs;
    this.localBytes = bytes;
    this.defaultTtlMs = defaultTtlMs;
    connection.listen(this.#id, (event, number, _, [error]) => {
      if (event === ERROR_EVENT) news.error(error as Error);
      else if (event === CIRCUIT_EVENT) news.circuit(CIRCUIT[number]!);
    });
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  get state(): ConnectionState {
    return this.#native.state as ConnectionState;
  }

  /** Whether Redis is used, left alone, or probed. */
  get circuit(): CacheCircuitState {
    return CIRCUIT[this.#native.circuit]!;
  }

  /** Writes and invalidations that Redis missed and is still to make up for. */
  get missed(): number {
    return this.#native.missed;
  }

  /** Whether changes by others end the copies in this process. */
  get followsChanges(): boolean {
    return this.#native.followsChanges;
  }

  /** By which copies expire. */
  get clock(): { now(): number } {
    return this.#connection.now === systemNow ? coarseClock : this.#connection;
  }

  /** Entries and bytes of level 1. */
  get localSize(): [entries: number, bytes: number] {
    return this.#native.localSize as [number, number];
  }

  /** Undefined without level 3. */
  get database(): DatabaseFigures | undefined {
    const figures = this.#native.databaseFigures;
    if (figures.length === 0) return undefined;
    const [rows, bytes, errors, dropped, closed] = figures as [number, number, number, number, number];
    return { rows, bytes, errors, dropped, closed: closed === 1 };
  }

  /** Entries and bytes of each priority, and how many gave way, the lowest first; empty when there are no priorities. */
  get localPriorities(): number[] {
    return this.#native.localPriorities;
  }

  /** {@link localSize} of keys that begin with the text. */
  localSizeOf(start: string): [entries: number, bytes: number] {
    return this.#native.localSizeOf(start) as [number, number];
  }

  /**
   * The text of a copy in this process; {@link peeked} and {@link peekedLife} then say how long it is valid. Without one,
   * `peeked` is the validity of a value with these tags that is loaded from now on.
   */
  peek(key: string, tags: readonly string[]): string | undefined {
    if (this.closed) return undefined;
    if (door.followers.size > 0) door.follow();
    return tags.length === 0 ? this.#functions.peek(key) : this.#functions.peek(key, ...tags);
  }

  get peeked(): Peeked {
    const lanes = this.#lanes;
    const count = lanes[4]!;
    return {
      shard: lanes[0]!,
      stamp: lanes[1]!,
      gaps: lanes[3]!,
      tags: count === 0 ? undefined : Array.from(lanes.subarray(7, 7 + count)),
    };
  }

  get peekedShard(): number {
    return this.#lanes[0]!;
  }

  /** Which invalidations of a key, or of its tags, a flight that begins now knows of. */
  get peekedGeneration(): number {
    return generation(this.#lanes[1]!, this.#lanes[3]!);
  }

  get peekedLife(): number {
    return this.#lanes[2]!;
  }

  /** How long a value that was peeked at is fresh, and how long it took to load. */
  get peekedFreshness(): [freshMs: number, loadMs: number] {
    return [this.#lanes[5]!, this.#lanes[6]!];
  }

  /** A copy in this process that was not invalidated, though it may be stale. */
  peekStale(key: string, validity: Validity): Found | undefined {
    if (this.closed) return undefined;
    const text = this.#functions.peekStale(key);
    if (text === undefined) return undefined;
    const { stamp, tags } = this.peeked;
    const staleMs = this.peekedLife;
    return { text, shard: validity.shard, stamp, tags, lifeMs: 0, freshMs: 0, staleMs, loadMs: 0, level: 1 };
  }

  /** The entry in Redis; without a fresh one, a lease to make it; undefined when Redis let the soft timeout pass. */
  async acquire(call: AcquireArguments): Promise<Acquired | undefined> {
    const { key, shard, ttl, tags, waitMs, freshMs, staleSuffices } = call;
    const whole = (ms: number | undefined) => (ms === undefined ? undefined : Math.round(ms));
    return acquired(
      await this.#call(ACQUIRE, [key, ttl, whole(waitMs), whole(freshMs), staleSuffices, ...tags]),
      shard,
    );
  }

  /** The same for many keys at once, in their order. */
  async acquireMany(
    keys: readonly string[],
    shards: readonly number[],
    ttl: number | undefined,
    tags: readonly string[],
  ): Promise<(Acquired | undefined)[]> {
    const flat: any[] = await this.#call(ACQUIRE_MANY, [ttl, tags.length, ...tags, ...keys]);
    const outcomes: (Acquired | undefined)[] = [];
    for (let at = 0; at < flat.length; ) {
      const end = at + 1 + (flat[at] as number);
      outcomes.push(acquired(flat.slice(at + 1, end), shards[outcomes.length]!));
      at = end;
    }
    return outcomes;
  }

  /** Gives a lease back under which nothing is stored. Nobody waits for it. */
  release(key: string, lease: Lease | undefined): void {
    if (lease === undefined || this.closed) return;
    // What cannot be given back expires.
    this.#call(RELEASE, [key, ...lease]).catch(() => undefined);
  }

  /** The entry in Redis; without one, the versions that its tags have. `shard` is the key's, as `peek` told it. */
  async load(
    key: string,
    shard: number,
    ttl: number | undefined,
    tags: readonly string[],
  ): Promise<Found | readonly string[]> {
    const answer: string | string[] | null = await this.#call(LOAD, [key, ttl, ...tags]);
    return typeof answer === 'string' ? found(answer, shard) : (answer ?? []);
  }

  async loadMany(keys: readonly string[], shards: readonly number[]): Promise<(Found | undefined)[]> {
    const answers: (string | null)[] = await this.#call(LOAD_MANY, keys);
    return answers.map((answer, index) => (answer === null ? undefined : found(answer, shards[index]!)));
  }

  /** Stores what a factory made, unless it was invalidated meanwhile. */
  fill(fill: FillArguments): Promise<boolean> {
    const { key, text, ttl, stamp, gaps, tags, late, stale, loadMs, lease } = fill;
    const localOnly = lease === undefined;
    const named = [tags.length, ...tags, ...late];
    return this.#call(FILL, [key, text, ttl, stamp, gaps, stale, loadMs, localOnly, ...(lease ?? [null]), ...named]);
  }

  set(write: WriteArguments, condition: 'NX' | 'XX' | undefined): Promise<boolean> {
    this.#touch([write.key]);
    return this.#call(SET, [write.key, write.text, write.ttl, condition, ...write.tags]);
  }

  setMany(writes: readonly WriteArguments[]): Promise<void> {
    this.#touch(writes.map(({ key }) => key));
    return this.#call(
      SET_MANY,
      writes.flatMap(({ key, text, ttl }) => [key, text, ttl]),
    );
  }

  deleteMany(keys: readonly string[]): Promise<number> {
    this.#touch(keys);
    return this.#call(DELETE_MANY, keys);
  }

  exists(key: string): Promise<boolean> {
    return this.#call(EXISTS, [key]);
  }

  ttl(key: string): Promise<number> {
    return this.#call(TTL, [key]);
  }

  expire(key: string, seconds: number): Promise<boolean> {
    this.#touch([key]);
    return this.#call(EXPIRE, [key, seconds]);
  }

  increment(key: string, by: number): Promise<number> {
    this.#touch([key]);
    return this.#call(INCREMENT, [key, by]);
  }

  invalidateTags(tags: readonly string[]): Promise<number> {
    if (!this.closed) this.#functions.touchTags(...tags.slice(0, MAX_TAGS));
    return this.#call(INVALIDATE_TAGS, tags);
  }

  deletePattern(pattern: string): Promise<number> {
    this.#sweep();
    return this.#call(DELETE_PATTERN, [pattern]);
  }

  /** Removes keys that begin with `start` and have `part` between colons in what follows. */
  deletePart(start: string, part: string): Promise<number> {
    this.#sweep();
    return this.#call(DELETE_PART, [start, part]);
  }

  clear(namespace: string): Promise<number> {
    this.#sweep();
    return this.#call(CLEAR, [namespace]);
  }

  flush(): Promise<number> {
    this.#sweep();
    return this.#call(FLUSH, []);
  }

  /** Keys in Redis that begin with the text, and whether all were looked at. */
  count(start: string): Promise<[keys: number, complete: boolean]> {
    return this.#call(COUNT, [start]);
  }

  /** A slice of the keys that expire within so many seconds, behind the cursor of the next slice: `0` after the last. */
  expiring(cursor: string, pattern: string, seconds: number): Promise<string[]> {
    return this.#call(EXPIRING, [cursor, pattern, seconds]);
  }

  ping(): Promise<string> {
    return this.#call(PING, []);
  }

  /** Refuses new calls, waits for those in flight, leaves the connection. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      if (this.#pending > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
      this.#native.close();
      this.#connection.close();
    })();
    return this.#closing;
  }

  #call(code: number, args: readonly Argument[]): Promise<any> {
    if (this.closed) {
      return Promise.reject(cacheClosed());
    }
    const answer = door.call(this.#id, code, args);
    this.#pending++;
    answer.then(this.#settled, this.#settled);
    return answer;
  }

  readonly #settled = (): void => {
    if (--this.#pending === 0) this.#idle?.();
  };

  /**
   * Ends the copies of keys now. The engine does so too, but a call reaches it at the end of the turn, and a read that
   * follows the call in the same turn must not see the old value.
   */
  #touch(keys: readonly string[]): void {
    if (this.closed) return;
    for (let at = 0; at < keys.length; at += MAX_TAGS) this.#functions.touch(...keys.slice(at, at + MAX_TAGS));
  }

  #sweep(): void {
    // The empty key, which no caller has, stands for all.
    this.#touch(['']);
  }
}

/** A hit as `told` of `src/node/cache.rs` writes it. */
function found(answer: string, shard: number): Found {
  const end = answer.indexOf('\n');
  const numbers = answer.slice(0, end).split(',').map(Number);
  const [stamp, lifeMs, fresh, staleMs, loadMs, level] = numbers as [
    number,
    number,
    number,
    number,
    number,
    CacheLevel,
  ];
  const tags = numbers.length === 6 ? undefined : numbers.slice(6);
  const freshMs = fresh === -1 ? Number.POSITIVE_INFINITY : fresh;
  return { text: answer.slice(end + 1), shard, stamp, lifeMs, freshMs, staleMs, loadMs, level, tags };
}

function acquired(parts: readonly any[], shard: number): Acquired | undefined {
  if (parts.length === 0) return undefined;
  if (parts.length === 1) return { hit: found(parts[0], shard) };
  const [busy, stale, ...lease] = parts;
  return { busy, stale: stale === null ? undefined : found(stale, shard), lease };
}

/** The sum of epochs without what gaps added to it. */
export function generation(stamp: number, gaps: number): number {
  return (stamp - gaps) | 0;
}
