import { startInterval, stopInterval, systemNow } from '../system-time.js';

/** After so many readings the clock looks at the time again, should the event loop not have turned in between. */
const READINGS = 16;
/** How often the clock looks at the time while it is read. */
const TICK_MS = 20;

/**
 * The time, for what expires: at most {@link TICK_MS} old as long as the event loop turns. `Date.now()` costs more than all
 * the rest of a cache hit. Its timer runs only while the clock is read, and keeps no process from ending.
 */
export class CoarseClock {
  #now = 0;
  #left = 0;
  #read = false;
  #timer: NodeJS.Timeout | undefined;

  /** Milliseconds since the epoch. */
  now(): number {
    return --this.#left >= 0 ? this.#now : this.#look();
  }

  #look(): number {
    this.#now = systemNow();
    this.#left = READINGS - 1;
    this.#read = true;
    if (this.#timer === undefined) {
      this.#timer = startInterval(this.#tick, TICK_MS);
      this.#timer.unref();
    }
    return this.#now;
  }

  readonly #tick = (): void => {
    this.#left = 0;
    if (!this.#read) {
      stopInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#read = false;
  };
}

/** The clock of this thread. */
export const coarseClock = new CoarseClock();
