import { invalidArgument, invalidOption } from '../errors.js';
import type { Job } from '../job.js';
import type { ProcessorFunction } from '../processor.js';
import { refuseSandboxOptions } from '../sandbox/open-sandbox.js';
import type { WorkerOptions } from '../types/queue-options.js';
import { BatchCollector } from './batch-collector.js';
import { BatchRun } from './batch-run.js';
import type { BatchOptions, BatchProcessor } from './job-batch.js';

/** What batches need of their worker. */
export interface BatchHost<Data, Result, Name extends string, J> {
  /** Batches at once. */
  concurrency(): number;
  /** How many jobs the worker may hold from now on. */
  capacity(jobs: number): void;
  /** Runs one job of a batch. */
  run(job: J, share: ProcessorFunction<Data, Result, Name>): void;
}

/** Makes batches of what a worker takes, and runs them. @throws `ERR_INVALID_OPTION`, `ERR_INVALID_ARGUMENT`. */
export function openBatches<Data, Result, Name extends string, J extends Job<Data, Result, Name, any>>(
  processor: unknown,
  options: WorkerOptions,
  host: BatchHost<Data, Result, Name, J>,
): BatchCollector<J> {
  if (typeof processor === 'string' || processor instanceof URL) {
    throw invalidOption('batch', 'given for a processor that is a file', 'only for a function');
  }
  refuseSandboxOptions(options);
  if (options.prefetch)
    throw invalidOption('prefetch', 'true beside `batch`', 'false: a batch is as full as it can be');
  if (typeof processor !== 'function') {
    throw invalidArgument('processor', typeof processor, 'a function of a batch, with the option `batch`');
  }
  const process = processor as BatchProcessor<Data, Result, Name>;
  return new BatchCollector<J>(options.batch as BatchOptions, {
    concurrency: () => host.concurrency(),
    capacity: (jobs) => host.capacity(jobs),
    run: (jobs, ended) => {
      const batch = new BatchRun<Data, Result, Name, J>(jobs, process, ended);
      for (const [index, job] of jobs.entries()) host.run(job, batch.share(index));
      void batch.start();
    },
  });
}
