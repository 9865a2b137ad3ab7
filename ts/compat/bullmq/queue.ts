import { randomUUID } from 'node:crypto';
import type { JobMaker } from '../../job.js';
import { QUEUE_CALL } from '../../job-host.js';
import type { Argument } from '../../native.js';
import { Queue as BaseQueue, type JobSchedulerJson, type JobTemplate } from '../../queue.js';
import type { WorkerEntry } from '../../worker-entry.js';
import { redisConfigOf } from './connection.js';
import { bullmqError } from './errors.js';
import { Job } from './job.js';
import { checkJobOptions, checkJobSize } from './job-options.js';
import { JobScheduler, withLongNames } from './job-scheduler.js';
import type { DataNamed, ExtractDataType, ExtractNameType, ExtractResultType, JobBase, JobNamed } from './job-types.js';
import { pick, QUEUE_OPTIONS } from './option-names.js';
import { QueueBackend } from './queue-backend.js';
import { checkQueueName, checkRepeatOptions } from './queue-checks.js';
import type { KeysMap } from './queue-keys.js';
import { getDependencies, getRanges, queueEventsOf } from './queue-reads.js';
import type { BaseJobOptions, JobsOptions, JobType, ObliterateOpts, QueueOptions, RepeatOptions } from './types.js';

/**
 * BullMQ's `Queue`: its constructor, options, methods, events and errors.
 *
 * @typeParam DataTypeOrJob Data of the jobs; or their class or classes, see {@link JobsOf}.
 *
 * @example
 * const queue = new Queue('email', { connection: { host: 'localhost' } });
 * await queue.add('welcome', { to: 'ada@example.com' }, { attempts: 3, backoff: { type: 'exponential', delay: 1000 } });
 */
export class Queue<
  DataTypeOrJob = any,
  DefaultResultType = any,
  DefaultNameType extends string = string,
  DataType = ExtractDataType<DataTypeOrJob, DataTypeOrJob>,
  ResultType = ExtractResultType<DataTypeOrJob, DefaultResultType>,
  NameType extends string = ExtractNameType<DataTypeOrJob, DefaultNameType>,
