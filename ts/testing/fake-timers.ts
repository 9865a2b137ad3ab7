import { door } from '../native.js';
import { type Patience, TestClock } from './test-clock.js';

/** What a timer can hold. */
const LONGEST_DELAY = 2 ** 31 - 1;

/**
 * A clock that follows `Date.now()` and `setTimeout` as they are at the moment: those of a test runner that fakes them, or the
 * system's.
 *
 * `Date.now()` says how far the clock may go; it goes there from one due time to the next, as the other one does. While it
 * has not caught up, its own time is the earlier one, so that what is due first still happens first.
 */
export function followingClock(patience: Patience): { clock: TestClock; stop: () => void } {
  /** Of the kind of timers that it was set with: they may be faked, or real again, meanwhile. */
  let cancel = (): void => undefined;
  let isCatchingUp = false;
  let isStopped = false;

  const clock = new TestClock(Date.now(), patience, () => follow());

  function follow(): void {
    if (isCatchingUp || isStopped) return;
    const now = Date.now();
    if (now > clock.now && !clock.jumpTo(now)) {
      isCatchingUp = true;
      void clock
        .advanceTo(now)
        // What was too slow is told to whoever waits for it.
        .catch(() => undefined)
        .finally(() => {
          isCatchingUp = false;
          follow();
        });
      return;
    }
    cancel();
    const { nextDue } = clock;
    if (nextDue === undefined) return;
    const { clearTimeout: clear } = globalThis;
    const timer = setTimeout(follow, Math.min(Math.max(nextDue - now, 0), LONGEST_DELAY));
    // Real timers have it: nothing that is merely due keeps a process running.
    (timer as { unref?: () => void }).unref?.();
    cancel = () => clear(timer);
  }

  door.followers.add(follow);
  return {
    clock,
    stop() {
      isStopped = true;
      cancel();
      door.followers.delete(follow);
    },
  };
}
