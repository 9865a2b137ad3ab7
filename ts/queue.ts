import type { ServiceConnection } from './connection.js';
import { invalidArgument } from './errors.js';
import { Job } from './job.js';
import { closed, jobNotFound } from './job-errors.js';
import { type JobHost, QUEUE_CALL } from './job-host.js';
import type { JobRow } from './job-row.js';
import { toJson } from './json.js';
import { type Argument, door, NativeQueue } from './native.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection, splitConnection } from './split-connection.js';
import type { AddJobOptions, JobOptions, JobState, JobStateName, RepeatOptions } from './types/job-options.js';
import type { QueueOptions } from './types/queue-options.js';
import type { ConnectionState } from './types/redis-config.js';

/** How many jobs are in each state. */
export interface JobCounts {
  waiting: number;
  active: number;
  delayed: number;
  prioritized: number;
  'waiting-children': number;
  completed: number;
  failed: number;
}

/** A stored job scheduler. Times are milliseconds since the epoch. */
export interface JobSchedulerJson<Data = any> {
  key: string;
  /** Name of its jobs. */
  name: string;
  /** When its next job comes. */
  next?: number;
  pattern?: string;
  every?: number;
  tz?: string;
  limit?: number;
  startDate?: number;
  endDate?: number;
  /** Jobs made so far. */
  iterationCount?: number;
  template?: { data?: Data; opts?: JobOptions };
}

/** What every job of a scheduler is made of. */
export interface JobTemplate<Data = any, Name extends string = string> {
  /** Default: the scheduler's id. */
  name?: Name;
  data?: Data;
  opts?: JobOptions;
}

export interface QueueEventMap<Data = any, Result = any, Name extends string = string> {
  /** Something failed that no call reports. */
  error: [error: Error];
  /** A job was added by this object. */
  waiting: [job: Job<Data, Result, Name>];
  /** A job of this object reported progress. */
  progress: [job: Job<Data, Result, Name>, progress: unknown];
  /** The shared connection changed its state. */
  state: [state: ConnectionState];
  removed: [jobId: string];
  cleaned: [jobIds: string[], type: string];
  paused: [];
  resumed: [];
}

