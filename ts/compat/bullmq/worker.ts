import type { JobMaker } from '../../job.js';
import type { Processor as BaseProcessor, ProcessorFile } from '../../processor.js';
import { Worker as BaseWorker } from '../../worker.js';
import { redisConfigOf } from './connection.js';
import { Job } from './job.js';
import type { ExtractDataType, ExtractNameType, ExtractResultType, JobBase } from './job-types.js';
import { pick, WORKER_OPTIONS } from './option-names.js';
import { QueueBackend } from './queue-backend.js';
import { checkQueueName } from './queue-checks.js';
import type { KeysMap } from './queue-keys.js';
import type { JobProgress, WorkerOptions } from './types.js';

/** Runs one job. What it resolves to becomes the job's result, what it throws fails the attempt. */
export type Processor<T = any, R = any, N extends string = string, P extends JobProgress = JobProgress> = (
  job: Job<T, R, N, P>,
  token?: string,
  signal?: AbortSignal,
) => Promise<R>;

/** A processor of jobs that are told apart by their names. */
type JobProcessor<J, R> = (job: J, token?: string, signal?: AbortSignal) => Promise<R>;

const DEFAULTS = {
  drainDelay: 5,
  concurrency: 1,
  lockDuration: 30_000,
  maximumRateLimitDelay: 30_000,
  maxStalledCount: 1,
  stalledInterval: 30_000,
  autorun: true,
  runRetryDelay: 15_000,
};

/**
 * BullMQ's `Worker`: its constructor, options, methods, events and errors.
 *
 * @typeParam DataTypeOrJob Data of the jobs; or their class or classes, see {@link JobsOf}.
 *
 * @example
 * const worker = new Worker('email', async (job) => send(job.data), { connection: { host: 'localhost' } });
 * worker.on('failed', (job, error) => log.warn(job?.id, error));
 */
export class Worker<
  DataTypeOrJob = any,
  DefaultResultType = any,
  DefaultNameType extends string = string,
  DataType = ExtractDataType<DataTypeOrJob, DataTypeOrJob>,
  ResultType = ExtractResultType<DataTypeOrJob, DefaultResultType>,
  NameType extends string = ExtractNameType<DataTypeOrJob, DefaultNameType>,
> extends BaseWorker<DataType, ResultType, NameType, JobBase<DataTypeOrJob, DataType, ResultType, NameType>> {
  declare opts: WorkerOptions;
  readonly keys: KeysMap;
  /** Set once `close` was called. */
  closing: Promise<void> | undefined;
  /** See {@link getBackend}. */
  readonly backend: QueueBackend;

  constructor(
    name: string,
    processor:
      | JobProcessor<JobBase<DataTypeOrJob, DataType, ResultType, NameType>, ResultType>
      | ProcessorFile
      | null
      | undefined,
    opts: WorkerOptions,
  ) {
    checkWorkerOptions(opts);
    checkQueueName(name);
    const config = redisConfigOf(opts.connection);
    super(name, (processor ?? null) as BaseProcessor<DataType, ResultType, NameType> | ProcessorFile | null, {
      // BullMQ keeps finished jobs for ever.
      removeOnComplete: false,
      removeOnFail: false,
      ...pick(opts, WORKER_OPTIONS),
      connection: config,
    });
    const { lockDuration = DEFAULTS.lockDuration } = opts;
    this.opts = { ...DEFAULTS, lockRenewTime: lockDuration / 2, ...opts };
    this.backend = new QueueBackend(name, this.prefix, config);
    this.keys = this.backend.keys;
    this.on('state', (state) => {
      if (state === 'RECONNECTING' || state === 'DISCONNECTED') this.emit('ioredis:close');
    });
  }

  override get concurrency(): number {
    return super.concurrency;
  }

  override set concurrency(jobs: number) {
    if (typeof jobs !== 'number' || jobs < 1 || !Number.isFinite(jobs)) {
      throw new Error('concurrency must be a finite number greater than 0');
    }
    super.concurrency = Math.floor(jobs);
  }

  /** `prefix:name`. */
  get qualifiedName(): string {
    return this.backend.qualifiedName;
  }

  /** The keys of the queue and a raw client. */
  getBackend(): QueueBackend {
    return this.backend;
  }

  toKey(type: string): string {
    return this.backend.toKey(type);
  }

  override async run(): Promise<void> {
    if (this.isRunning()) throw new Error('Worker is already running.');
    await super.run();
  }

  override close(force?: boolean): Promise<void> {
    const closing = super.close(force).then(() => this.backend.close());
    this.closing ??= closing;
    return closing;
  }

  disconnect(): Promise<void> {
    return this.close(true);
  }

  /** @internal */
  protected override get Job(): JobMaker<any> {
    return Job as unknown as JobMaker<any>;
  }
}

/** @throws BullMQ's errors for the options of a worker. */
function checkWorkerOptions(opts: WorkerOptions | undefined): void {
  if (opts?.connection === undefined || opts.connection === null) throw new Error('Worker requires a connection');
  const { concurrency = 1 } = opts;
  const { maxStalledCount = 1, maxStartedAttempts, stalledInterval = 1, drainDelay = 1 } = opts;
  if (typeof maxStalledCount !== 'number' || maxStalledCount < 0) {
    throw new Error('maxStalledCount must be greater or equal than 0');
  }
  if (typeof maxStartedAttempts === 'number' && maxStartedAttempts < 0) {
    throw new Error('maxStartedAttempts must be greater or equal than 0');
  }
  if (typeof stalledInterval !== 'number' || stalledInterval <= 0) {
    throw new Error('stalledInterval must be greater than 0');
  }
  if (typeof drainDelay !== 'number' || drainDelay <= 0) throw new Error('drainDelay must be greater than 0');
  if (typeof concurrency !== 'number' || concurrency < 1 || !Number.isFinite(concurrency)) {
    throw new Error('concurrency must be a finite number greater than 0');
  }
}
