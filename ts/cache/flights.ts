import { AsyncLocalStorage } from 'node:async_hooks';
import { createError } from '../errors.js';
import { nextTurn, startTimeout, stopTimeout, systemNow } from '../system-time.js';
import type { CacheFactoryContext } from '../types/cache-types.js';
import { checkKeys, checkSeconds } from './arguments.js';
import { type CacheEngine, type CacheLevel, type Found, generation, type Lease, type Peeked } from './engine.js';
import type { Validity } from './hot-view.js';
import type { Making } from './making.js';
import { store } from './storing.js';

/** Keys whose sources rest after a failure, at most: the oldest give way. */
const MOST_RESTING = 10_000;
/** How long a source that failed is left alone while a stale value stands in for it. */
const STALE_BACKOFF_MS = 1_000;
/** How long a call waits for the process that asks the source, before it asks it, too. */
const LOCK_WAIT_MS = 10_000;
/** How long a source that is late is waited for by those who come after, before it is asked again. */
const LATE_WAIT_MS = 10_000;

const NO_TAGS: readonly string[] = [];

/** A factory as the service hands it over. */
export type Factory = (context: CacheFactoryContext<any>) => unknown;

/** What a flight needs of the reader around it. */
export interface Desk {
  attempt<T>(outcome: Promise<T>): Promise<T | undefined>;
  count(key: string, level: CacheLevel | undefined): void;
  encode(key: string, value: unknown): string;
  decoded(key: string, text: string): unknown;
  keep(key: string, text: string, validity: Validity, lifeMs: number): unknown;
  keepFound(key: string, found: Found): unknown;
  stored(key: string): void;
  /** A source failed, and no caller hears of it. */
  sourceFailed(error: unknown): void;
}

/** A source that failed and is left alone, with what stands in for it. */
interface Rest {
  readonly until: number;
  readonly generation: number;
  readonly error: unknown;
  readonly stale: { readonly value: unknown } | undefined;
}

/** One load of a key, and the factory when it finds nothing. Whoever asks meanwhile shares its outcome. */
export class Flight {
  answer!: Promise<unknown>;
  /** Settles when nothing is going on any more: a stale value may have been the answer long before. */
  done!: Promise<unknown>;
  /** What may stand in for the source; known when `prepared` is resolved. */
  stale: { readonly value: unknown } | undefined;
  /** What lay in Redis, and was the answer. */
  found: Found | undefined;
  readonly prepared: Promise<void>;
  prepare!: () => void;
  /** Flights whose outcome a factory of this one waits for. */
  readonly waitsFor = new Set<Flight>();
  /** Nobody waits for it any more. */
  aborted = false;
  /** Those who waited last had no more time: its value is still welcome. */
  late = false;
  /** Callers that may leave; those that cannot keep it going for ever. */
  #leavers = 0;
  #kept = false;
  #controller: AbortController | undefined;

