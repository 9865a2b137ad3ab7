import { invalidArgument } from '../errors.js';
import { kindOf } from '../kind-of.js';
import { startTimeout, stopTimeout } from '../system-time.js';

/** Minutes that are remembered, one day of them. */
const MINUTES = 24 * 60;
const MINUTE_MS = 60_000;

/** Reads by where they found a value. */
export interface Reads {
  level1: number;
  level2: number;
  level3: number;
  misses: number;
}

type Row = [level1: number, level2: number, level3: number, misses: number];

const ROW = 4;

/**
 * Reads by domain, and by the minute for one day: a ring of fixed size for the service and each domain. Counters only grow; a
 * minute is what they were at its end, so that counting a hit costs nothing more.
 */
export class Statistics {
  readonly #now: () => number;
  readonly #whole: () => Reads;
  readonly #domains = new Map<string, Row>();
  /** Of each domain, and of the service under the empty name: counters at the end of a minute. */
  readonly #rings = new Map<string, Float64Array>();
  readonly #firstMinute: number;
  #timer: ReturnType<typeof startTimeout> | undefined;
  /** The last minute that is in the rings. */
  #recorded: number;

  /** `whole` tells what all reads of the service found so far. */
  constructor(domains: Iterable<string>, whole: () => Reads, now: () => number) {
    this.#now = now;
    this.#whole = whole;
    for (const domain of domains) this.#domains.set(domain, [0, 0, 0, 0]);
    for (const name of ['', ...this.#domains.keys()]) this.#rings.set(name, new Float64Array(MINUTES * ROW));
    this.#firstMinute = minuteOf(now());
    this.#recorded = this.#firstMinute - 1;
    this.#wait();
  }

  /** A read of a domain: 1 for this process, 2 for what is beyond it, undefined for none. */
  count(domain: string, level: 1 | 2 | undefined): void {
    const row = this.#domains.get(domain);
    if (row !== undefined) row[level === undefined ? 3 : level - 1]!++;
  }

  /** Reads of a domain, or of the service, from the minute of `from` up to that of `to`, which counts too. */
  reads(domain: string | undefined, from: number | undefined, to: number | undefined): Reads {
    this.tick();
    const name = domain ?? '';
    const until = to === undefined ? undefined : minuteOf(to);
    const end = until === undefined || until > this.#recorded ? this.#current(name) : this.#at(name, until);
    const begin = from === undefined ? [0, 0, 0, 0] : this.#at(name, minuteOf(from) - 1);
    const [level1, level2, level3, misses] = end.map((count, at) => Math.max(0, count - begin[at]!)) as Row;
    return { level1, level2, level3, misses };
  }

  close(): void {
    stopTimeout(this.#timer);
  }

  /** Writes each minute down when it ends. */
  #wait(): void {
    this.#timer = startTimeout(
      () => {
        this.tick();
        this.#wait();
      },
      MINUTE_MS - (this.#now() % MINUTE_MS) + 1,
    );
    this.#timer.unref();
  }

  #current(name: string): Row {
    if (name !== '') return [...this.#domains.get(name)!] as Row;
    const { level1, level2, level3, misses } = this.#whole();
    return [level1, level2, level3, misses];
  }

  /** Counters at the end of a minute. */
  #at(name: string, minute: number): Row {
    if (minute < this.#firstMinute) return [0, 0, 0, 0];
    if (minute > this.#recorded) return this.#current(name);
    // Of what is forgotten, the oldest that is known.
    const kept = Math.max(minute, this.#recorded - MINUTES + 1);
    const at = (kept % MINUTES) * ROW;
    const ring = this.#rings.get(name)!;
    return [ring[at]!, ring[at + 1]!, ring[at + 2]!, ring[at + 3]!];
  }

  /** Writes down the minutes that are over, before what is read now is counted. Time that passed unseen, while the process slept, saw no reads. */
  tick(): void {
    const last = minuteOf(this.#now()) - 1;
    if (last <= this.#recorded) return;
    const first = Math.max(this.#recorded + 1, last - MINUTES + 1);
    for (const [name, ring] of this.#rings) {
      const row = this.#current(name);
      for (let minute = first; minute <= last; minute++) ring.set(row, (minute % MINUTES) * ROW);
    }
    this.#recorded = last;
  }
}

function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE_MS);
}

/** A time that a caller gave, in milliseconds since the epoch. */
export function timeArgument(name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const ms = value instanceof Date ? value.getTime() : value;
  if (typeof ms === 'number' && Number.isFinite(ms)) return ms;
  const got = value instanceof Date ? 'no valid date' : typeof value === 'number' ? String(value) : kindOf(value);
  throw invalidArgument(name, got, 'a Date, or milliseconds since the epoch');
}
