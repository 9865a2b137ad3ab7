import type { Job } from './job.js';
import { jobTimedOut } from './job-errors.js';
import { toJson } from './json.js';
import type { ProcessorFunction } from './processor.js';
import { retryAfter } from './retry-after.js';
import { isThenable } from './service-emitter.js';
import { steeringOf } from './steering.js';
import { toError } from './thrown-error.js';
import type { BackoffStrategy } from './types/queue-options.js';

/**
 * What became of one attempt, in the form in which it is reported. `retryAfterMs` is -1 for not again, null for as the
 * job's options say; `fault` is why a backoff strategy could not be followed, `timedOut` that the job's timeout was over.
 */
export type AttemptOutcome<Result> =
  | { kind: 'completed'; value: string; result: Result }
  | { kind: 'failed'; error: Error; retryAfterMs: number | null; fault?: Error; timedOut?: boolean }
  | { kind: 'delayed'; untilMs: number; error: Error | undefined }
  | { kind: 'waiting' | 'waiting-children'; error: Error | undefined };

/** What a run needs of its worker. */
interface AttemptHost {
  readonly backoffStrategy: BackoffStrategy | undefined;
  after(ms: number, act: () => void): () => void;
}

/** One run of a processor on one job, with its time limit and its signal. */
export class Attempt<Data, Result, Name extends string> {
  #controller: AbortController | undefined;
  #timeout: Error | undefined;

  constructor(
    readonly job: Job<Data, Result, Name>,
    readonly token: string,
    private readonly process: ProcessorFunction<Data, Result, Name>,
    private readonly host: AttemptHost,
  ) {
    if (process.length >= 3) this.#controller = new AbortController();
  }

  /** Asks the processor to stop; whether it does is its own affair. False when it takes no signal. */
  abort(reason: unknown): boolean {
    this.#controller?.abort(reason);
    return this.#controller !== undefined;
  }

  /** Never rejects. */
  async run(): Promise<AttemptOutcome<Result>> {
    try {
      const timeout = this.job.timeLimit;
      const returned = this.process(this.job, this.token, this.#controller?.signal);
      const result = isThenable(returned)
        ? await (timeout === undefined ? returned : this.#within(timeout, returned as Promise<Result>))
        : returned;
      return this.#moved(undefined) ?? this.#completed(result as Result);
    } catch (thrown) {
      return this.#failed(thrown);
    }
  }

  #completed(result: Result): AttemptOutcome<Result> {
    try {
      const value = result === undefined ? 'null' : toJson(result, `result of job ${this.job.id}`, 'null');
      return { kind: 'completed', value, result };
    } catch (error) {
      // The work is done: running it again would do it twice and end the same way.
      return { kind: 'failed', error: error as Error, retryAfterMs: -1 };
    }
  }

  #moved(error: Error | undefined): AttemptOutcome<Result> | undefined {
    const move = this.job.requestedMove;
    if (!move) return undefined;
    return move.to === 'delayed' ? { kind: 'delayed', untilMs: move.untilMs, error } : { kind: move.to, error };
  }

  async #failed(thrown: unknown): Promise<AttemptOutcome<Result>> {
    const error = toError(thrown);
    const steering = steeringOf(thrown);
    if (steering === 'delayed' || steering === 'waiting') {
      const moved = this.#moved(error);
      if (moved) return moved;
    }
    switch (steering) {
      case 'waiting':
      case 'waiting-children':
        return { kind: steering, error };
      case 'delayed':
        error.message = 'a DelayedError was thrown without job.moveToDelayed(timestamp) before it';
        return { kind: 'failed', error, retryAfterMs: null };
      case 'unrecoverable':
        return { kind: 'failed', error, retryAfterMs: -1 };
      default:
        return {
          kind: 'failed',
          error,
          timedOut: error === this.#timeout,
          ...(await retryAfter(this.job, error, this.host.backoffStrategy)),
        };
    }
  }

  async #within(timeoutMs: number, running: Promise<Result>): Promise<Result> {
    let callOff: (() => void) | undefined;
    const over = new Promise<never>((_resolve, reject) => {
      callOff = this.host.after(timeoutMs, () => {
        const error = jobTimedOut(this.job.id, this.job.queueName, timeoutMs);
        this.#timeout = error;
        this.abort(error);
        reject(error);
      });
    });
    try {
      return await Promise.race([running, over]);
    } finally {
      callOff?.();
    }
  }
}