> extends BaseQueue<DataType, ResultType, NameType, JobBase<DataTypeOrJob, DataType, ResultType, NameType>> {
  declare opts: QueueOptions;
  /** Tells this object from others. */
  readonly token = randomUUID();
  /** What a job gets that says nothing itself. */
  jobsOpts: BaseJobOptions;
  readonly keys: KeysMap;
  /** Set once `close` was called. */
  closing: Promise<void> | undefined;
  /** See {@link getBackend}. */
  readonly backend: QueueBackend;
  #scheduler: JobScheduler | undefined;

  constructor(name: string, opts: QueueOptions = { connection: {} }) {
    checkQueueName(name);
    const config = redisConfigOf(opts.connection);
    super(name, { ...pick(opts, QUEUE_OPTIONS), connection: config });
    this.opts = opts;
    this.jobsOpts = opts.defaultJobOptions ?? {};
    this.backend = new QueueBackend(name, this.prefix, config);
    this.keys = this.backend.keys;
    this.on('state', (state) => {
      if (state === 'RECONNECTING' || state === 'DISCONNECTED') this.emit('ioredis:close');
    });
  }

  override get defaultJobOptions(): JobsOptions {
    return { ...this.jobsOpts };
  }

  /** What is stored about the queue when it is opened; the stored version says more. */
  get metaValues(): Record<string, string | number> {
    return { 'opts.maxLenEvents': this.opts.streams?.events?.maxLen ?? 10_000, version: 'bullmq:6.7.0' };
  }

  /** The job schedulers of this queue. */
  get jobScheduler(): Promise<JobScheduler> {
    if (!this.#scheduler) {
      this.#scheduler = new JobScheduler(this.name, this.opts);
      this.#scheduler.on('error', (error) => this.emit('error', error));
    }
    return Promise.resolve(this.#scheduler);
  }

  /** The keys of the queue and a raw client. */
  getBackend(): QueueBackend {
    return this.backend;
  }

  toKey(type: string): string {
    return this.backend.toKey(type);
  }

  /** Adds a job. @throws BullMQ's errors for options that make no sense. */
  override add<Name extends NameType>(
    name: Name,
    data: DataNamed<DataTypeOrJob, DataType, Name>,
    opts?: JobsOptions,
  ): Promise<JobNamed<DataTypeOrJob, DataType, ResultType, NameType, Name>>;
  /** @internal What the base promises. */
  override add(
    name: NameType,
    data: never,
    opts?: JobsOptions,
  ): Promise<JobBase<DataTypeOrJob, DataType, ResultType, NameType>>;
  override async add(name: NameType, data: any, opts: JobsOptions = {}): Promise<any> {
    checkJobOptions(opts);
    checkJobSize(name, data, opts.sizeLimit ?? this.jobsOpts.sizeLimit);
    return super.add(name, data, opts);
  }

  override async upsertJobScheduler(
    jobSchedulerId: string,
    repeatOpts: RepeatOptions,
    jobTemplate: JobTemplate<DataType, NameType> = {},
  ): Promise<JobBase<DataTypeOrJob, DataType, ResultType, NameType> | undefined> {
    checkRepeatOptions(repeatOpts);
    if (repeatOpts.endDate && +new Date(repeatOpts.endDate) < Date.now()) {
      throw new Error('End date must be greater than current timestamp');
    }
    const { count: _count, ...repeat } = repeatOpts;
    return super.upsertJobScheduler(jobSchedulerId, repeat, jobTemplate);
  }

  override async updateJobProgress(id: string, progress: unknown): Promise<void> {
    await super.updateJobProgress(id, progress);
    this.emit('progress', id, progress);
  }

  override async obliterate(options: ObliterateOpts = {}): Promise<void> {
    await super.obliterate({ force: options.force ?? false });
  }

  override async getRateLimitTtl(maxJobs?: number): Promise<number> {
    return (await this.call(QUEUE_CALL.getRateLimitTtl, [maxJobs || undefined])) as number;
  }

  override async getDelayedCount(timestamp?: number): Promise<number> {
    if (timestamp !== undefined && !Number.isSafeInteger(timestamp)) {
      throw new Error('timestamp must be a safe integer in milliseconds');
    }
    return super.getDelayedCount(timestamp);
  }

  /** Ids of jobs in some states, one state after the other. */
  getRanges(types: JobType[], start = 0, end = 1, asc = false): Promise<string[]> {
    return getRanges(this.backend, types, start, end, asc);
  }

  /** Children of a job, `start..=end` of them, with the jobs themselves. */
  override getDependencies(parentId: string, type: 'processed' | 'pending', start = 0, end = -1) {
    return getDependencies(this.backend, parentId, type, start, end);
  }

  /** @deprecated Readers of events share a connection here; those of stock BullMQ are listed. */
  async getQueueEvents(): Promise<WorkerEntry[]> {
    return queueEventsOf(this.name, this.backend.clientName(':qe'), await this.backend.client.clientList());
  }

  /** @deprecated Use {@link getDeduplicationJobId}. */
  getDebounceJobId(id: string): Promise<string | null> {
    return this.getDeduplicationJobId(id);
  }

  /** @deprecated Use {@link removeDeduplicationKey}. */
  removeDebounceKey(id: string): Promise<number> {
    return this.removeDeduplicationKey(id);
  }

  /** Removes a key that versions before 4 have left. */
  removeDeprecatedPriorityKey(): Promise<number> {
    return this.backend.client.del(this.toKey('priority'));
  }

  override async getJobScheduler(id: string): Promise<JobSchedulerJson<DataType> | undefined> {
    const found = await super.getJobScheduler(id);
    return found && withLongNames(found);
  }

  override async getJobSchedulers(start?: number, end?: number, asc?: boolean): Promise<JobSchedulerJson<DataType>[]> {
    return (await super.getJobSchedulers(start, end, asc)).map(withLongNames);
  }

  override close(): Promise<void> {
    this.closing ??= Promise.all([super.close(), this.#scheduler?.close()]).then(() => this.backend.close());
    return this.closing;
  }

  disconnect(): Promise<void> {
    return this.close();
  }

  /** @internal */
  protected override get Job(): JobMaker<any> {
    return Job as unknown as JobMaker<any>;
  }

  protected override async call(code: number, args: readonly Argument[]): Promise<unknown> {
    try {
      return await super.call(code, args);
    } catch (error) {
      throw bullmqError(error, code, args);
    }
  }
}
