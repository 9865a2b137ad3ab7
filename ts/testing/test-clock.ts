import { createError, invalidArgument } from '../errors.js';
import { closed } from '../job-errors.js';
import { door, NativeTestEngine } from '../native.js';
import { nextTurn, systemNow } from '../system-time.js';

/** Calls and events; the numbers are those of `src/node/test_engine.rs`. */
const CALL = { idle: 0, step: 1, occupation: 2 } as const;

/** What one call that nobody else's traffic accompanies adds to the door's. */
const OWN_TRAFFIC = 2;

/** Milliseconds of the system's time. */
export interface Patience {
  /** How long a running job is waited for before time goes on without it. */
  job: number;
  /** How long a call may take altogether. */
  call: number;
}

/** The engine of one test, and its time. */
export class TestClock {
  readonly #native: NativeTestEngine;
  readonly #patience: Patience;
  /** Running jobs that were waited for in vain. */
  #hanging = 0;
  /** Moves come one after the other. */
  #moving: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(startMs: number, patience: Patience, onDue?: () => void) {
    this.#native = new NativeTestEngine(door.native, startMs, onDue !== undefined);
    this.#patience = patience;
    if (onDue) door.listen(this.#native.id, onDue);
  }

  /** Where services find the engine. */
  get url(): string {
    return this.#native.url;
  }

  /** Milliseconds since the epoch. */
  get now(): number {
    return this.#native.nowMs;
  }

  /** When the next thing is due, if any is. */
  get nextDue(): number | undefined {
    return this.#native.nextDueMs ?? undefined;
  }

  /** How many jobs processors are working on. */
  get running(): number {
    return this.#native.occupation;
  }

  /** Channel and payload of each published message, the oldest first. */
  published(): [channel: Buffer, payload: Buffer][] {
    const flat = this.#native.published();
    return Array.from({ length: flat.length / 2 }, (_, index) => [flat[2 * index]!, flat[2 * index + 1]!]);
  }

  /** Moves on by so many milliseconds, with everything that is due on the way at its own time. */
  advance(ms: number): Promise<void> {
    if (!(typeof ms === 'number' && ms >= 0 && Number.isFinite(ms))) {
      throw invalidArgument('ms', String(ms), 'milliseconds from 0');
    }
    return this.#inTurn(() => this.#moveTo(Math.trunc(this.now + ms)));
  }

  /** The same, to a time; at once, where nothing is due before. A time that is past stays. */
  advanceTo(time: number): Promise<void> {
    return this.#inTurn(() => this.#moveTo(time));
  }

  /** Moves on at once, if nothing is due before; says whether it did. */
  jumpTo(time: number): boolean {
    const { nextDue } = this;
    if (this.#closed || (nextDue !== undefined && nextDue <= time)) return false;
    this.#native.jumpTo(time);
    return true;
  }

  /** Resolves when nothing is going on any more that does not wait for time. */
  settled(): Promise<void> {
    return this.#inTurn(() => this.#settle(this.#deadline()));
  }

  /** Waits, by the system's time, for the number of running jobs to change. */
  async changed(ms: number): Promise<void> {
    await this.#call(CALL.occupation, [this.running, ms]);
  }

  close(): void {
    this.#closed = true;
    door.unlisten(this.#native.id);
    this.#native.close();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#moving.then(work);
    this.#moving = turn.catch(() => undefined);
    return turn;
  }

  async #moveTo(until: number): Promise<void> {
    const deadline = this.#deadline();
    await this.#settle(deadline, until);
    for (let isThere = false; !isThere; ) {
      isThere = (await this.#call(CALL.step, [until])) as boolean;
      await this.#settle(deadline, until);
    }
  }

  /** Until neither side has anything left to do, and no job runs that may yet end. */
  async #settle(deadline: number, until?: number): Promise<void> {
    for (;;) {
      let before: number;
      do {
        if (systemNow() > deadline) throw this.#tooSlow(until);
        before = door.traffic;
        await this.#call(CALL.idle, []);
        await new Promise((resolve) => nextTurn(resolve));
      } while (door.traffic - before > OWN_TRAFFIC);
      const { running } = this;
      if (running <= this.#hanging) {
        this.#hanging = running;
        return;
      }
      if ((await this.#call(CALL.occupation, [running, this.#patience.job])) === running) this.#hanging = running;
    }
  }

  #call(code: number, args: readonly number[]): Promise<unknown> {
    if (this.#closed) return Promise.reject(closed('test infrastructure'));
    return door.call(this.#native.id, code, args);
  }

  #deadline(): number {
    return systemNow() + this.#patience.call;
  }

  #tooSlow(until: number | undefined): Error {
    const goal = until === undefined ? 'coming to rest' : `reaching ${new Date(until).toISOString()}`;
    return createError({
      code: 'ERR_WAIT_TIMED_OUT',
      message: `${goal} took longer than ${this.#patience.call} ms; it is ${new Date(this.now).toISOString()} and ${this.running} jobs are running`,
      details: { limit: this.#patience.call },
    });
  }
}
