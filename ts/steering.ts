/**
 * Errors that a processor throws to steer its job. They are not faults: a worker turns each into an outcome. As in
 * BullMQ they are also recognized by `name`, so that one from another copy of the package counts.
 */

/** The job fails now and is not tried again, whatever attempts are left. */
export class UnrecoverableError extends Error {
  override name = 'UnrecoverableError';
  constructor(message = 'bullmq:unrecoverable') {
    super(message);
  }
}

/** The job was moved to delayed by `job.moveToDelayed(timestamp)`. No attempt is used up. */
export class DelayedError extends Error {
  override name = 'DelayedError';
  constructor(message = 'bullmq:movedToDelayed') {
    super(message);
  }
}

/** The job goes back to the front of the queue. No attempt is used up. */
export class WaitingError extends Error {
  override name = 'WaitingError';
  constructor(message = 'bullmq:movedToWait') {
    super(message);
  }
}

/** The queue is rate limited (see `worker.rateLimit`); the job goes back to its front. No attempt is used up. */
export class RateLimitError extends Error {
  override name = 'RateLimitError';
  constructor(message = 'bullmq:rateLimitExceeded') {
    super(message);
  }
}

/** The job waits until its children have finished. */
export class WaitingChildrenError extends Error {
  override name = 'WaitingChildrenError';
  constructor(message = 'bullmq:movedToWaitingChildren') {
    super(message);
  }
}

/**
 * The reason of a cancelled job's signal. A processor that throws it (`signal.throwIfAborted()`) ends its job for good:
 * whoever cancels does not want it tried again.
 */
export class JobCancelledError extends Error {
  override name = 'JobCancelledError';
  constructor(message = 'the job was cancelled') {
    super(message);
  }

  /** The reason alone: BullMQ's `signal.reason` is a text. */
  override toString(): string {
    return this.message;
  }
}

/** What a thrown value asks for, or undefined when it is a failure. */
export function steeringOf(thrown: unknown): 'unrecoverable' | 'delayed' | 'waiting' | 'waiting-children' | undefined {
  if (!(thrown instanceof Error)) return undefined;
  switch (thrown.name) {
    case 'UnrecoverableError':
    case 'JobCancelledError':
      return 'unrecoverable';
    case 'DelayedError':
      return 'delayed';
    case 'WaitingError':
    case 'RateLimitError':
      return 'waiting';
    case 'WaitingChildrenError':
      return 'waiting-children';
    default:
      return thrown.message === 'bullmq:rateLimitExceeded' ? 'waiting' : undefined;
  }
}
