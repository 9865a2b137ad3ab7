import { createError } from '../errors.js';
import { nextTurn } from '../system-time.js';
import { BulkReader, type Loader } from './bulk.js';
import { type CacheEngine, type CacheLevel, epochs, type Found, generation } from './engine.js';
import { type Desk, type Factory, Flights, isDue } from './flights.js';
import { type HotEntry, HotView, type Validity } from './hot-view.js';
import type { Making } from './making.js';
import { hotLife } from './storing.js';
import { copy, decode, encode, freeze, isBinary, type Serializer } from './values.js';

/** Values that one thread keeps decoded, at most; and the part of `level1.maxSize` that they may take. */
const MOST_HOT = 10_000;
const HOT_PART = 1 / 32;

const NO_TAGS: readonly string[] = [];

/** What the service does with what happens here. */
export interface ReaderEvents {
  hit(key: string, level: CacheLevel): void;
  miss(key: string): void;
  stored(key: string): void;
  /** A stored value could not be read, and counts as missing. */
  unreadable(error: Error): void;
  /** A source failed, and no caller is told. */
  sourceFailed(error: unknown): void;
  /** Takes an error of Redis: throws it if the caller is to hear of it. */
  failed(error: unknown): void;
}

/** How a value that a factory makes is stored. */
export interface Storing {
  ttl: number | undefined;
  tags: readonly string[];
}

/** A load that is running, with the invalidations that were known when it began. */
interface Load {
  readonly generation: number;
  promise: Promise<unknown>;
  found: Found | undefined;
}

/**
 * Reads through the levels: the hot view of this thread, level 1 of the process, Redis and level 3, the caller's factory.
 *
 * One load and one factory run for a key at a time, and whoever asks meanwhile shares the outcome, an error too. But a
 * flight that began before the key was invalidated is joined by nobody who asks after: its value may be the old one.
 */
export class CacheReader {
  readonly hot: HotView;
  level2Hits = 0;
  level3Hits = 0;
  misses = 0;
  /** Hits of level 1 that passed the hot view by. */
  #peeked = 0;

  readonly #engine: CacheEngine;
  readonly #events: ReaderEvents;
  readonly #clone: boolean;
  readonly #frozen: boolean;
  readonly #serializer: Serializer;
  readonly #loads = new Map<string, Load>();
  readonly flights: Flights;
  readonly #bulk: BulkReader;

  constructor(
    engine: CacheEngine,
    { clone, serializer }: { clone: boolean; serializer: Serializer },
    events: ReaderEvents,
  ) {
    this.#engine = engine;
    this.#events = events;
    this.#clone = clone;
    this.#serializer = serializer;
    this.#frozen = !clone && process.env['NODE_ENV'] !== 'production';
    const desk: Desk = {
      attempt: (outcome) => this.#attempt(outcome),
      count: (key, level) => this.#count(key, level),
      encode: (key, value) => encode(key, value, serializer),
      decoded: (key, text) => this.#decoded(key, text),
      keep: (key, text, validity, lifeMs) => this.#keep(key, text, validity, lifeMs),
      keepFound: (key, found) => this.#keepFound(key, found),
      stored: (key) => events.stored(key),
      sourceFailed: (error) => events.sourceFailed(error),
    };
    this.flights = new Flights(engine, desk);
    this.#bulk = new BulkReader(engine, desk, this.flights);
    this.hot = new HotView({
      epochs: epochs ?? new Int32Array(0),
      sweep: engine.sweepShard,
      maxEntries: epochs === undefined || engine.localBytes === 0 ? 0 : MOST_HOT,
      maxBytes: engine.localBytes * HOT_PART,
      clock: engine.clock,
    });
  }

  get level1Hits(): number {
    return this.hot.hits + this.#peeked;
  }

  /** What a hit of the hot view resolves to. */
  promiseOf(entry: HotEntry): Promise<unknown> {
    return entry.text === undefined ? entry.promise : Promise.resolve(decode(entry.text));
  }

  /** The value that this process has, as a promise. */
  local(key: string): Promise<unknown> | undefined {
    const entry = this.hot.get(key);
    if (entry !== undefined) {
      this.#events.hit(key, 1);
      return this.promiseOf(entry);
    }
    const text = this.#engine.peek(key, NO_TAGS);
    return text === undefined ? undefined : this.#keepPeeked(key, text);
  }

