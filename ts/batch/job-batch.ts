import type { Job } from '../job.js';

/** Jobs that one call of a processor runs together. */
export class JobBatch<J extends Job<any, any, any, any> = Job> implements Iterable<J> {
  /** At least one, at most `batch.size`, in the order in which they were taken. */
  readonly jobs: readonly J[];

  /** @internal */
  constructor(jobs: readonly J[]) {
    this.jobs = jobs;
  }

  get length(): number {
    return this.jobs.length;
  }

  /** The jobs, under BullMQ Pro's name. */
  getBatch(): readonly J[] {
    return this.jobs;
  }

  [Symbol.iterator](): Iterator<J> {
    return this.jobs[Symbol.iterator]();
  }
}

/**
 * Runs the jobs of a batch. What it returns is nothing (each job completes with null) or an array with the result of each
 * job, in the batch's order. `job.setAsFailed(error)` fails one job; what it throws fails all jobs that it has not failed.
 *
 * @param signal Aborted when no job of the batch is wanted any more: timed out, cancelled, their locks lost, or the worker
 * closed by force. Made only for functions that declare two parameters.
 */
export type BatchProcessor<Data = any, Result = any, Name extends string = string> = (
  batch: JobBatch<Job<Data, Result, Name>>,
  signal?: AbortSignal,
) => Promise<readonly Result[] | void> | readonly Result[] | void;

/** Several jobs for one call of the processor, which is a {@link BatchProcessor}. */
export interface BatchOptions {
  /** Jobs of a batch, at most. */
  size: number;
  /** A batch with fewer jobs waits for more, up to `timeout`. Default 1: a free slot runs what there is. */
  minSize?: number;
  /** Milliseconds that the first job of a batch waits for `minSize`. Default 1000. */
  timeout?: number;
}
