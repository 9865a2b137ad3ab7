import type { JobBase } from './job-base.js';
import { toError } from './thrown-error.js';
import type { BackoffStrategy } from './types/queue-options.js';

/** When a failed attempt is followed by another: `retryAfterMs` is -1 for not again, null for as the job's options say. */
export interface RetryDecision {
  retryAfterMs: number | null;
  /** Why the strategy could not be followed. */
  fault?: Error;
}

/** Asks the custom backoff strategy, where the job names one and an attempt is left. */
export async function retryAfter(
  job: JobBase<any, any, any, any>,
  error: Error,
  strategy: BackoffStrategy | undefined,
): Promise<RetryDecision> {
  if (job.isDiscarded) return { retryAfterMs: -1 };
  const { attempts = 1, backoff } = job.opts;
  const byOptions = { retryAfterMs: null };
  if (!strategy || job.attemptsMade + 1 >= attempts) return byOptions;
  if (typeof backoff !== 'object' || backoff.type === 'fixed' || backoff.type === 'exponential') return byOptions;
  try {
    const wait = await strategy(job.attemptsMade + 1, backoff.type, error, job);
    if (typeof wait !== 'number' || Number.isNaN(wait)) throw new TypeError('settings.backoffStrategy gave no number');
    return { retryAfterMs: wait };
  } catch (thrown) {
    // A strategy that fails must not cost the job its attempts.
    return { retryAfterMs: backoff.delay ?? 0, fault: toError(thrown) };
  }
}
