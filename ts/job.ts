import { jobNotFound, jobNotInState } from './job-errors.js';
import { type JobHost, QUEUE_CALL } from './job-host.js';
import { type JobRest, type JobRow, optionsFromStored, storedJson } from './job-row.js';
import { toJson } from './json.js';
import type { QueueEvents } from './queue-events.js';
import { toError } from './thrown-error.js';
import type { JobOptions, JobState } from './types/job-options.js';

/** What a processor reports while it works. */
export type JobProgress = number | string | boolean | object;

/**
 * `job.progress`: called with a value it stores the value, called with none it returns the last one, as in Bull.
 * In a text, a calculation or JSON it stands for the last value, as in BullMQ.
 */
export interface ProgressAccess {
  (): JobProgress;
  (progress: JobProgress): Promise<void>;
  valueOf(): JobProgress;
  toJSON(): JobProgress;
}

/** Makes the jobs that a queue or worker gives. */
export interface JobMaker<J> {
  fromRow(host: JobHost, row: JobRow): J;
  added(host: JobHost, id: string, name: string, data: unknown, opts: JobOptions, timestamp: number): J;
}

/** Plain form of a job. */
export interface JobJson<Data = any, Result = any, Name extends string = string> {
  id: string;
  name: Name;
  data: Data;
  opts: JobOptions;
  progress: JobProgress;
  attemptsStarted: number;
  attemptsMade: number;
  stalledCounter: number;
  timestamp: number;
  delay: number;
  priority: number;
  queueQualifiedName: string;
  processedOn?: number;
  finishedOn?: number;
  processedBy?: string;
  failedReason?: string;
  stacktrace: string[];
  returnvalue: Result | null;
  parentKey?: string;
  parent?: unknown;
  repeatJobKey?: string;
  deduplicationId?: string;
}

/** Where a running job goes when its processor ends, as its processor has asked. */
export type JobMove = { to: 'delayed'; untilMs: number } | { to: 'waiting' };

const UNREAD: unique symbol = Symbol('unread');

/**
 * A job. Its fields are those of the moment when it was read; methods ask the server.
 *
 * Jobs are made by queues and workers, never by `new`.
 *
 * @typeParam Progress What `progress` is: callable, as in Bull, unless a subclass says otherwise.
 */
export class Job<Data = any, Result = any, Name extends string = string, Progress = ProgressAccess> {
  readonly id: string;
  readonly name: Name;
  /** Milliseconds since the epoch when the job was made. */
  timestamp = 0;
  /** Milliseconds before it may run; 0 once due. */
  delay = 0;
  priority = 0;
  /** How often a worker has started it. */
  attemptsStarted = 0;
  /** How often it has completed, failed or been tried again. */
  attemptsMade = 0;
  /** How often its worker died. */
  stalledCounter = 0;
  /** When its last attempt started. */
  processedOn?: number;
  finishedOn?: number;
  /** Name of the worker that took it. */
  processedBy?: string;
  /** Message of the last failure. */
  failedReason?: string;
  deferredFailure?: string;
  /** Stack traces of failed attempts, newest last. */
  stacktrace: string[] = [];
  /** What its processor returned; null before. */
  returnvalue: Result | null = null;
  parentKey?: string;
  parent?: { id: string; queueKey: string };
  /** Id of the job scheduler that made it. */
  repeatJobKey?: string;
  deduplicationId?: string;
  /** Value of the job's lock while this process runs it. */
  readonly token?: string;

  readonly #host: JobHost;
  #dataText: string;
  #data: Data | typeof UNREAD = UNREAD;
  #optsText: string;
  #restText: string;
  #opts: JobOptions | typeof UNREAD = UNREAD;
  #progress: JobProgress = 0;
  #progressAccess: ProgressAccess | undefined;
  #move: JobMove | undefined;
  #discarded = false;
  #isBatched = false;
  #batchFailure: Error | undefined;

