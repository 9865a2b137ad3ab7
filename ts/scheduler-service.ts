import { invalidArgument, invalidOption } from './errors.js';
import type { Job } from './job.js';
import { closed } from './job-errors.js';
import type { Processor } from './processor.js';
import { type JobSchedulerJson, type Queue, repeatId } from './queue.js';
import { QueueService } from './queue-service.js';
import { ServiceEmitter } from './service-emitter.js';
import type { RepeatOptions } from './types/job-options.js';
import type { ProcessorOptions } from './types/queue-service-options.js';
import type { ConnectionState } from './types/redis-config.js';
import type {
  RepeatableJob,
  RepeatableParams,
  ScheduledJob,
  ScheduleOptions,
  SchedulerServiceOptions,
} from './types/scheduler-options.js';
import type { Worker } from './worker.js';

export interface SchedulerServiceEventMap {
  /** A scheduled job has run. */
  completed: [job: Job, result: any];
  /** An attempt of a scheduled job failed. */
  failed: [job: Job | undefined, error: Error];
  error: [error: Error];
  state: [state: ConnectionState];
}

const OPTION_NAMES = ['redis', 'prefix', 'queue'];

/**
 * Jobs that come again and again, by cron pattern or interval.
 *
 * A schedule lives in Redis: it is made once, runs once at a time however many processes have it, and outlives them. Its
 * jobs are ordinary jobs of a queue, `scheduled-jobs` by default; {@link process} runs them, and so does any worker of
 * that queue.
 *
 * @example
 * const scheduler = new SchedulerService({ redis });
 * await scheduler.initialize([{ name: 'clean-up', cron: CRON_PATTERNS.EVERY_DAY_3AM, data: { days: 30 } }]);
 * scheduler.process('clean-up', async (job) => cleanUp(job.data.days));
 */
