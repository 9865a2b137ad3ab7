import { inspect } from 'node:util';
import type { Job } from '../job.js';
import type { ProcessorFunction } from '../processor.js';
import { UnrecoverableError } from '../steering.js';
import { toError } from '../thrown-error.js';
import { type BatchProcessor, JobBatch } from './job-batch.js';

interface Share<Result> {
  promise: Promise<Result>;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
  isSettled: boolean;
}

/**
 * One call of a batch processor, seen by each of its jobs as a processor of its own: so that each has its own timeout,
 * cancellation, steering, retries and outcome.
 */
export class BatchRun<Data, Result, Name extends string, J extends Job<Data, Result, Name, any>> {
  readonly #shares: Share<Result>[];
  readonly #controller: AbortController | undefined;
  #left: number;

  /** @param ended Called once, before the last job hears of its outcome. */
  constructor(
    private readonly jobs: readonly J[],
    private readonly process: BatchProcessor<Data, Result, Name>,
    private readonly ended: () => void,
  ) {
    this.#left = jobs.length;
    this.#shares = jobs.map(() => newShare());
    if (process.length >= 2) this.#controller = new AbortController();
  }

  /** Calls the processor. Never rejects. */
  async start(): Promise<void> {
    for (const job of this.jobs) job.enterBatch();
    const batch = new JobBatch<Job<Data, Result, Name>>(this.jobs);
    let results: readonly Result[] | undefined;
    let error: unknown;
    let isFailed = false;
    try {
      results = this.#checked(await this.process(batch, this.#controller?.signal));
    } catch (thrown) {
      error = thrown;
      isFailed = true;
    }
    // Together, so that the worker takes further jobs with the call that stores the outcomes of these.
    this.jobs.forEach((job, index) => {
      if (job.batchFailure) this.#settle(index, (share) => share.reject(job.batchFailure));
      else if (isFailed) this.#settle(index, (share) => share.reject(error));
      else this.#settle(index, (share) => share.resolve(results?.[index] as Result));
    });
  }

  /** The processor of one job of the batch. */
  share(index: number): ProcessorFunction<Data, Result, Name> {
    return (_job, _token, signal) => {
      const abort = () => {
        this.#settle(index, (share) => share.reject(signal?.reason));
        if (this.#left === 0) this.#controller?.abort(signal?.reason);
      };
      if (signal?.aborted) abort();
      else signal?.addEventListener('abort', abort, { once: true });
      return this.#shares[index]!.promise;
    };
  }

  #settle(index: number, settle: (share: Share<Result>) => void): void {
    const share = this.#shares[index]!;
    if (share.isSettled) return;
    share.isSettled = true;
    this.#left -= 1;
    if (this.#left === 0) this.ended();
    settle(share);
  }

  #checked(returned: readonly Result[] | void): readonly Result[] | undefined {
    if (returned === undefined || returned === null) return undefined;
    if (Array.isArray(returned) && returned.length === this.jobs.length) return returned;
    const got = Array.isArray(returned) ? `an array of ${returned.length}` : inspect(returned, { depth: 0 });
    // The work is done: running it again would do it twice and end the same way.
    throw new UnrecoverableError(
      `the processor of a batch returned ${got}; allowed: nothing, or an array with a result for each of its ${this.jobs.length} jobs`,
    );
  }
}

function newShare<Result>(): Share<Result> {
  const share = { isSettled: false } as Share<Result>;
  share.promise = new Promise<Result>((resolve, reject) => {
    share.resolve = resolve;
    share.reject = (error) => reject(error instanceof Error ? error : toError(error));
  });
  // A job whose attempt has ended otherwise listens no more.
  share.promise.catch(() => undefined);
  return share;
}
