import { Job as BaseJob } from '../../job.js';
import type { JobHost } from '../../job-host.js';
import { type JobRow, optionsFromStored } from '../../job-row.js';
import { bullmqError } from './errors.js';
import type { JobJson, JobJsonSandbox, JobProgress, JobsOptions } from './types.js';

/** Hosts whose refusals read as those of BullMQ, by the host that refuses. */
const translated = new WeakMap<JobHost, JobHost>();

function translate(host: JobHost): JobHost {
  const known = translated.get(host);
  if (known) return known;
  const made: JobHost = {
    ...host,
    call: (code, args) =>
      host.call(code, args).catch((error: unknown) => {
        throw bullmqError(error, code, args);
      }),
  };
  translated.set(host, made);
  return made;
}

/**
 * A job, with BullMQ's `progress` (a plain value), error messages and error codes.
 *
 * Jobs are given by queues and workers.
 */
export class Job<
  DataType = any,
  ReturnType = any,
  NameType extends string = string,
  ProgressType extends JobProgress = JobProgress,
> extends BaseJob<DataType, ReturnType, NameType, ProgressType> {
  /** @internal */
  static override readonly sandboxModule: string = 'compat/bullmq/job.js';

  /** @internal */
  static override fromRow<D, R, N extends string>(host: JobHost, row: JobRow): Job<D, R, N> {
    // biome-ignore lint/complexity/noThisInStatic: the class that is asked makes the job, not the base
    return super.fromRow<D, R, N>(translate(host), row) as unknown as Job<D, R, N>;
  }

  /** @internal */
  static override added<D, R, N extends string>(
    host: JobHost,
    id: string,
    name: N,
    data: D,
    opts: JobsOptions,
    timestamp: number,
  ): Job<D, R, N> {
    const { backoff } = opts;
    const full = { attempts: 0, ...opts, ...(typeof backoff === 'number' ? { backoff: fixed(backoff) } : {}) };
    // biome-ignore lint/complexity/noThisInStatic: as above
    return super.added<D, R, N>(translate(host), id, name, data, full, timestamp) as unknown as Job<D, R, N>;
  }

  /** Options with the names that users write, from those that are stored. */
  static override optsFromJSON(rawOpts = '{}'): JobsOptions {
    return optionsFromStored(rawOpts);
  }

  /** The last value that the job reported; 0 before. */
  override get progress(): ProgressType {
    return this.lastProgress as ProgressType;
  }

  /** The job as it is stored, its values as JSON text; what it does not have is absent. */
  override asJSON(): JobJson {
    const json = {
      id: this.id,
      name: this.name,
      data: JSON.stringify(this.data === undefined ? {} : this.data),
      opts: this.opts,
      parent: this.parent && { ...this.parent },
      parentKey: this.parentKey,
      progress: this.progress,
      attemptsMade: this.attemptsMade,
      attemptsStarted: this.attemptsStarted,
      stalledCounter: this.stalledCounter,
      finishedOn: this.finishedOn,
      processedOn: this.processedOn,
      timestamp: this.timestamp,
      failedReason: JSON.stringify(this.failedReason),
      stacktrace: JSON.stringify(this.stacktrace),
      deduplicationId: this.deduplicationId,
      repeatJobKey: this.repeatJobKey,
      returnvalue: JSON.stringify(this.returnvalue),
    };
    return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== undefined)) as unknown as JobJson;
  }

  override asJSONSandbox(): JobJsonSandbox {
    const { queueName, queueQualifiedName, prefix } = this;
    return { ...this.asJSON(), queueName, queueQualifiedName, prefix };
  }

  /** Removes the job; one that is gone already is no failure. @throws While a worker runs it. */
  override async remove(options?: { removeChildren?: boolean }): Promise<void> {
    try {
      await super.remove(options);
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code === 'ERR_JOB_NOT_FOUND') return;
      if (code !== 'ERR_JOB_NOT_IN_STATE') throw error;
      throw new Error(`Job ${this.id} could not be removed because it is locked by another worker`, { cause: error });
    }
  }
}

const fixed = (delay: number) => ({ type: 'fixed' as const, delay });