  constructor(
    readonly key: string,
    readonly generation: number,
    readonly tags: readonly string[],
  ) {
    this.prepared = new Promise((resolve) => (this.prepare = resolve));
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  keepGoing(): void {
    this.#kept = true;
  }

  join(): void {
    this.#leavers++;
  }

  /** The last one who leaves calls it off. */
  leave(reason: unknown, late = false): void {
    if (--this.#leavers > 0 || this.#kept) return;
    this.aborted = true;
    this.late = late;
    void this.signal;
    this.#controller?.abort(reason);
  }

  reaches(other: Flight, seen = new Set<Flight>()): boolean {
    if (this === other) return true;
    if (seen.has(this)) return false;
    seen.add(this);
    for (const next of this.waitsFor) if (next.reaches(other, seen)) return true;
    return false;
  }
}

/**
 * The value of a flight whose callers had no more time, for the one that follows it: a slow source is not asked a second
 * time while it is at work. Undefined when that failed, or goes on for too long.
 */
async function outlast(before: Flight, flight: Flight): Promise<{ readonly value: unknown } | undefined> {
  await before.prepared;
  flight.stale = before.stale;
  flight.prepare();
  let timer: unknown;
  const patience = new Promise<undefined>((resolve) => {
    timer = startTimeout(() => resolve(undefined), LATE_WAIT_MS);
  });
  const late = before.done.then(
    (value) => ({ value }),
    () => undefined,
  );
  try {
    return await Promise.race([late, patience]);
  } finally {
    stopTimeout(timer as Parameters<typeof stopTimeout>[0]);
  }
}

/** The flights of one cache in one thread. */
export class Flights {
  readonly #engine: CacheEngine;
  readonly #desk: Desk;
  readonly #running = new Map<string, Flight>();
  readonly #resting = new Map<string, Rest>();
  /** Which flight's factory is running: only while one is, because every promise of the thread pays for it. */
  readonly #within = new AsyncLocalStorage<Flight>();
  #factories = 0;

  constructor(engine: CacheEngine, desk: Desk) {
    this.#engine = engine;
    this.#desk = desk;
  }

  /** The flight of a key that may be joined, or whose tags say what its generation is. */
  running(key: string): Flight | undefined {
    return this.#running.get(key);
  }

  /** The value of a key that this process has not. Call after a peek that named `making.tags`. */
  ask(key: string, factory: Factory, making: Making, validity: Peeked): Promise<unknown> {
    const mine = this.#within.getStore();
    const asked = generation(validity.stamp, validity.gaps);
    const running = making.lock === false ? undefined : this.#running.get(key);
    // One that waits for ourselves can never answer.
    const circular = mine !== undefined && running?.reaches(mine) === true;
    let flight = running;
    const joinable = running !== undefined && running.generation === asked && !circular;
    if (!joinable || running.aborted) {
      flight = new Flight(key, asked, making.tags);
      const before = joinable && running.late ? running : undefined;
      this.#start(flight, factory, making, validity, !circular && making.lock !== false, undefined, before);
    }
    if (mine !== undefined) this.#wait(mine, flight!);
    return this.#attend(flight!, making);
  }

  /** Asks the source behind the back of the callers, if nobody else does. */
  refresh(key: string, factory: Factory, making: Making, validity: Peeked, freshMs: number): void {
    if (this.#running.has(key) || this.#rest(key, validity) !== undefined) return;
    const flight = new Flight(key, generation(validity.stamp, validity.gaps), making.tags);
    flight.keepGoing();
    this.#start(flight, factory, making, validity, true, freshMs);
    flight.answer.catch((error: unknown) => this.#desk.sourceFailed(error));
  }

  /** Registers a flight that a bulk load settles. */
  open(key: string, tags: readonly string[], validity: Peeked): { flight: Flight; settle: (value: unknown) => void } {
    const flight = new Flight(key, generation(validity.stamp, validity.gaps), tags);
    flight.keepGoing();
    let settle!: (value: unknown) => void;
    flight.answer = new Promise((resolve) => (settle = resolve));
    flight.done = flight.answer;
    flight.prepare();
    this.#register(flight);
    return { flight, settle };
  }

  /** Runs a bulk loader on behalf of its flights. */
  runFor(flights: readonly Flight[], load: () => unknown): Promise<unknown> {
    const all = new Flight('', 0, NO_TAGS);
    for (const flight of flights) flight.waitsFor.add(all);
    return this.#run(all, async () => load());
  }

  /** Whether joining a flight would wait for the factory that asks. */
  isCircular(flight: Flight): boolean {
    const mine = this.#within.getStore();
    return mine !== undefined && flight.reaches(mine);
  }

  /** Notes that the factory that asks waits for these flights. */
  awaited(flights: Iterable<Flight>): void {
    const mine = this.#within.getStore();
    if (mine !== undefined) for (const flight of flights) this.#wait(mine, flight);
  }

  #wait(mine: Flight, flight: Flight): void {
    mine.waitsFor.add(flight);
    const over = () => void mine.waitsFor.delete(flight);
    flight.answer.then(over, over);
  }

  #register(flight: Flight): void {
    this.#running.set(flight.key, flight);
    const landed = () => {
      if (this.#running.get(flight.key) === flight) this.#running.delete(flight.key);
    };
    flight.done.then(landed, landed);
  }

  #start(
    flight: Flight,
    factory: Factory,
    making: Making,
    validity: Peeked,
    shared: boolean,
    freshMs: number | undefined,
    before?: Flight,
  ): void {
    let early!: (value: unknown) => void;
    const sooner = new Promise<unknown>((resolve) => (early = resolve));
    flight.done = this.#fly(flight, factory, making, validity, freshMs, early, shared, before);
    flight.done.then(flight.prepare, flight.prepare);
    flight.answer = Promise.race([flight.done, sooner]);
    // Nobody may be left to hear of a failure.
    flight.answer.catch(() => undefined);
    if (shared) this.#register(flight);
  }

  /** The outcome of a flight as one caller waits for it. */
  #attend(flight: Flight, making: Making): Promise<unknown> {
    const { softMs, hardMs, signal, staleMs } = making;
    if (softMs === undefined && hardMs === undefined && signal === undefined) {
      flight.keepGoing();
      return flight.answer;
    }
    if (signal?.aborted) return Promise.reject(signal.reason);
    flight.join();
    return new Promise((resolve, reject) => {
      let open = true;
      const close = () => {
        open = false;
        stopTimeout(soft);
        stopTimeout(hard);
        signal?.removeEventListener('abort', abort);
      };
      const leave = (reason: unknown, late = false) => {
        if (!open) return;
        close();
        flight.leave(reason, late);
        reject(reason);
      };
      const abort = () => leave(signal!.reason);
      const soft =
        softMs === undefined || staleMs === 0
          ? undefined
          : startTimeout(async () => {
              await flight.prepared;
              if (!open || flight.stale === undefined) return;
              close();
              // It goes on behind the callers' backs.
              flight.keepGoing();
              resolve(flight.stale.value);
            }, softMs);
      const hard =
        hardMs === undefined ? undefined : startTimeout(() => leave(timedOut(flight.key, hardMs), true), hardMs);
      signal?.addEventListener('abort', abort);
      flight.answer.then(
        (value) => {
          if (!open) return;
          close();
          resolve(value);
        },
        (error: unknown) => {
          if (!open) return;
          close();
          reject(error);
        },
      );
    });
  }

  async #fly(
    flight: Flight,
    factory: Factory,
    making: Making,
    validity: Peeked,
    freshMs: number | undefined,
    early: (value: unknown) => void,
    shared: boolean,
    before: Flight | undefined,
  ): Promise<unknown> {
    const { key } = flight;
    if (before !== undefined) {
      const late = await outlast(before, flight);
      if (late !== undefined) return late.value;
    }
    const resting = this.#rest(key, validity);
    // What stands in does so only for those who asked for it.
    if (resting !== undefined && (resting.stale === undefined || making.staleMs > 0)) {
      if (resting.stale !== undefined) return resting.stale.value;
      throw resting.error;
    }
    const exclusive = making.lock === 'distributed' && shared;
    const answered = await this.#desk.attempt(
      this.#engine.acquire({
        key,
        shard: validity.shard,
        ttl: making.ttl,
        tags: making.tags,
        waitMs: !exclusive ? undefined : freshMs === undefined ? (making.hardMs ?? LOCK_WAIT_MS) : 0,
        staleSuffices: making.staleMs > 0,
        freshMs,
      }),
    );
    const hit = answered !== undefined && 'hit' in answered ? answered.hit : undefined;
    // An entry that cannot be read is missing.
    const kept = hit && this.#desk.keepFound(key, hit);
    if (hit !== undefined && kept !== undefined) {
      flight.found = hit;
      if (freshMs === undefined) this.#desk.count(key, hit.level);
      if (isDue(hit.freshMs, hit.loadMs, making.beta)) {
        nextTurn(() => this.refresh(key, factory, making, validity, hit.freshMs));
      }
      return kept;
    }
    const acquired = answered === undefined || 'hit' in answered ? undefined : answered;
    if (acquired?.busy && freshMs !== undefined && acquired.stale !== undefined) {
      return this.#desk.decoded(key, acquired.stale.text);
    }
    if (freshMs === undefined) this.#desk.count(key, undefined);
    const standIn =
      making.staleMs === 0 && freshMs === undefined
        ? undefined
        : (acquired?.stale ?? this.#engine.peekStale(key, validity));
    if (standIn !== undefined) {
      flight.stale = { value: this.#desk.decoded(key, standIn.text) };
      if (acquired?.busy) return flight.stale.value;
      const age = making.staleMs - standIn.staleMs;
      if (freshMs === undefined && making.swrMs > 0 && age <= making.swrMs) {
        flight.keepGoing();
        early(flight.stale.value);
      }
    }
    flight.prepare();
    return this.#make(flight, factory, making, validity, acquired?.lease, standIn);
  }

  async #make(
    flight: Flight,
    factory: Factory,
    making: Making,
    validity: Peeked,
    lease: Lease | undefined,
    standIn: Found | undefined,
  ): Promise<unknown> {
    const { key } = flight;
    const context = new Context(flight);
    const started = performance.now();
    let made: unknown;
    let text: string | undefined;
    try {
      made = await this.#run(flight, () => factory(context));
      const nothing = made === undefined || made === null;
      if (!context.skipped && !(nothing && making.negativeTtl === undefined))
        text = this.#desk.encode(key, made ?? null);
    } catch (error) {
      this.#engine.release(key, lease);
      if (flight.aborted) throw error;
      const stale = standIn === undefined ? undefined : flight.stale;
      this.#failed(key, error, making, validity, standIn, stale);
      if (stale === undefined) throw error;
      this.#desk.sourceFailed(error);
      return stale.value;
    }
    this.#resting.delete(key);
    if (text === undefined) {
      this.#engine.release(key, lease);
      return made;
    }
    const nothing = made === undefined || made === null;
    const loadMs = making.beta === 0 ? 0 : Math.max(1, Math.round((performance.now() - started) * making.beta));
    const late = (context.tags ?? NO_TAGS).filter((tag) => !making.tags.includes(tag));
    return store(
      this.#engine,
      this.#desk,
      { key, text, nothing, ttl: context.ttl, late, loadMs, validity, lease },
      making,
    );
  }

  /** Runs a factory where it can be told which flight asks for another key. */
  async #run(flight: Flight, factory: () => unknown): Promise<unknown> {
    this.#factories++;
    try {
      return await this.#within.run(flight, factory);
    } finally {
      if (--this.#factories === 0) this.#within.disable();
    }
  }

  #rest(key: string, validity: Peeked): Rest | undefined {
    const rest = this.#resting.get(key);
    if (rest === undefined) return undefined;
    if (rest.until > systemNow() && rest.generation === generation(validity.stamp, validity.gaps)) return rest;
    this.#resting.delete(key);
    return undefined;
  }

  /** Leaves the source alone for a while: always when there is something to stand in, else if the caller said so. */
  #failed(
    key: string,
    error: unknown,
    making: Making,
    validity: Peeked,
    standIn: Found | undefined,
    stale: Rest['stale'],
  ): void {
    const backoff = making.backoffMs ?? (stale === undefined ? 0 : STALE_BACKOFF_MS);
    if (backoff === 0) return;
    // From now, but not beyond the life of what stands in.
    const until =
      systemNow() + (stale === undefined ? backoff : Math.min(backoff, standIn!.freshMs + standIn!.staleMs));
    if (this.#resting.size >= MOST_RESTING) {
      for (const oldest of this.#resting.keys()) {
        this.#resting.delete(oldest);
        break;
      }
    }
    this.#resting.set(key, { until, generation: generation(validity.stamp, validity.gaps), error, stale });
  }
}

