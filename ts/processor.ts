import type { Job } from './job.js';

/**
 * Runs one job. Its promise's value becomes the job's result; what it throws fails the attempt.
 *
 * @param token Value of the job's lock.
 * @param signal Aborted when the job's `timeout` is over, its lock is lost, or it is cancelled. Made only for functions
 * that declare three parameters.
 */
export type ProcessorFunction<Data = any, Result = any, Name extends string = string> = (
  job: Job<Data, Result, Name>,
  token?: string,
  signal?: AbortSignal,
) => Promise<Result> | Result;

/** An object, usually of a class, that runs jobs. */
export interface ProcessorObject<Data = any, Result = any, Name extends string = string> {
  process: ProcessorFunction<Data, Result, Name>;
}

/** A class whose instance runs jobs; it is made without arguments, once. */
export type ProcessorClass<Data = any, Result = any, Name extends string = string> = new () => ProcessorObject<
  Data,
  Result,
  Name
>;

export type Processor<Data = any, Result = any, Name extends string = string> =
  | ProcessorFunction<Data, Result, Name>
  | ProcessorObject<Data, Result, Name>
  | ProcessorClass<Data, Result, Name>;

/**
 * The path or URL of a file whose default export (or `module.exports`) is a {@link Processor}: it runs in a sandbox, a
 * child process or a worker thread.
 */
export type ProcessorFile = string | URL;
