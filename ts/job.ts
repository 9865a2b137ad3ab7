import type { JobJson, JobMove, JobProgress, ProgressAccess } from './job-base.js';
import { JobByHand } from './job-by-hand.js';
import { jobNotFound, jobNotInState, resultUnreadable } from './job-errors.js';
import { type JobHost, type JobOwner, jobHostOf, QUEUE_CALL } from './job-host.js';
import { type JobRow, optionsFromStored, rowFromStored, type StoredJobJson } from './job-row.js';
import { toJson } from './json.js';
import { isSealed } from './payload-options.js';
import type { QueueEvents } from './queue-events.js';
import type { JobOptions, JobState } from './types/job-options.js';

export type { JobJson, JobMove, JobProgress, ProgressAccess };

/** Makes the jobs that a queue or worker gives. */
export interface JobMaker<J> {
  fromRow(host: JobHost, row: JobRow): J;
  added(host: JobHost, id: string, name: string, data: unknown, opts: JobOptions, timestamp: number): J;
}

/**
 * A job. Its fields are those of the moment when it was read; methods ask the server.
 *
 * Jobs are made by queues, workers and flow producers, never by `new`.
 *
 * @typeParam Progress What `progress` is: callable, as in Bull, unless a subclass says otherwise.
 */
export class Job<Data = any, Result = any, Name extends string = string, Progress = ProgressAccess> extends JobByHand<
  Data,
  Result,
  Name,
  Progress
