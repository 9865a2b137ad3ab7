import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitForOptions {
  /** Default 10,000. */
  timeoutMs?: number;
  /** Pause between two looks. Default 10. */
  intervalMs?: number;
  /** What is waited for; stands in the error. */
  what?: string;
  /** Fail at once when the look throws, instead of looking again. Default false. */
  stopOnError?: boolean;
}

/**
 * Looks until `look` returns something truthy and returns that; throws when the time is over, with the last error as
 * its cause. For conditions outside this process, which send no signal.
 */
export async function waitFor<T>(look: () => T | Promise<T>, options: WaitForOptions = {}): Promise<NonNullable<T>> {
  const { timeoutMs = 10_000, intervalMs = 10, what = look.toString(), stopOnError = false } = options;
  const end = performance.now() + timeoutMs;
  let cause: unknown;
  do {
    try {
      const found = await look();
      if (found) return found;
      cause = undefined;
    } catch (error) {
      if (stopOnError) throw error;
      cause = error;
    }
    await sleep(intervalMs);
  } while (performance.now() < end);
  throw new Error(`waited ${timeoutMs} ms in vain for: ${what}`, { cause });
}