  /** The value of a key, null without one. */
  get(key: string): Promise<unknown> {
    const local = this.local(key);
    if (local !== undefined) return local;
    return this.#own(this.#join(key));
  }

  /** The value of a key, past level 1. */
  async getRemote(key: string): Promise<unknown> {
    this.#engine.peek(key, NO_TAGS);
    return this.#own(this.#load(key, this.#engine.peekedShard));
  }

  /** The stored text of a key. */
  async getText(key: string): Promise<string | null> {
    let text = this.#engine.peek(key, NO_TAGS);
    let level: CacheLevel = 1;
    if (text === undefined) {
      const found = await this.#attempt(this.#engine.load(key, this.#engine.peekedShard, undefined, NO_TAGS));
      if (found !== undefined && 'text' in found) ({ text, level } = found);
    }
    this.#count(key, text === undefined ? undefined : level);
    if (text !== undefined && isBinary(text)) {
      throw createError({
        code: 'ERR_NOT_SERIALIZABLE',
        message: `cache key \`${key.slice(0, 64)}\` has a value in MessagePack, which has no text; read it without \`parse: false\``,
        details: { key },
      });
    }
    return text ?? null;
  }

  /** The value of a key, made by `factory` without one. */
  getOrSet(key: string, factory: Factory, making: Making): Promise<unknown> {
    const running = this.flights.running(key);
    const tags = running?.tags ?? making.tags;
    const text = this.#engine.peek(key, tags);
    if (text !== undefined) {
      const kept = this.#found(key, text, factory, making);
      if (kept !== undefined) return kept;
      this.#engine.peek(key, tags);
    }
    if (running !== undefined && running.generation === this.#engine.peekedGeneration) {
      const joined = this.flights.ask(key, factory, { ...making, tags }, this.#engine.peeked);
      const again = () => this.getOrSet(key, factory, making);
      return this.#own(joined.then((value) => (this.holds(running.found) ? value : again())));
    }
    if (tags !== making.tags) this.#engine.peek(key, making.tags);
    return this.#own(this.flights.ask(key, factory, making, this.#engine.peeked));
  }

  /** A value of level 1, which may be due for a refresh; undefined when it cannot be read. */
  #found(key: string, text: string, factory: Factory, making: Making): Promise<unknown> | undefined {
    const [freshMs, loadMs] = this.#engine.peekedFreshness;
    // What is valid now is valid under the counters as they are: those of a value that is loaded from now on.
    const validity = making.beta > 0 ? this.#engine.peeked : undefined;
    const kept = this.#keepPeeked(key, text);
    if (kept !== undefined && validity !== undefined && isDue(freshMs, loadMs, making.beta)) {
      nextTurn(() => this.flights.refresh(key, factory, making, validity, freshMs));
    }
    return kept;
  }

  /** The values of keys, those that are missing made by one call of `loader`. */
  async getOrSetMany(keys: readonly string[], loader: Loader, making: Making): Promise<unknown[]> {
    const values = await this.#bulk.read(keys, loader, making, (key) => this.local(key));
    return this.#clone ? values.map((value) => copy(value, this.#serializer)) : values;
  }

