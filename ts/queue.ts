import { invalidArgument } from './errors.js';
import type { Job } from './job.js';
import { QUEUE_CALL } from './job-host.js';
import { toJson } from './json.js';
import { QueueGroups } from './queue-groups.js';
import { chosenRun, NEVER } from './repeat-strategy.js';
import type { AddJobOptions, JobOptions, LastRun, RepeatOptions, RunPolicies } from './types/job-options.js';

/** A stored job scheduler. Times are milliseconds since the epoch. */
export interface JobSchedulerJson<Data = any> extends RunPolicies {
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
  /** With `trackRuns`. */
  lastRun?: LastRun;
  /** Runs that `missedRuns: 'skip'` let go. */
  skippedRuns?: number;
  template?: { data?: Data; opts?: JobOptions };
}

/** What every job of a scheduler is made of. */
export interface JobTemplate<Data = any, Name extends string = string> {
  /** Default: the scheduler's id. */
  name?: Name;
  data?: Data;
  opts?: JobOptions;
}

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
export class Queue<
  Data = any,
  Result = any,
  Name extends string = string,
  J extends Job<Data, Result, Name, any> = Job<Data, Result, Name>,
> extends QueueGroups<Data, Result, Name, J> {
  /**
   * Adds a job. Jobs that are added in one turn of the event loop travel together.
   *
   * @throws `ERR_INVALID_OPTION`, `ERR_NOT_SERIALIZABLE`, `ERR_JOB_TOO_LARGE`, and what the connection gives.
   */
  async add(name: Name, data: Data, opts: AddJobOptions = {}): Promise<J> {
    if (typeof name !== 'string') throw invalidArgument('name', typeof name, 'a string');
    if (opts === null || typeof opts !== 'object') throw invalidArgument('opts', String(opts), 'an object');
    if (opts.repeat !== undefined) return this.#addRepeated(name, data, opts);
    const text = toJson(data, `data of job ${name}`, '{}');
    const now = this.now();
    const id = (await this.call(QUEUE_CALL.add, [
      name,
      text,
      Object.keys(opts).length === 0 ? undefined : toJson(opts, `options of job ${name}`, '{}'),
      now,
    ])) as string;
    const job = this.Job.added(
      this.host,
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
  async addBulk(jobs: { name: Name; data: Data; opts?: AddJobOptions }[]): Promise<J[]> {
    return Promise.all(jobs.map(({ name, data, opts }) => this.add(name, data, opts)));
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
  ): Promise<J | undefined> {
    const name = template.name ?? id;
    const chosen = await this.#chosen(repeat, name);
    if (chosen === NEVER) return undefined;
    const next = (await this.call(QUEUE_CALL.upsertScheduler, [
      id,
      toJson(repeat, `schedule ${id}`, '{}'),
      name,
      toJson(template.data, `data of schedule ${id}`, '{}'),
      toJson(template.opts, `options of schedule ${id}`, '{}'),
      chosen,
    ])) as string | null;
    return next === null ? undefined : this.getJob(next);
  }

  /** Removes a job scheduler and its pending job. False when there was none. */
  async removeJobScheduler(id: string): Promise<boolean> {
    return (await this.call(QUEUE_CALL.removeScheduler, [id])) as boolean;
  }

  async getJobScheduler(id: string): Promise<JobSchedulerJson<Data> | undefined> {
    return ((await this.call(QUEUE_CALL.getScheduler, [id])) as JobSchedulerJson<Data> | null) ?? undefined;
  }

  /** Job schedulers by next run, `start..=end`; the latest first unless `asc`. */
  async getJobSchedulers(start = 0, end = -1, asc = false): Promise<JobSchedulerJson<Data>[]> {
    return (await this.call(QUEUE_CALL.getSchedulers, [start, end, asc])) as JobSchedulerJson<Data>[];
  }

  async getJobSchedulersCount(): Promise<number> {
    return (await this.call(QUEUE_CALL.countSchedulers, [])) as number;
  }

  /** The first run by the queue's own strategy, where it has one. */
  async #chosen(repeat: RepeatOptions, name: string): Promise<number | typeof NEVER | undefined> {
    const strategy = this.opts.settings?.repeatStrategy;
    if (!strategy || repeat.pattern === undefined || repeat.immediately) return undefined;
    const now = this.now();
    const start = repeat.startDate === undefined ? now : Math.max(now, new Date(repeat.startDate).getTime());
    return chosenRun(await strategy(start, repeat, name));
  }

  async #addRepeated(name: Name, data: Data, opts: AddJobOptions): Promise<J> {
    const { repeat, jobId, ...rest } = opts;
    const id = jobId ?? repeatId(name, repeat!);
    const job = await this.upsertJobScheduler(id, repeat!, { name, data, opts: rest });
    if (!job) throw invalidArgument('opts.repeat', 'a schedule that has ended', 'one with a further run');
    return job;
  }
}
