import { createError, type OxcartError } from './errors.js';
import { UnrecoverableError } from './steering.js';

/** The job does not exist (any more). */
export function jobNotFound(jobId: string, queue: string): OxcartError {
  return createError({
    code: 'ERR_JOB_NOT_FOUND',
    message: `queue ${queue} has no job ${jobId}`,
    details: { jobId, queue },
  });
}

/** The job is not in the state that the call needs. */
export function jobNotInState(jobId: string, queue: string, state: string): OxcartError {
  return createError({
    code: 'ERR_JOB_NOT_IN_STATE',
    message: `job ${jobId} in queue ${queue} is ${state}, where this cannot be done`,
    details: { jobId, queue, state },
  });
}

/**
 * What a job is told whose children have failed: no further attempt helps it, as in BullMQ. Other errors stay as they are.
 */
export function jobHasFailedChildren(error: unknown): unknown {
  const { code, details, message } = error as OxcartError;
  if (code !== 'ERR_JOB_HAS_CHILDREN' || details['reply'] !== 'FAILEDCHILDREN') return error;
  return Object.assign(new UnrecoverableError(message), { cause: error });
}

/** The job's result is in an envelope that cannot be opened here. */
export function resultUnreadable(jobId: string, queue: string): OxcartError {
  return createError({
    code: 'ERR_PAYLOAD_UNREADABLE',
    message: `the result of job ${jobId} in queue ${queue} cannot be read: the job is gone, or its key is missing here`,
    details: { jobId, queue },
  });
}

/** No queue of that name was defined. */
export function queueNotFound(queue: string, known: readonly string[]): OxcartError {
  return createError({
    code: 'ERR_QUEUE_NOT_FOUND',
    message: `no queue ${queue} was defined; defined: ${known.join(', ')}`,
    details: { queue },
  });
}

/** This worker no longer holds the job's lock. */
export function jobLockLost(jobId: string, queue: string): OxcartError {
  return createError({
    code: 'ERR_JOB_LOCK_LOST',
    message: `the lock of job ${jobId} in queue ${queue} is lost; another worker may run the job`,
    details: { jobId, queue },
  });
}

/** An attempt took longer than the job's `timeout`. */
export function jobTimedOut(jobId: string, queue: string, timeoutMs: number): OxcartError {
  return createError({
    code: 'ERR_WAIT_TIMED_OUT',
    message: `job ${jobId} in queue ${queue} ran longer than its timeout of ${timeoutMs} ms`,
    details: { jobId, queue, limit: timeoutMs },
    retryable: true,
  });
}

/** Whether a signal's reason is that an attempt took too long. */
export function isTimeout(reason: unknown): boolean {
  return (reason as { code?: unknown } | undefined)?.code === 'ERR_WAIT_TIMED_OUT';
}

/** The wait for `what` ended before its result came. */
export function waitTimedOut(what: string, limitMs: number): OxcartError {
  return createError({
    code: 'ERR_WAIT_TIMED_OUT',
    message: `waited ${limitMs} ms for ${what}`,
    details: { limit: limitMs },
    retryable: true,
  });
}

/** A value cannot be written as JSON. */
export function notSerializable(what: string, cause: unknown): OxcartError {
  const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
  return createError({ code: 'ERR_NOT_SERIALIZABLE', message: `${what} has no JSON form: ${reason}`, cause });
}

/** The object was closed. `what` names it: `worker of queue mail`. */
export function closed(what: string): OxcartError {
  return createError({ code: 'ERR_CLOSED', message: `${what} is closed` });
}
