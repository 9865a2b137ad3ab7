import { door, NativeTestTime } from './native.js';
import { systemNow } from './system-time.js';

let prefix: string | undefined;

/** The time of what a service stores. */
export interface ServiceTime {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back when so many milliseconds are over; gives what calls that off. */
  after(ms: number, act: () => void): () => void;
}

const systemTime: ServiceTime = {
  now: systemNow,
  // As it is at the moment: a test runner may fake it.
  after(ms, act) {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * The time that a service goes by: the system's, or on the engine of a test the one that the test moves.
 *
 * @throws `ERR_CLOSED` for the engine of a test that is over.
 */
export function timeAt(url: string | undefined): ServiceTime {
  if (!url?.startsWith('memory://')) return systemTime;
  prefix ??= NativeTestTime.prefix();
  return url.startsWith(prefix) ? new TestTime(url) : systemTime;
}

/** The time that a test moves. */
class TestTime implements ServiceTime {
  readonly #native: NativeTestTime;
  readonly #timers = new Map<number, () => void>();

  constructor(url: string) {
    this.#native = NativeTestTime.of(door.native, url);
  }

  readonly now = (): number => {
    door.follow();
    return this.#native.nowMs;
  };

  readonly after = (ms: number, act: () => void): (() => void) => {
    door.follow();
    // Heard only while there is something to hear, so that nothing keeps this from being collected.
    if (this.#timers.size === 0) door.listen(this.#native.id, (_event, timer) => this.#due(timer));
    const timer = this.#native.startTimer(ms);
    this.#timers.set(timer, act);
    return () => this.#stop(timer);
  };

  #due(timer: number): void {
    const act = this.#timers.get(timer);
    this.#stop(timer);
    act?.();
  }

  #stop(timer: number): void {
    if (!this.#timers.delete(timer)) return;
    this.#native.stopTimer(timer);
    if (this.#timers.size === 0) door.unlisten(this.#native.id);
  }
}