/**
 * Whether a read is the one that refreshes a value early: by the XFetch algorithm, the likelier the nearer its end is and
 * the longer it takes to load, times the factor of who made it.
 */
export function isDue(freshMs: number, loadMs: number, beta: number): boolean {
  return beta > 0 && loadMs > 0 && loadMs * -Math.log(1 - Math.random()) >= freshMs;
}

class Context implements CacheFactoryContext {
  ttl: number | undefined;
  tags: readonly string[] | undefined;
  skipped = false;
  readonly #flight: Flight;

  constructor(flight: Flight) {
    this.#flight = flight;
  }

  get key(): string {
    return this.#flight.key;
  }

  get stale(): any {
    return this.#flight.stale?.value;
  }

  get signal(): AbortSignal {
    return this.#flight.signal;
  }

  setTtl(seconds: number): void {
    checkSeconds(seconds, 'seconds');
    this.ttl = seconds;
  }

  setTags(tags: readonly string[]): void {
    checkKeys(tags, 'tags');
    this.tags = tags;
  }

  skip(): void {
    this.skipped = true;
  }
}

function timedOut(key: string, afterMs: number): Error {
  return createError({
    code: 'ERR_WAIT_TIMED_OUT',
    message: `the source of cache key \`${key.slice(0, 64)}\` did not answer within ${afterMs} ms`,
    details: { key: key.slice(0, 512), limit: afterMs },
    retryable: true,
  });
}
