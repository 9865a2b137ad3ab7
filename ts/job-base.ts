import { invalidArgument } from './errors.js';
import { type JobHost, QUEUE_CALL } from './job-host.js';
import { type JobRest, type JobRow, optionsFromStored, type StoredJobJson, storedJson } from './job-row.js';
import { toJson } from './json.js';
import { toError } from './thrown-error.js';
import type { JobOptions } from './types/job-options.js';

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
export type JobMove = { to: 'delayed'; untilMs: number } | { to: 'waiting' } | { to: 'waiting-children' };

const UNREAD: unique symbol = Symbol('unread');

/** What every part of a job stands on: its fields, and its way to the server. */
export abstract class JobBase<Data = any, Result = any, Name extends string = string, Progress = ProgressAccess> {
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
  token?: string;

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
  #defers: boolean | undefined;

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

  /** @internal `opts.timeout`; options without one are not parsed for it. */
  get timeLimit(): number | undefined {
    return this.#opts === UNREAD && !this.#optsText.includes('"timeout"') ? undefined : this.opts.timeout;
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
    await this.call(QUEUE_CALL.updateProgress, [this.id, text]);
    this.#progress = progress;
    this.#host.progressed?.(this, progress);
  }

  /**
   * The job as it is stored, with data, result, reason and stack traces as JSON texts.
   */
  asJSON(): StoredJobJson {
    const optional = {
      parent: this.parent && { ...this.parent },
      parentKey: this.parentKey,
      finishedOn: this.finishedOn,
      processedOn: this.processedOn,
      failedReason: this.failedReason === undefined ? undefined : JSON.stringify(this.failedReason),
      deduplicationId: this.deduplicationId,
      repeatJobKey: this.repeatJobKey,
    };
    return {
      id: this.id,
      name: this.name,
      data: toJson(this.data, `data of job ${this.id}`, '{}'),
      opts: this.opts,
      progress: this.#progress,
      attemptsMade: this.attemptsMade,
      attemptsStarted: this.attemptsStarted,
      stalledCounter: this.stalledCounter,
      timestamp: this.timestamp,
      stacktrace: JSON.stringify(this.stacktrace),
      returnvalue: toJson(this.returnvalue, `result of job ${this.id}`, 'null'),
      ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
    };
  }

  /** {@link asJSON}, with where the job belongs. */
  asJSONSandbox(): StoredJobJson & { queueName: string; queueQualifiedName: string; prefix: string } {
    const { queueName, queueQualifiedName, prefix } = this;
    return { ...this.asJSON(), queueName, queueQualifiedName, prefix };
  }

  /** What BullMQ's flow producer collects of a job. `parentOpts` is given back as `parentKeyOpts`. */
  toFlowEntry<ParentKeyOptions extends object = object>(parentOpts = {} as ParentKeyOptions) {
    const { prefix, queueName } = this;
    return { jobData: this.asJSON(), jobId: this.id, parentKeyOpts: parentOpts, prefix, queueName };
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
    const answer = await this.call(code, args);
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

  /** @internal What a job knows that was just added. */
  protected preset(data: Data, opts: JobOptions, timestamp: number): void {
    this.#data = data;
    this.#opts = opts;
    this.timestamp = timestamp;
    this.delay = opts.delay ?? 0;
    this.priority = opts.priority ?? 0;
  }

  /** @internal A processor runs this job, although it was fetched by hand. */
  deferMoves(): void {
    this.#defers = true;
  }

  /** @internal Whether a move waits for the end of a processor. */
  protected mustDefer(method: string, token: string | undefined): boolean {
    if (this.#defers ?? (this.token !== undefined && !this.#host.byHand)) return true;
    if ((token ?? this.token) === undefined) {
      throw invalidArgument('token', 'undefined', `the token of the job's lock, for ${method} outside of a processor`);
    }
    return false;
  }

  /** @internal Of this attempt. */
  protected requestMove(move: JobMove): void {
    this.#move = move;
  }

  /** @internal */
  protected requestNoRetry(): void {
    this.#discarded = true;
  }

  /** @internal */
  protected get host(): JobHost {
    return this.#host;
  }

  /** @internal Calls the native side of the job's queue. */
  protected call(code: number, args: Parameters<JobHost['call']>[1]): Promise<unknown> {
    return this.#host.call(code, args);
  }

  #readRest(rest: JobRest): void {
    this.timestamp = rest[0];
    this.delay = rest[1];
    this.priority = rest[2];
    this.attemptsStarted = rest[3];
    this.attemptsMade = rest[4];
    this.stalledCounter = rest[5];
    this.processedOn = rest[6] ?? undefined;
    // All that most jobs have when they start.
    if (rest.length > 7) this.#readResults(rest);
  }

  #readResults(rest: JobRest): void {
    this.finishedOn = rest[7] ?? undefined;
    if (rest[8] != null) this.#progress = storedJson(rest[8]) as JobProgress;
    if (rest[9] != null) this.returnvalue = storedJson(rest[9]) as Result;
    this.failedReason = rest[10] ?? undefined;
    if (rest[11] != null) {
      const traces = storedJson(rest[11]);
      // An empty array that passed through Redis' Lua comes back as an object.
      if (Array.isArray(traces)) this.stacktrace = traces as string[];
    }
    this.deferredFailure = rest[12] ?? undefined;
    this.processedBy = rest[13] ?? undefined;
    this.parentKey = rest[14] ?? undefined;
    if (rest[15] != null) this.parent = storedJson(rest[15]) as { id: string; queueKey: string };
    this.repeatJobKey = rest[16] ?? undefined;
    this.deduplicationId = rest[17] ?? undefined;
  }
}