const COUNT_NAMES = ['waiting', 'active', 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed'] as const;

/** The id of the scheduler that `add` with `repeat` makes: the same job on the same schedule is one scheduler. */
export function repeatId(name: string, repeat: RepeatOptions): string {
  return `${name}@${repeat.pattern ?? repeat.cron ?? `every ${repeat.every} ms`}`;
}

/**
 * A queue: adds jobs and administers them. Workers take them, in this or any other process; stock BullMQ 6 reads and
 * writes the same data.
 *
 * It opens no connection of its own: all queues of a process with the same options share one.
 *
 * @example
 * const queue = new Queue<{ to: string }>('email', { redis: { url: 'redis://localhost' } });
 * await queue.add('welcome', { to: 'ada@example.com' }, { attempts: 3, backoff: 1000 });
 */
export class Queue<Data = any, Result = any, Name extends string = string> extends ServiceEmitter<
  QueueEventMap<Data, Result, Name>
> {
  /** First part of every key. */
  readonly prefix: string;
  readonly opts: Readonly<QueueOptions>;
  readonly #native: NativeQueue;
  readonly #connection: ServiceConnection;
  readonly #host: JobHost;
  #closing: Promise<void> | undefined;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(
    readonly name: string,
    opts: QueueOptions = {},
  ) {
    super();
    const { connection, asBullmq, engine } = splitConnection(name, opts, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#connection = connection;
    this.opts = opts;
    this.prefix = opts.prefix ?? 'bull';
    this.#native = onConnection(
      connection,
      () => new NativeQueue(door.native, name, connection.json, asBullmq, JSON.stringify(engine)),
    );
    connection.listen(this.#native.id);
    this.#host = {
      name,
      prefix: this.prefix,
      call: (code, args) => this.#call(code, args),
      progressed: (job, progress) => this.fire('progress', job as Job<Data, Result, Name>, progress),
    };
  }

  /** `prefix:name`. */
  get qualifiedName(): string {
    return `${this.prefix}:${this.name}`;
  }

  /** What a job gets that says nothing itself. */
  get defaultJobOptions(): JobOptions {
    return this.opts.defaultJobOptions ?? {};
  }

  /**
   * Adds a job. Jobs that are added in one turn of the event loop travel together.
   *
   * @throws `ERR_INVALID_OPTION`, `ERR_NOT_SERIALIZABLE`, `ERR_JOB_TOO_LARGE`, and what the connection gives.
   */
  async add(name: Name, data: Data, opts: AddJobOptions = {}): Promise<Job<Data, Result, Name>> {
    if (typeof name !== 'string') throw invalidArgument('name', typeof name, 'a string');
    if (opts === null || typeof opts !== 'object') throw invalidArgument('opts', String(opts), 'an object');
    if (opts.repeat !== undefined) return this.#addRepeated(name, data, opts);
    const text = toJson(data, `data of job ${name}`, '{}');
    const now = Date.now();
    const id = (await this.#call(QUEUE_CALL.add, [
      name,
      text,
      Object.keys(opts).length === 0 ? undefined : toJson(opts, `options of job ${name}`, '{}'),
      now,
    ])) as string;
    const job = Job.added<Data, Result, Name>(
      this.#host,
      id,
      name,
      data,
      { ...this.defaultJobOptions, ...opts },
      opts.timestamp ?? now,
    );
    this.fire('waiting', job);
    return job;
  }

  /**
   * Adds many jobs in as few script calls as bounds allow. Jobs before one that is refused may have been added.
   *
   * @throws What `add` throws, for the first job that was refused.
   */
  async addBulk(jobs: { name: Name; data: Data; opts?: AddJobOptions }[]): Promise<Job<Data, Result, Name>[]> {
    return Promise.all(jobs.map(({ name, data, opts }) => this.add(name, data, opts)));
  }

  async getJob(id: string): Promise<Job<Data, Result, Name> | undefined> {
    const row = (await this.#call(QUEUE_CALL.getJob, [String(id)])) as JobRow | null;
    return row ? Job.fromRow(this.#host, row) : undefined;
  }

  /** @internal @throws `ERR_JOB_NOT_FOUND`. */
  async mustGetJob(id: string): Promise<Job<Data, Result, Name>> {
    const job = await this.getJob(id);
    if (!job) throw jobNotFound(id, this.name);
    return job;
  }

  /**
   * Jobs of some states, one state after the other.
   *
   * @param types Default: all states.
   * @param start First of each state, from 0.
   * @param end Last of each state; -1 is its last one.
   * @param asc Oldest first. Default false.
   */
  async getJobs(
    types: JobStateName | JobStateName[] = [...COUNT_NAMES],
    start = 0,
    end = -1,
    asc = false,
  ): Promise<Job<Data, Result, Name>[]> {
    const states = (Array.isArray(types) ? types : [types]).map((type) => (type === 'paused' ? 'waiting' : type));
    const rows = (await this.#call(QUEUE_CALL.getJobs, [[...new Set(states)].join(), start, end, asc])) as JobRow[];
    return rows.map((row) => Job.fromRow<Data, Result, Name>(this.#host, row));
  }

  getWaiting(start?: number, end?: number): Promise<Job<Data, Result, Name>[]> {
    return this.getJobs('waiting', start, end, true);
  }

  getActive(start?: number, end?: number): Promise<Job<Data, Result, Name>[]> {
    return this.getJobs('active', start, end, true);
  }

  getDelayed(start?: number, end?: number): Promise<Job<Data, Result, Name>[]> {
    return this.getJobs('delayed', start, end, true);
  }

  getPrioritized(start?: number, end?: number): Promise<Job<Data, Result, Name>[]> {
    return this.getJobs('prioritized', start, end, true);
  }

  getCompleted(start?: number, end?: number): Promise<Job<Data, Result, Name>[]> {
    return this.getJobs('completed', start, end, false);
  }

  getFailed(start?: number, end?: number): Promise<Job<Data, Result, Name>[]> {
    return this.getJobs('failed', start, end, false);
  }

  getWaitingChildren(start?: number, end?: number): Promise<Job<Data, Result, Name>[]> {
    return this.getJobs('waiting-children', start, end, true);
  }

  /** How many jobs are in the given states; in all of them without arguments. */
  async getJobCounts(...types: JobStateName[]): Promise<Record<string, number>> {
    const counts = await this.#counts();
    if (types.length === 0) return { ...counts };
    return Object.fromEntries(types.map((type) => [type, countOf(counts, type)]));
  }

  async getJobCountByTypes(...types: JobStateName[]): Promise<number> {
    return Object.values(await this.getJobCounts(...types)).reduce((sum, count) => sum + count, 0);
  }

  /** Jobs that have not been started: waiting, prioritized, delayed and waiting for children. */
  count(): Promise<number> {
    return this.getJobCountByTypes('waiting', 'prioritized', 'delayed', 'waiting-children');
  }

  /** Jobs that wait without a priority. */
  getWaitingCount(): Promise<number> {
    return this.getJobCountByTypes('waiting');
  }

  getActiveCount(): Promise<number> {
    return this.getJobCountByTypes('active');
  }

  getDelayedCount(): Promise<number> {
    return this.getJobCountByTypes('delayed');
  }

  getPrioritizedCount(): Promise<number> {
    return this.getJobCountByTypes('prioritized');
  }

  getCompletedCount(): Promise<number> {
    return this.getJobCountByTypes('completed');
  }

  getFailedCount(): Promise<number> {
    return this.getJobCountByTypes('failed');
  }

  getWaitingChildrenCount(): Promise<number> {
    return this.getJobCountByTypes('waiting-children');
  }

  async getJobState(id: string): Promise<JobState | 'unknown'> {
    return ((await this.#call(QUEUE_CALL.getState, [String(id)])) as JobState | null) ?? 'unknown';
  }

  /** Rows `start..=end` of a job's log, and how many there are in all. */
  async getJobLogs(id: string, start = 0, end = -1): Promise<{ logs: string[]; count: number }> {
    const [logs, count] = (await this.#call(QUEUE_CALL.getLogs, [String(id), start, end])) as [string[], number];
    return { logs, count };
  }

  /** Adds a row to a job's log; keeps the last `keepLogs` rows. Returns how many there are. */
  async addJobLog(id: string, row: string, keepLogs?: number): Promise<number> {
    return (await this.#call(QUEUE_CALL.addLog, [String(id), String(row), keepLogs])) as number;
  }

  async updateJobProgress(id: string, progress: unknown): Promise<void> {
    await this.#call(QUEUE_CALL.updateProgress, [String(id), toJson(progress, `progress of job ${id}`, 'null')]);
  }

  /** Lets no worker of any process take a further job. Running jobs go on. */
  async pause(): Promise<void> {
    await this.#call(QUEUE_CALL.pause, []);
    this.fire('paused');
  }

  async resume(): Promise<void> {
    await this.#call(QUEUE_CALL.resume, []);
    this.fire('resumed');
  }

  async isPaused(): Promise<boolean> {
    return (await this.#call(QUEUE_CALL.isPaused, [])) as boolean;
  }

  /** Removes a job. Returns 0 when there is none, or when a worker runs it. */
  async remove(id: string): Promise<0 | 1> {
    const removed = (await this.#call(QUEUE_CALL.remove, [String(id), true])) as boolean;
    if (removed) this.fire('removed', String(id));
    return removed ? 1 : 0;
  }

  /** Puts a failed (or `completed`) job back. */
  async retryJob(id: string, state: 'failed' | 'completed' = 'failed'): Promise<void> {
    await this.#call(QUEUE_CALL.retry, [String(id), state, false]);
  }

  /**
   * Puts failed (or `completed`) jobs back, `count` at a time, until there are none from before the call.
   *
   * @returns How many were put back.
   */
  async retryJobs(options: { state?: 'failed' | 'completed'; count?: number } = {}): Promise<number> {
    const { state = 'failed', count = 1000 } = options;
    const before = Date.now();
    let done = 0;
    for (;;) {
      const jobs = (await this.getJobs(state, 0, count - 1, true)).filter((job) => (job.finishedOn ?? 0) <= before);
      if (jobs.length === 0) return done;
      const outcomes = await Promise.allSettled(jobs.map((job) => job.retry(state)));
      const refused = outcomes.find((outcome) => outcome.status === 'rejected');
      done += outcomes.filter((outcome) => outcome.status === 'fulfilled').length;
      // A job that another program took first is no failure, but a round without any success would never end.
      if (refused && outcomes.every((outcome) => outcome.status === 'rejected')) throw refused.reason;
    }
  }

  /** Lets delayed jobs run now, `count` at a time, until there are none. */
  async promoteJobs(options: { count?: number } = {}): Promise<number> {
    const { count = 1000 } = options;
    let done = 0;
    for (;;) {
      const jobs = await this.getJobs('delayed', 0, count - 1, true);
      if (jobs.length === 0) return done;
      const outcomes = await Promise.allSettled(jobs.map((job) => job.promote()));
      const refused = outcomes.find((outcome) => outcome.status === 'rejected');
      done += outcomes.filter((outcome) => outcome.status === 'fulfilled').length;
      if (refused && outcomes.every((outcome) => outcome.status === 'rejected')) throw refused.reason;
    }
  }

  /** Removes all jobs that wait; with `delayed`, also those. Running and finished jobs stay. */
  async drain(delayed = false): Promise<void> {
    await this.#call(QUEUE_CALL.drain, [delayed]);
  }

  /**
   * Removes jobs of one state that are older than `grace` milliseconds.
   *
   * @param limit So many at most; 0: any number.
   * @returns Their ids.
   */
  async clean(grace: number, limit: number, type: JobStateName = 'completed'): Promise<string[]> {
    const state = type === 'paused' ? 'waiting' : type;
    const ids = (await this.#call(QUEUE_CALL.clean, [Math.floor(grace), limit, state])) as string[];
    this.fire('cleaned', ids, type);
    return ids;
  }

  /**
   * Pauses the queue and deletes it with everything in it.
   *
   * @throws `ERR_JOB_NOT_IN_STATE` when jobs are running, unless `force`.
   */
  async obliterate(options: { force?: boolean } = {}): Promise<void> {
    await this.#call(QUEUE_CALL.obliterate, [options.force ?? false]);
  }

  /** At most so many jobs running at once, in all workers of all processes. */
  async setGlobalConcurrency(concurrency: number): Promise<void> {
    await this.#call(QUEUE_CALL.setGlobalConcurrency, [concurrency]);
  }

  async removeGlobalConcurrency(): Promise<void> {
    await this.#call(QUEUE_CALL.setGlobalConcurrency, [undefined]);
  }

  /** At most `max` jobs started in each `duration` (milliseconds), by all workers of all processes. */
  async setGlobalRateLimit(max: number, duration: number): Promise<void> {
    await this.#call(QUEUE_CALL.setGlobalRateLimit, [max, duration]);
  }

  async removeGlobalRateLimit(): Promise<void> {
    await this.#call(QUEUE_CALL.setGlobalRateLimit, []);
  }

  /** Milliseconds until a rate limit lets the next job start; 0 when it does now. */
  async getRateLimitTtl(): Promise<number> {
    return (await this.#call(QUEUE_CALL.getRateLimitTtl, [])) as number;
  }

  /**
   * Makes or changes a job scheduler; gives its next job.
   *
   * @returns undefined when it has no further job (`endDate`, `limit`).
   */
  async upsertJobScheduler(
    id: string,
    repeat: RepeatOptions,
    template: JobTemplate<Data, Name> = {},
  ): Promise<Job<Data, Result, Name> | undefined> {
    const next = (await this.#call(QUEUE_CALL.upsertScheduler, [
      id,
      toJson(repeat, `schedule ${id}`, '{}'),
      template.name ?? id,
      toJson(template.data, `data of schedule ${id}`, '{}'),
      toJson(template.opts, `options of schedule ${id}`, '{}'),
    ])) as string | null;
    return next === null ? undefined : this.getJob(next);
  }

  /** Removes a job scheduler and its pending job. False when there was none. */
  async removeJobScheduler(id: string): Promise<boolean> {
    return (await this.#call(QUEUE_CALL.removeScheduler, [id])) as boolean;
  }

  async getJobScheduler(id: string): Promise<JobSchedulerJson<Data> | undefined> {
    return ((await this.#call(QUEUE_CALL.getScheduler, [id])) as JobSchedulerJson<Data> | null) ?? undefined;
  }

  /** Job schedulers by next run, `start..=end`; the latest first unless `asc`. */
  async getJobSchedulers(start = 0, end = -1, asc = false): Promise<JobSchedulerJson<Data>[]> {
    return (await this.#call(QUEUE_CALL.getSchedulers, [start, end, asc])) as JobSchedulerJson<Data>[];
  }

  async getJobSchedulersCount(): Promise<number> {
    return (await this.#call(QUEUE_CALL.countSchedulers, [])) as number;
  }

  /** Round trip to the server. */
  async ping(): Promise<string> {
    return (await this.#call(QUEUE_CALL.ping, [])) as string;
  }

  /** Resolves when the server answers. */
  async waitUntilReady(): Promise<this> {
    await this.ping();
    return this;
  }

  /** Ends this object; jobs and workers go on. Calls made before are answered, those that come later reject with `ERR_CLOSED`. Twice is safe. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected describe(): string {
    return `queue ${this.name}`;
  }

  async #addRepeated(name: Name, data: Data, opts: AddJobOptions): Promise<Job<Data, Result, Name>> {
    const { repeat, jobId, ...rest } = opts;
    const id = jobId ?? repeatId(name, repeat!);
    const job = await this.upsertJobScheduler(id, repeat!, { name, data, opts: rest });
    if (!job) throw invalidArgument('opts.repeat', 'a schedule that has ended', 'one with a further run');
    return job;
  }

  async #close(): Promise<void> {
    await door.call(this.#native.id, QUEUE_CALL.arrive, []);
    this.#native.close();
    this.#connection.close();
  }

  #call(code: number, args: readonly Argument[]): Promise<unknown> {
    if (this.#closing) return Promise.reject(closed(this.describe()));
    return door.call(this.#native.id, code, args);
  }

  async #counts(): Promise<JobCounts> {
    const numbers = (await this.#call(QUEUE_CALL.getCounts, [])) as number[];
    return Object.fromEntries(COUNT_NAMES.map((name, index) => [name, numbers[index] ?? 0])) as unknown as JobCounts;
  }
}

function countOf(counts: JobCounts, type: JobStateName): number {
  if (type === 'wait') return counts.waiting;
  // A paused queue keeps its jobs in `waiting`; BullMQ 6 has no such state.
  if (type === 'paused') return 0;
  return counts[type];
}