export class SchedulerService extends ServiceEmitter<SchedulerServiceEventMap> {
  readonly #queues: QueueService;
  readonly #queue: string;
  #closing: Promise<void> | undefined;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(options: SchedulerServiceOptions = {}) {
    super();
    if (options === null || typeof options !== 'object') throw invalidOption('options', String(options), 'an object');
    for (const name of Object.keys(options)) {
      if (!OPTION_NAMES.includes(name)) throw invalidOption(name, 'unknown', OPTION_NAMES.join(', '));
    }
    const { redis, prefix, queue = 'scheduled-jobs' } = options;
    this.#queue = queue;
    this.#queues = new QueueService({ redis, prefix });
    this.#queues.on('state', (state) => this.fire('state', state)).on('error', (error) => this.fire('error', error));
    // A name that is none must show here.
    this.#queues.getQueue(queue);
  }

  /** Makes or updates these schedules; resolves when the server has them. May be called again. */
  async initialize(jobs: readonly ScheduledJob[] = []): Promise<void> {
    this.#mustBeOpen();
    await this.#queues.initialize();
    for (const { name, cron, data, options, queue } of jobs) await this.#upsert(queue, name, name, cron, data, options);
  }

  /**
   * Makes a schedule, or changes the one of that name: its next run is counted anew from now.
   *
   * @param cron Five fields, or six with seconds first; empty with `options.every`.
   * @throws `ERR_INVALID_OPTION` for a pattern that means nothing.
   */
  async upsertScheduledJob<Data = Record<string, unknown>>(
    name: string,
    cron: string,
    data?: Data,
    options?: ScheduleOptions,
  ): Promise<void> {
    await this.#upsert(undefined, name, name, cron, data, options);
  }

  /** Removes a schedule and its next run; a running job goes on. False when there was none. */
  async removeScheduledJob(name: string): Promise<boolean> {
    return this.#of().removeJobScheduler(name);
  }

  /** The schedules of the service's queue. */
  getScheduledJobs(): Promise<RepeatableJob[]> {
    return this.getRepeatableJobs(this.#queue);
  }

  /** Makes a schedule in any queue. The same name with another pattern is another schedule. */
  async addRepeatable<Data>(params: RepeatableParams<Data>): Promise<void> {
    const { queue, name, data, cron, options } = object(params);
    await this.#upsert(queue, repeatId(name, { cron }), name, cron, data, options);
  }

  /** Removes what {@link addRepeatable} made. */
  async removeRepeatable(params: { queue: string; name: string; cron: string }): Promise<void> {
    const { queue, name, cron } = object(params);
    await this.#of(queue).removeJobScheduler(repeatId(name, { cron }));
  }

  /** The schedules of a queue, the next run first. */
  async getRepeatableJobs(queue: string = this.#queue): Promise<RepeatableJob[]> {
    const schedulers = await this.#of(queue).getJobSchedulers(0, -1, true);
    return schedulers.map(repeatable);
  }

  /**
   * Runs the jobs of the service's queue, in this process. With a name only those of that name, beside processors of
   * other names; a processor given again replaces the earlier one.
   */
  process(processor: Processor, options?: ProcessorOptions): Worker;
  process(name: string, processor: Processor, options?: ProcessorOptions): Worker;
  process(first: string | Processor, second?: Processor | ProcessorOptions, third?: ProcessorOptions): Worker {
    this.#mustBeOpen();
    const [processor, options] =
      typeof first === 'string'
        ? [second as Processor, { ...third, name: first }]
        : [first, second as ProcessorOptions | undefined];
    const worker = this.#queues.registerProcessor(this.#queue, processor, { concurrency: 1, ...options });
    worker.on('completed', (job, result) => this.fire('completed', job, result));
    worker.on('failed', (job, error) => this.fire('failed', job, error));
    return worker;
  }

  /** Round trip to the server. */
  ping(): Promise<string> {
    return this.#queues.ping();
  }

  /** Ends the service, after the jobs that it runs; schedules stay. Twice is safe. */
  close(): Promise<void> {
    this.#closing ??= this.#queues.close();
    return this.#closing;
  }

  /** The same as {@link close}. */
  destroy(): Promise<void> {
    return this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected describe(): string {
    return 'scheduler service';
  }

  #of(queue = this.#queue): Queue {
    this.#mustBeOpen();
    return this.#queues.getQueue(queue);
  }

  async #upsert(
    queue: string | undefined,
    id: string,
    name: string,
    cron: string,
    data: unknown,
    options: ScheduleOptions = {},
  ): Promise<void> {
    if (typeof name !== 'string' || name === '') throw invalidArgument('name', String(name), 'a name');
    const { tz, timezone, every, startDate, endDate, limit, immediately, ...others } = options;
    const { missedRuns, missedAfter, maxMissedRuns, overlap, jitter, trackRuns = true, ...opts } = others;
    const policies = { missedRuns, missedAfter, maxMissedRuns, overlap, jitter, trackRuns };
    if (tz !== undefined && timezone !== undefined && tz !== timezone) {
      throw invalidOption('timezone', 'given beside another `tz`', 'one of the two');
    }
    const pattern = cron === '' && every !== undefined ? undefined : cron;
    const times = { pattern, tz: tz ?? timezone, every, startDate, endDate, limit, immediately };
    const repeat: RepeatOptions = { ...times, ...policies };
    await this.#of(queue).upsertJobScheduler(id, repeat, { name, data, opts });
  }

  #mustBeOpen(): void {
    if (this.#closing) throw closed(this.describe());
  }
}

function repeatable(scheduler: JobSchedulerJson): RepeatableJob {
  const { key, name, pattern, every, next, endDate, tz, lastRun, skippedRuns } = scheduler;
  return {
    key,
    name,
    cron: pattern ?? '',
    ...(every === undefined ? {} : { every }),
    next: new Date(next ?? Number.NaN),
    ...(endDate === undefined ? {} : { endDate: new Date(endDate) }),
    ...(tz === undefined ? {} : { timezone: tz }),
    ...(lastRun === undefined ? {} : { lastRun }),
    ...(skippedRuns === undefined ? {} : { skippedRuns }),
  };
}

function object<T extends object>(params: T): T {
  if (params === null || typeof params !== 'object') throw invalidArgument('params', String(params), 'an object');
  return params;
}
