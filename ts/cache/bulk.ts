import { invalidArgument } from '../errors.js';
import { kindOf } from '../kind-of.js';
import type { Acquired, CacheEngine, Peeked } from './engine.js';
import type { Desk, Flight, Flights } from './flights.js';
import type { Making } from './making.js';
import { store } from './storing.js';

const NO_TAGS: readonly string[] = [];

/** Loads the keys that are missing. */
export type Loader = (keys: readonly string[]) => unknown;

interface Missing {
  readonly key: string;
  readonly validity: Peeked;
  readonly flight: Flight;
  readonly settle: (value: unknown) => void;
}

/** Values of many keys: one round trip for all that this process has not, one call of the loader for all that are missing. */
export class BulkReader {
  readonly #engine: CacheEngine;
  readonly #desk: Desk;
  readonly #flights: Flights;

  constructor(engine: CacheEngine, desk: Desk, flights: Flights) {
    this.#engine = engine;
    this.#desk = desk;
    this.#flights = flights;
  }

  /** `local` gives what this process has of a key. */
  async read(
    keys: readonly string[],
    loader: Loader,
    making: Making,
    local: (key: string) => Promise<unknown> | undefined,
  ): Promise<unknown[]> {
    const answers = new Map<string, Promise<unknown>>();
    const joined: Flight[] = [];
    const missing: Missing[] = [];
    for (const key of keys) {
      if (answers.has(key)) continue;
      const here = local(key);
      if (here !== undefined) {
        answers.set(key, here);
        continue;
      }
      const running = this.#flights.running(key);
      this.#engine.peek(key, running?.tags ?? making.tags);
      const fits = running?.generation === this.#engine.peekedGeneration && !this.#flights.isCircular(running);
      if (running !== undefined && fits) {
        running.keepGoing();
        joined.push(running);
        answers.set(key, running.answer);
        continue;
      }
      if (running !== undefined) this.#engine.peek(key, making.tags);
      const validity = this.#engine.peeked;
      const { flight, settle } = this.#flights.open(key, making.tags, validity);
      answers.set(key, flight.answer);
      missing.push({ key, validity, flight, settle });
    }
    this.#flights.awaited([...joined, ...missing.map(({ flight }) => flight)]);
    if (missing.length > 0) {
      try {
        await this.#load(missing, loader, making);
      } catch (error) {
        for (const { settle } of missing) settle(rejected(error));
      }
    }
    return Promise.all(keys.map((key) => answers.get(key)));
  }

  async #load(missing: readonly Missing[], loader: Loader, making: Making): Promise<void> {
    const shards = missing.map(({ validity }) => validity.shard);
    const wanted = missing.map(({ key }) => key);
    const found = await this.#desk.attempt(this.#engine.acquireMany(wanted, shards, making.ttl, making.tags));
    const absent: { one: Missing; acquired: Exclude<Acquired, { hit: unknown }> | undefined }[] = [];
    for (const [index, one] of missing.entries()) {
      const acquired = found?.[index];
      const hit = acquired !== undefined && 'hit' in acquired ? acquired.hit : undefined;
      const kept = hit && this.#desk.keepFound(one.key, hit);
      this.#desk.count(one.key, kept === undefined ? undefined : hit?.level);
      if (kept !== undefined) one.settle(kept);
      else absent.push({ one, acquired: acquired === undefined || 'hit' in acquired ? undefined : acquired });
    }
    if (absent.length === 0) return;
    const keys = absent.map(({ one }) => one.key);
    let values: unknown[];
    let texts: (string | undefined)[];
    try {
      values = inOrder(
        keys,
        await this.#flights.runFor(
          absent.map(({ one }) => one.flight),
          () => loader(keys),
        ),
      );
      texts = values.map((value, index) => this.#textOf(keys[index]!, value, making));
    } catch (error) {
      let all = true;
      for (const { one, acquired } of absent) {
        this.#engine.release(one.key, acquired?.lease);
        const standIn =
          making.staleMs === 0 ? undefined : (acquired?.stale ?? this.#engine.peekStale(one.key, one.validity));
        if (standIn === undefined) one.settle(rejected(error));
        else one.settle(this.#desk.decoded(one.key, standIn.text));
        all &&= standIn !== undefined;
      }
      if (all) this.#desk.sourceFailed(error);
      return;
    }
    // All in one turn, so that they leave in one write.
    await Promise.all(
      absent.map(async ({ one, acquired }, index) => {
        const text = texts[index];
        if (text === undefined) {
          this.#engine.release(one.key, acquired?.lease);
          one.settle(values[index] ?? null);
          return;
        }
        try {
          const { key, validity } = one;
          const nothing = values[index] == null;
          const made = { key, text, nothing, late: NO_TAGS, loadMs: 0, validity, lease: acquired?.lease };
          one.settle(await store(this.#engine, this.#desk, made, making));
        } catch (error) {
          one.settle(rejected(error));
        }
      }),
    );
  }

  #textOf(key: string, value: unknown, making: Making): string | undefined {
    const nothing = value === undefined || value === null;
    return nothing && making.negativeTtl === undefined ? undefined : this.#desk.encode(key, value ?? null);
  }
}

/** A rejection that whoever asked hears of, and nobody else needs to. */
function rejected(error: unknown): Promise<never> {
  const rejection = Promise.reject(error);
  rejection.catch(() => undefined);
  return rejection;
}

/** What a loader returned, in the order of the keys. */
function inOrder(keys: readonly string[], loaded: unknown): unknown[] {
  if (loaded instanceof Map) return keys.map((key) => loaded.get(key));
  const allowed = `an array of ${keys.length} values in the order of the keys, or a Map by key`;
  if (!Array.isArray(loaded))
    throw invalidArgument('loader', `one that returns ${kindOf(loaded)}`, `one that returns ${allowed}`);
  if (loaded.length !== keys.length) {
    throw invalidArgument('loader', `one that returns ${loaded.length} values`, `one that returns ${allowed}`);
  }
  return loaded;
}