> {
  /** @internal Where a sandbox finds this class, below the compiled sources. */
  static readonly sandboxModule: string = 'job.js';

  /** @internal */
  static fromRow<Data, Result, Name extends string>(host: JobHost, row: JobRow): Job<Data, Result, Name, any> {
    return new this<Data, Result, Name>(host, row);
  }

  /** @internal A job that was just added. */
  static added<Data, Result, Name extends string>(
    host: JobHost,
    id: string,
    name: Name,
    data: Data,
    opts: JobOptions,
    timestamp: number,
  ): Job<Data, Result, Name, any> {
    const job = new this<Data, Result, Name>(host, [id, name, '', '', '', '']);
    job.preset(data, opts, timestamp);
    return job;
  }

  /**
   * Adds a job, as `queue.add` does but without its event and without the queue's default options in `job.opts`.
   *
   * @throws What `queue.add` throws.
   */
  static create<Data = any, Result = any, Name extends string = string>(
    queue: JobOwner,
    name: Name,
    data: Data,
    opts: JobOptions = {},
  ): Promise<Job<Data, Result, Name>> {
    // biome-ignore lint/complexity/noThisInStatic: a subclass makes jobs of its own
    return createJob(this as unknown as JobMaker<Job<Data, Result, Name>>, queue, name, data, opts);
  }

  /** Adds jobs; those before one that is refused may have been added. @throws What `queue.add` throws. */
  static createBulk<Data = any, Result = any, Name extends string = string>(
    queue: JobOwner,
    jobs: { name: Name; data: Data; opts?: JobOptions }[],
  ): Promise<Job<Data, Result, Name>[]> {
    // biome-ignore lint/complexity/noThisInStatic: a subclass makes jobs of its own
    const JobClass = this as unknown as JobMaker<Job<Data, Result, Name>>;
    return Promise.all(jobs.map(({ name, data, opts }) => createJob(JobClass, queue, name, data, opts)));
  }

  /** The job with this id, or undefined. */
  static async fromId<Data = any, Result = any, Name extends string = string>(
    queue: JobOwner,
    jobId: string,
  ): Promise<Job<Data, Result, Name> | undefined> {
    const host = jobHostOf(queue);
    const row = (await host.call(QUEUE_CALL.getJob, [String(jobId)])) as JobRow | null;
    // biome-ignore lint/complexity/noThisInStatic: as above
    return row ? this.fromRow<Data, Result, Name>(host, row) : undefined;
  }

  /** A job from its stored form, such as `moveToCompleted` gives of the next one. */
  static fromJSON<Data = any, Result = any, Name extends string = string>(
    queue: JobOwner,
    json: StoredJobJson,
    jobId?: string,
  ): Job<Data, Result, Name> {
    // biome-ignore lint/complexity/noThisInStatic: as above
    return this.fromRow<Data, Result, Name>(jobHostOf(queue), rowFromStored(json, jobId));
  }

  /** Adds a row to the log of a job that need not be read; returns how many rows there are. */
  static async addJobLog(queue: JobOwner, jobId: string, logRow: string, keepLogs?: number): Promise<number> {
    return (await jobHostOf(queue).call(QUEUE_CALL.addLog, [jobId, String(logRow), keepLogs])) as number;
  }

  /** Options with the names that users write, from the JSON text that is stored. */
  static optsFromJSON(rawOpts?: string): JobOptions {
    return optionsFromStored(rawOpts || '{}');
  }

  /** Replaces the job's data. */
  async updateData(data: Data): Promise<void> {
    await this.call(QUEUE_CALL.updateData, [this.id, toJson(data, `data of job ${this.id}`, '{}')]);
    this.data = data;
  }

  /** Stores the given fields over the job's data, as the jobs of Bull are updated. Data that is no object is replaced. */
  async update(data: Partial<Data>): Promise<void> {
    const old: unknown = this.data;
    const isObject = (value: unknown) => value !== null && typeof value === 'object' && !Array.isArray(value);
    await this.updateData((isObject(old) && isObject(data) ? { ...(old as object), ...data } : data) as Data);
  }

  /** Adds a row to the job's log; returns how many rows there are. */
  async log(row: string): Promise<number> {
    const { keepLogs } = this.opts;
    return (await this.call(QUEUE_CALL.addLog, [this.id, String(row), keepLogs])) as number;
  }

  /** Deletes the job's log, or all but its last `keepLogs` rows. */
  async clearLogs(keepLogs?: number): Promise<void> {
    await this.call(QUEUE_CALL.clearLogs, [this.id, keepLogs]);
  }

  /** Lets other jobs with the same deduplication id be added, if this job stands in their way. False when it does not. */
  async removeDeduplicationKey(): Promise<boolean> {
    if (this.deduplicationId === undefined) return false;
    return (await this.call(QUEUE_CALL.removeDeduplication, [this.deduplicationId, this.id])) as boolean;
  }

  /** Where the job is now; `unknown` when it has been removed. */
  async getState(): Promise<JobState | 'unknown'> {
    return ((await this.call(QUEUE_CALL.getState, [this.id])) as JobState | null) ?? 'unknown';
  }

  async isCompleted(): Promise<boolean> {
    return (await this.getState()) === 'completed';
  }

  async isFailed(): Promise<boolean> {
    return (await this.getState()) === 'failed';
  }

  async isDelayed(): Promise<boolean> {
    return (await this.getState()) === 'delayed';
  }

  async isActive(): Promise<boolean> {
    return (await this.getState()) === 'active';
  }

  /** Whether the job waits for its children. */
  async isWaitingChildren(): Promise<boolean> {
    return (await this.getState()) === 'waiting-children';
  }

  /** Whether the job waits, with or without a priority. */
  async isWaiting(): Promise<boolean> {
    const state = await this.getState();
    return state === 'waiting' || state === 'prioritized';
  }

  /**
   * Removes the job, and with it the tree of its children, finished ones among them.
   *
   * @throws `ERR_JOB_NOT_IN_STATE` while a worker runs it or one of its children, `ERR_JOB_NOT_FOUND` when it is gone.
   */
  async remove(options: { /** Default true. */ removeChildren?: boolean } = {}): Promise<void> {
    const removed = (await this.call(QUEUE_CALL.remove, [this.id, options.removeChildren ?? true])) as boolean;
    if (removed) return;
    const state = await this.getState();
    throw state === 'unknown' ? jobNotFound(this.id, this.queueName) : jobNotInState(this.id, this.queueName, state);
  }

  /**
   * Puts a failed (or `completed`) job back into its queue.
   *
   * @throws `ERR_JOB_NOT_IN_STATE` when it is not there, `ERR_JOB_NOT_FOUND` when it is gone.
   */
  async retry(
    state: 'failed' | 'completed' = 'failed',
    options: {
      /** The job gets all its attempts again. Default false. */
      resetAttemptsMade?: boolean;
      /** `attemptsStarted` begins anew. Default false. */
      resetAttemptsStarted?: boolean;
    } = {},
  ): Promise<void> {
    const { resetAttemptsMade = false, resetAttemptsStarted = false } = options;
    await this.call(QUEUE_CALL.retry, [this.id, state, resetAttemptsMade, resetAttemptsStarted]);
    this.failedReason = undefined;
    this.finishedOn = undefined;
    this.processedOn = undefined;
    this.returnvalue = null;
    if (resetAttemptsMade) this.attemptsMade = 0;
    if (resetAttemptsStarted) this.attemptsStarted = 0;
  }

  /** Lets a delayed job run now. */
  async promote(): Promise<void> {
    await this.call(QUEUE_CALL.promote, [this.id]);
    this.delay = 0;
  }

  /** Makes a delayed job due so many milliseconds from now. @throws `ERR_JOB_NOT_IN_STATE` when it is not delayed. */
  async changeDelay(delay: number): Promise<void> {
    await this.call(QUEUE_CALL.changeDelay, [this.id, Math.floor(delay)]);
    this.delay = delay;
  }

  /** Changes the priority of a job that waits; `lifo` puts it before all others of that priority. */
  async changePriority(options: { priority?: number; lifo?: boolean }): Promise<void> {
    const { priority = 0, lifo = false } = options;
    await this.call(QUEUE_CALL.changePriority, [this.id, priority, lifo]);
    this.priority = priority;
  }

  /**
   * Resolves with the job's result when it has completed, in whatever process; rejects when it has failed for good.
   *
   * @param queueEvents Events of the job's queue.
   * @param ttl Milliseconds to wait, at most. Default: without limit.
   * @throws `ERR_WAIT_TIMED_OUT`, `ERR_JOB_NOT_FOUND`, `ERR_PAYLOAD_UNREADABLE` for an encrypted result of a job that is
   * gone or whose key this queue does not have; an `Error` with the job's `failedReason`.
   */
  async waitUntilFinished(queueEvents: QueueEvents, ttl?: number): Promise<Result> {
    const result = await queueEvents.finished(this.id, ttl, async () => {
      const state = await this.getState();
      // Another attempt's reason stays with a completed job, so the reason alone tells nothing.
      if (state !== 'completed' && state !== 'failed' && state !== 'unknown') return undefined;
      const row = (await this.call(QUEUE_CALL.getJob, [this.id])) as JobRow | null;
      if (!row) throw jobNotFound(this.id, this.queueName);
      const now = Job.fromRow<Data, Result, Name>(this.host, row);
      return state === 'failed' ? { failedReason: now.failedReason ?? '' } : { value: now.returnvalue };
    });
    if (!isSealed(result)) return result as Result;
    // Events tell results as they are stored; only who has the queue's keys can read them.
    const row = (await this.call(QUEUE_CALL.getJob, [this.id])) as JobRow | null;
    const opened: unknown = row && Job.fromRow<Data, Result, Name>(this.host, row).returnvalue;
    if (opened === null || isSealed(opened)) throw resultUnreadable(this.id, this.queueName);
    return opened as Result;
  }
}

async function createJob<J>(
  JobClass: JobMaker<J>,
  queue: JobOwner,
  name: string,
  data: unknown,
  opts: JobOptions = {},
): Promise<J> {
  const host = jobHostOf(queue);
  const now = host.now();
  const id = (await host.call(QUEUE_CALL.add, [
    name,
    toJson(data, `data of job ${name}`, '{}'),
    toJson(opts, `options of job ${name}`, '{}'),
    now,
  ])) as string;
  return JobClass.added(host, id, name, data, opts, opts.timestamp ?? now);
}