  /** The values of keys: from this process, the rest in one round trip. */
  async getMany(keys: readonly string[]): Promise<unknown[]> {
    const values = new Array<unknown>(keys.length).fill(null);
    const missing: number[] = [];
    const shards: number[] = [];
    for (const [index, key] of keys.entries()) {
      const entry = this.hot.get(key);
      const text = entry === undefined ? this.#engine.peek(key, NO_TAGS) : undefined;
      if (entry !== undefined) {
        values[index] = entry.text === undefined ? entry.value : decode(entry.text);
        this.#events.hit(key, 1);
      } else if (text !== undefined) {
        this.#count(key, 1);
        const lifeMs = Math.min(this.#engine.peekedLife, hotLife(...this.#engine.peekedFreshness));
        values[index] = this.#keep(key, text, this.#engine.peeked, lifeMs) ?? null;
      } else {
        missing.push(index);
        shards.push(this.#engine.peekedShard);
      }
    }
    if (missing.length === 0) return values;
    const wanted = missing.map((index) => keys[index]!);
    const found = (await this.#attempt(this.#engine.loadMany(wanted, shards))) ?? [];
    for (const [at, index] of missing.entries()) {
      const one = found[at];
      if (one !== undefined) values[index] = this.#keepFound(keys[index]!, one) ?? null;
      this.#count(keys[index]!, one?.level);
    }
    return values;
  }

  /** The running load of a key, unless the key was invalidated since it began; else a new one. Call after a peek. */
  #join(key: string): Promise<unknown> {
    const running = this.#loads.get(key);
    if (running !== undefined && running.generation === this.#engine.peekedGeneration) {
      return running.promise.then((value) => (this.holds(running.found) ? value : this.get(key)));
    }
    const { shard, stamp, gaps } = this.#engine.peeked;
    const load: Load = { generation: generation(stamp, gaps), promise: Promise.resolve(), found: undefined };
    load.promise = this.#load(key, shard, load);
    this.#loads.set(key, load);
    const landed = () => {
      if (this.#loads.get(key) === load) this.#loads.delete(key);
    };
    load.promise.then(landed, landed);
    return load.promise;
  }

  /**
   * Whether nobody who asks now may be refused a value that was found: not if it was invalidated since. A flight knows of
   * its key from the beginning, but of the tags of what it finds only then.
   */
  holds(found: Found | undefined): boolean {
    return found === undefined || epochs === undefined || this.hot.holds(found);
  }

  async #load(key: string, shard: number, load?: Load): Promise<unknown> {
    const found = await this.#attempt(this.#engine.load(key, shard, undefined, NO_TAGS));
    if (found === undefined || !('text' in found)) {
      this.#count(key, undefined);
      return null;
    }
    this.#count(key, found.level);
    if (load !== undefined) load.found = found;
    return this.#keepFound(key, found) ?? null;
  }

  /** The outcome; undefined when Redis failed and the caller is not to hear of it. */
  async #attempt<T>(outcome: Promise<T>): Promise<T | undefined> {
    try {
      return await outcome;
    } catch (error) {
      this.#events.failed(error);
      return undefined;
    }
  }

  #count(key: string, level: CacheLevel | undefined): void {
    if (level === undefined) {
      this.misses++;
      this.#events.miss(key);
      return;
    }
    if (level === 1) this.#peeked++;
    else if (level === 2) this.level2Hits++;
    else this.level3Hits++;
    this.#events.hit(key, level);
  }

  /** Undefined for what cannot be read; it is removed. */
  #decoded(key: string, text: string): unknown {
    try {
      const value = decode(text);
      return this.#frozen ? freeze(value) : value;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : 'unknown';
      const message = `a stored cache entry is no MessagePack: ${why}`;
      this.#events.unreadable(createError({ code: 'ERR_CACHE_ENTRY_UNREADABLE', message, details: { key }, cause }));
      this.#engine.deleteMany([key]).catch(() => undefined);
      return undefined;
    }
  }

  #keepFound(key: string, found: Found): unknown {
    return this.#keep(key, found.text, found, Math.min(found.lifeMs, hotLife(found.freshMs, found.loadMs)));
  }

  #keepPeeked(key: string, text: string): Promise<unknown> | undefined {
    const lifeMs = Math.min(this.#engine.peekedLife, hotLife(...this.#engine.peekedFreshness));
    const value = this.#keep(key, text, this.#engine.peeked, lifeMs);
    if (value === undefined) return undefined;
    this.#count(key, 1);
    return Promise.resolve(value);
  }

  /** Puts a value into the hot view and gives it, the caller's own when callers get copies. */
  #keep(key: string, text: string, validity: Validity, lifeMs: number): unknown {
    const value = this.#decoded(key, text);
    if (value === undefined) return undefined;
    const copied = this.#clone && typeof value === 'object';
    if (lifeMs > 0) {
      const content = {
        value,
        text: copied ? text : undefined,
        promise: Promise.resolve(value),
        bytes: 2 * text.length,
      };
      this.hot.set(key, content, validity, lifeMs);
    }
    return value;
  }

  /** The outcome of a flight that others share, as one caller gets it. */
  #own(promise: Promise<unknown>): Promise<unknown> {
    return this.#clone ? promise.then((value) => copy(value, this.#serializer)) : promise;
  }
}
