import type { ProgressAccess } from './job-base.js';
import { JobChildren } from './job-children.js';
import { jobHasFailedChildren } from './job-errors.js';
import { QUEUE_CALL } from './job-host.js';
import { type JobRow, type StoredJobJson, storedJob } from './job-row.js';
import { toJson } from './json.js';
import { retryAfter } from './retry-after.js';
import { steeringOf } from './steering.js';
import { type Finished, keepLast, OUTCOME, type Settlement } from './worker-protocol.js';

/**
 * The next job, as `moveToCompleted` and `moveToFailed` fetch it: what `Job.fromJSON` takes (null: there is none), its id
 * (0: none), milliseconds until a rate limit ends, and when the next delayed job is due. Empty when none was asked for.
 */
export type NextJobData =
  | []
  | [jobData: StoredJobJson | null, jobId: string | 0, rateLimitDelay: number, delayUntil: number];

/** Ends of an attempt: those that a processor asks for, and those that are stored at once for a job fetched by hand. */
export abstract class JobByHand<
  Data = any,
  Result = any,
  Name extends string = string,
  Progress = ProgressAccess,
> extends JobChildren<Data, Result, Name, Progress> {
  /**
   * The job goes to delayed until `timestamp` (milliseconds since the epoch). No attempt is used up.
   *
   * In a processor that happens when it ends, usually at once by `throw new DelayedError()`.
   *
   * @param token Of a job that was fetched by hand, which is moved at once.
   */
  async moveToDelayed(timestamp: number, token?: string): Promise<void> {
    if (this.mustDefer('moveToDelayed', token)) this.requestMove({ to: 'delayed', untilMs: timestamp });
    else await this.#finish(token, false, [OUTCOME.delayed, Math.floor(timestamp)]);
    this.delay = Math.max(timestamp - this.host.now(), 0);
  }

  /**
   * The job goes back to the front of its queue. No attempt is used up.
   *
   * In a processor that happens when it ends, usually at once by `throw new WaitingError()`.
   *
   * @param token Of a job that was fetched by hand, which is moved at once.
   * @returns Milliseconds for which a rate limit holds the queue back; 0 for none.
   */
  async moveToWait(token?: string): Promise<number> {
    if (this.mustDefer('moveToWait', token)) this.requestMove({ to: 'waiting' });
    else await this.#finish(token, false, [OUTCOME.waiting]);
    return Math.max((await this.call(QUEUE_CALL.getRateLimitTtl, [])) as number, 0);
  }

  /**
   * The job waits for its children, if it has unfinished ones; then it is started again. No attempt is used up.
   *
   * In a processor that happens when it ends: `if (await job.moveToWaitingChildren(token)) throw new
   * WaitingChildrenError()`.
   *
   * @param options.child Looks for this child only; the job still waits for all of them.
   * @returns Whether there is something to wait for.
   * @throws An `UnrecoverableError` when a child with `failParentOnFailure` has failed; `ERR_JOB_LOCK_LOST`.
   */
  async moveToWaitingChildren(
    token: string,
    options: { child?: { id: string /** `prefix:name`. */; queue: string } } = {},
  ): Promise<boolean> {
    const defers = this.mustDefer('moveToWaitingChildren', token);
    const child = options.child && `${options.child.queue}:${options.child.id}`;
    try {
      const waits = (await this.call(QUEUE_CALL.checkChildren, [this.id, token ?? this.token, child])) as boolean;
      if (!waits) return false;
      if (defers) this.requestMove({ to: 'waiting-children' });
      else await this.#finish(token, false, [OUTCOME['waiting-children']]);
      return true;
    } catch (error) {
      throw jobHasFailedChildren(error);
    }
  }

  /** In a processor: a failure of this attempt is final, whatever attempts are left. */
  discard(): void {
    this.requestNoRetry();
  }

  /**
   * Completes a job that was fetched with `token`.
   *
   * @param fetchNext Takes the next job with the same token. Default true.
   * @throws `ERR_JOB_NOT_FOUND`, `ERR_JOB_LOCK_LOST`, `ERR_JOB_NOT_IN_STATE`, `ERR_JOB_HAS_CHILDREN` (unfinished ones),
   * an `UnrecoverableError` when a child has failed.
   */
  async moveToCompleted(returnValue: Result, token: string, fetchNext = true): Promise<NextJobData> {
    const value = toJson(returnValue, `result of job ${this.id}`, 'null');
    try {
      const [, next] = await this.#finish(token, fetchNext, [OUTCOME.completed, value]);
      this.returnvalue = returnValue;
      this.finishedOn = this.host.now();
      this.attemptsMade += 1;
      return next;
    } catch (error) {
      throw jobHasFailedChildren(error);
    }
  }

  /**
   * Fails this attempt of a job that was fetched with `token`: the job is tried again by its options, or fails for good.
   *
   * @param fetchNext Takes the next job with the same token. Default false.
   * @throws `ERR_JOB_NOT_FOUND`, `ERR_JOB_LOCK_LOST`, `ERR_JOB_NOT_IN_STATE`.
   */
  async moveToFailed(error: Error, token: string, fetchNext = false): Promise<NextJobData> {
    const again =
      steeringOf(error) === 'unrecoverable'
        ? { retryAfterMs: -1 }
        : await retryAfter(this, error, this.host.backoffStrategy?.());
    const failed = [OUTCOME.failed, String(error.message), error.stack, again.retryAfterMs ?? undefined];
    const [[kind, , delayMs], next] = await this.#finish(token, fetchNext, failed);
    this.failedReason = error.message;
    this.attemptsMade += 1;
    if (kind === 'failed') this.finishedOn = this.host.now();
    else if (delayMs > 0) this.delay = delayMs;
    if (error.stack) this.stacktrace = keepLast([...this.stacktrace, error.stack], this.opts.stackTraceLimit);
    return next;
  }

  /**
   * Renews the lock of a job that was fetched by hand; those of processors are renewed without it.
   *
   * @param duration Milliseconds from now on.
   * @returns 1, or 0 when the lock is not this token's any more.
   */
  async extendLock(token: string, duration: number): Promise<number> {
    const lost = (await this.call(QUEUE_CALL.extendLocks, [duration, this.id, token])) as string[];
    return lost.length === 0 ? 1 : 0;
  }

  async #finish(
    token: string | undefined,
    fetchNext: boolean,
    outcome: (string | number | undefined)[],
  ): Promise<[Settlement, NextJobData]> {
    const args = [this.id, token ?? this.token, fetchNext, ...outcome];
    const [settlement, next] = (await this.call(QUEUE_CALL.finish, args)) as Finished;
    return [settlement, next ? nextJobData(next) : []];
  }
}

function nextJobData([row, limited, due]: [JobRow | null, number, number]): NextJobData {
  return row ? [storedJob(row), row[0], limited, due] : [null, 0, limited, due];
}