  /** @internal */
  protected constructor(host: JobHost, row: JobRow) {
    this.#host = host;
    this.id = row[0];
    this.name = row[1] as Name;
    if (row[2] !== '') this.token = row[2];
    this.#dataText = row[3];
    this.#optsText = row[4];
    this.#restText = row[5];
    if (row[5] !== '') this.#readRest(JSON.parse(row[5]) as JobRest);
  }

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
    job.#data = data;
    job.#opts = opts;
    job.timestamp = timestamp;
    job.delay = opts.delay ?? 0;
    job.priority = opts.priority ?? 0;
    return job;
  }

  /** What the job was added with. Parsed when first read; assigning does not store, {@link updateData} does. */
  get data(): Data {
    if (this.#data === UNREAD) this.#data = storedJson(this.#dataText) as Data;
    return this.#data as Data;
  }

  set data(data: Data) {
    this.#data = data;
  }

  /** The job's options, defaults of its queue included. */
  get opts(): JobOptions {
    if (this.#opts === UNREAD) this.#opts = optionsFromStored(this.#optsText);
    return this.#opts as JobOptions;
  }

  get queueName(): string {
    return this.#host.name;
  }

  get prefix(): string {
    return this.#host.prefix;
  }

  get queueQualifiedName(): string {
    return `${this.#host.prefix}:${this.#host.name}`;
  }

  /** See {@link ProgressAccess}. */
  get progress(): Progress {
    if (!this.#progressAccess) {
      const access = (...values: [] | [JobProgress]) =>
        values.length === 0 ? this.#progress : this.updateProgress(values[0]);
      access.valueOf = () => this.#progress;
      access.toString = () => String(this.#progress);
      access.toJSON = () => this.#progress;
      this.#progressAccess = access as ProgressAccess;
    }
    return this.#progressAccess as Progress;
  }

  /** @internal The last value of `progress`, however that reads. */
  protected get lastProgress(): JobProgress {
    return this.#progress;
  }

  /**
   * Stores how far the job is and emits `progress`.
   *
   * @throws `ERR_JOB_NOT_FOUND` when the job has been removed.
   */
  async updateProgress(progress: JobProgress): Promise<void> {
    const text = toJson(progress, `progress of job ${this.id}`, 'null');
    await this.#call(QUEUE_CALL.updateProgress, [this.id, text]);
    this.#progress = progress;
    this.#host.progressed?.(this, progress);
  }

  /** Replaces the job's data. */
  async updateData(data: Data): Promise<void> {
    await this.#call(QUEUE_CALL.updateData, [this.id, toJson(data, `data of job ${this.id}`, '{}')]);
    this.#data = data;
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
    return (await this.#call(QUEUE_CALL.addLog, [this.id, String(row), keepLogs])) as number;
  }

  /** Where the job is now; `unknown` when it has been removed. */
  async getState(): Promise<JobState | 'unknown'> {
    return ((await this.#call(QUEUE_CALL.getState, [this.id])) as JobState | null) ?? 'unknown';
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
    const removed = (await this.#call(QUEUE_CALL.remove, [this.id, options.removeChildren ?? true])) as boolean;
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
    await this.#call(QUEUE_CALL.retry, [this.id, state, resetAttemptsMade, resetAttemptsStarted]);
    this.failedReason = undefined;
    this.finishedOn = undefined;
    this.processedOn = undefined;
    this.returnvalue = null;
    if (resetAttemptsMade) this.attemptsMade = 0;
    if (resetAttemptsStarted) this.attemptsStarted = 0;
  }

  /** Lets a delayed job run now. */
  async promote(): Promise<void> {
    await this.#call(QUEUE_CALL.promote, [this.id]);
    this.delay = 0;
  }

  /** Makes a delayed job due so many milliseconds from now. @throws `ERR_JOB_NOT_IN_STATE` when it is not delayed. */
  async changeDelay(delay: number): Promise<void> {
    await this.#call(QUEUE_CALL.changeDelay, [this.id, Math.floor(delay)]);
    this.delay = delay;
  }

  /** Changes the priority of a job that waits; `lifo` puts it before all others of that priority. */
  async changePriority(options: { priority?: number; lifo?: boolean }): Promise<void> {
    const { priority = 0, lifo = false } = options;
    await this.#call(QUEUE_CALL.changePriority, [this.id, priority, lifo]);
    this.priority = priority;
  }

  /**
   * In a processor: the job goes to delayed until `timestamp` (milliseconds since the epoch) when the processor ends,
   * usually at once by `throw new DelayedError()`. No attempt is used up.
   */
  async moveToDelayed(timestamp: number, _token?: string): Promise<void> {
    this.#mustRun('moveToDelayed');
    this.#move = { to: 'delayed', untilMs: timestamp };
  }

  /**
   * In a processor: the job goes back to the front of its queue when the processor ends, usually at once by
   * `throw new WaitingError()`. No attempt is used up.
   */
  async moveToWait(_token?: string): Promise<void> {
    this.#mustRun('moveToWait');
    this.#move = { to: 'waiting' };
  }

  /** In a processor: a failure of this attempt is final, whatever attempts are left. */
  discard(): void {
    this.#discarded = true;
  }

  /**
   * Resolves with the job's result when it has completed, in whatever process; rejects when it has failed for good.
   *
   * @param queueEvents Events of the job's queue.
   * @param ttl Milliseconds to wait, at most. Default: without limit.
   * @throws `ERR_WAIT_TIMED_OUT`, `ERR_JOB_NOT_FOUND`; an `Error` with the job's `failedReason`.
   */
  async waitUntilFinished(queueEvents: QueueEvents, ttl?: number): Promise<Result> {
    return (await queueEvents.finished(this.id, ttl, async () => {
      const state = await this.getState();
      // Another attempt's reason stays with a completed job, so the reason alone tells nothing.
      if (state !== 'completed' && state !== 'failed' && state !== 'unknown') return undefined;
      const row = (await this.#call(QUEUE_CALL.getJob, [this.id])) as JobRow | null;
      if (!row) throw jobNotFound(this.id, this.queueName);
      const now = Job.fromRow<Data, Result, Name>(this.#host, row);
      return state === 'failed' ? { failedReason: now.failedReason ?? '' } : { value: now.returnvalue };
    })) as Result;
  }

  toJSON(): JobJson<Data, Result, Name> {
    return {
      id: this.id,
      name: this.name,
      data: this.data,
      opts: this.opts,
      progress: this.#progress,
      attemptsStarted: this.attemptsStarted,
      attemptsMade: this.attemptsMade,
      stalledCounter: this.stalledCounter,
      timestamp: this.timestamp,
      delay: this.delay,
      priority: this.priority,
      queueQualifiedName: this.queueQualifiedName,
      processedOn: this.processedOn,
      finishedOn: this.finishedOn,
      processedBy: this.processedBy,
      failedReason: this.failedReason,
      stacktrace: this.stacktrace,
      returnvalue: this.returnvalue,
      parentKey: this.parentKey,
      parent: this.parent,
      repeatJobKey: this.repeatJobKey,
      deduplicationId: this.deduplicationId,
    };
  }

  /** @internal Where the processor wants the job. */
  get requestedMove(): JobMove | undefined {
    return this.#move;
  }

  /** @internal */
  get isDiscarded(): boolean {
    return this.#discarded;
  }

  /**
   * In a processor of batches: fails this job with `error`, whatever becomes of the others. It is tried again as its
   * `attempts` and `backoff` say.
   */
  setAsFailed(error: Error): void {
    if (!this.#isBatched) throw new Error('setAsFailed is for the processor of batches; elsewhere throw the error');
    this.#batchFailure = toError(error);
  }

  /** @internal */
  enterBatch(): void {
    this.#isBatched = true;
  }

  /** @internal */
  get batchFailure(): Error | undefined {
    return this.#batchFailure;
  }

  /** @internal The stored job, as it was read. */
  toRow(): JobRow {
    return [this.id, this.name, this.token ?? '', this.#dataText, this.#optsText, this.#restText];
  }

  /** @internal A call of this job's copy in a sandbox. */
  async relay(code: number, args: Parameters<JobHost['call']>[1]): Promise<unknown> {
    const answer = await this.#call(code, args);
    if (args[0] === this.id && code === QUEUE_CALL.updateProgress) {
      this.#progress = storedJson(String(args[1])) as JobProgress;
      this.#host.progressed?.(this, this.#progress);
    } else if (args[0] === this.id && code === QUEUE_CALL.updateData) {
      this.#data = storedJson(String(args[1])) as Data;
    }
    return answer;
  }

  /** @internal What this job's copy in a sandbox was asked for. */
  adopt(move: JobMove | undefined, isDiscarded: boolean): void {
    this.#move = move;
    this.#discarded = isDiscarded;
  }

  #call(code: number, args: Parameters<JobHost['call']>[1]): Promise<unknown> {
    return this.#host.call(code, args);
  }

  #mustRun(method: string): void {
    if (this.token === undefined) throw new Error(`${method} is for the processor of a running job`);
  }

  #readRest(rest: JobRest): void {
    this.timestamp = rest[0];
    this.delay = rest[1];
    this.priority = rest[2];
    this.attemptsStarted = rest[3];
    this.attemptsMade = rest[4];
    this.stalledCounter = rest[5];
    this.processedOn = rest[6] ?? undefined;
    this.finishedOn = rest[7] ?? undefined;
    if (rest[8] !== null) this.#progress = storedJson(rest[8]) as JobProgress;
    if (rest[9] !== null) this.returnvalue = storedJson(rest[9]) as Result;
    this.failedReason = rest[10] ?? undefined;
    if (rest[11] !== null) {
      const traces = storedJson(rest[11]);
      // An empty array that passed through Redis' Lua comes back as an object.
      if (Array.isArray(traces)) this.stacktrace = traces as string[];
    }
    this.deferredFailure = rest[12] ?? undefined;
    this.processedBy = rest[13] ?? undefined;
    this.parentKey = rest[14] ?? undefined;
    if (rest[15] !== null) this.parent = storedJson(rest[15]) as { id: string; queueKey: string };
    this.repeatJobKey = rest[16] ?? undefined;
    this.deduplicationId = rest[17] ?? undefined;
  }
}
