import { EventEmitter } from 'node:events';
import type { JobMaker } from '../../job.js';
import { QUEUE_CALL } from '../../job-host.js';
import type { Argument } from '../../native.js';
import { type JobSchedulerJson, Queue } from '../../queue.js';
import { chosenRun, NEVER } from '../../repeat-strategy.js';
import { redisConfigOf } from './connection.js';
import { bullmqError } from './errors.js';
import { Job } from './job.js';
import { QueueBackend } from './queue-backend.js';
import { checkQueueName, checkRepeatOptions } from './queue-checks.js';
import type { KeysMap } from './queue-keys.js';
import type { JobSchedulerTemplateOptions, RepeatBaseOptions, RepeatOptions } from './types.js';

/** Gives jobs of this entry point, and refusals that read as BullMQ's. */
class SchedulerQueue extends Queue<any, any, string, any> {
  protected override get Job(): JobMaker<any> {
    return Job as unknown as JobMaker<any>;
  }

  override async call(code: number, args: readonly Argument[]): Promise<unknown> {
    try {
      return await super.call(code, args);
    } catch (error) {
      throw bullmqError(error, code, args);
    }
  }
}

/** The job schedulers of a queue, as BullMQ's `JobScheduler` gives them. `Queue` has the same under its own methods. */
export class JobScheduler extends EventEmitter {
  readonly opts: RepeatBaseOptions;
  closing: Promise<void> | undefined;
  /** See {@link getBackend}. */
  readonly backend: QueueBackend;
  readonly #queue: SchedulerQueue;

  constructor(
    readonly name: string,
    opts: RepeatBaseOptions,
  ) {
    super();
    checkQueueName(name);
    const config = redisConfigOf(opts.connection);
    this.opts = opts;
    const { prefix, settings } = opts;
    this.#queue = new SchedulerQueue(name, {
      connection: config,
      skipMetasUpdate: true,
      ...(prefix === undefined ? {} : { prefix }),
      ...(settings?.repeatStrategy ? { settings: { repeatStrategy: settings.repeatStrategy } } : {}),
    });
    this.backend = new QueueBackend(name, this.#queue.prefix, config);
    this.#queue.on('error', (error) => {
      if (this.listenerCount('error') > 0) this.emit('error', error);
    });
  }

  /**
   * Makes or changes a scheduler; gives its next job. With `override: false` it only makes the job after `producerId`,
   * once, and gives nothing.
   */
  async upsertJobScheduler<T = any, R = any, N extends string = string>(
    jobSchedulerId: string,
    repeatOpts: RepeatOptions,
    jobName: N,
    jobData: T,
    opts: JobSchedulerTemplateOptions,
    { override, producerId }: { override: boolean; producerId?: string },
  ): Promise<Job<T, R, N> | undefined> {
    checkRepeatOptions(repeatOpts);
    const { count = 0, ...repeat } = repeatOpts;
    if (repeat.limit !== undefined && count + 1 > repeat.limit) return undefined;
    if (repeat.endDate && Date.now() > new Date(repeat.endDate).getTime()) return undefined;
    if (override) {
      return this.#queue.upsertJobScheduler(jobSchedulerId, repeat, { name: jobName, data: jobData, opts });
    }
    if (producerId !== undefined) {
      const strategy = this.opts.settings?.repeatStrategy;
      const next = strategy && repeat.pattern ? chosenRun(await strategy(Date.now(), repeat, jobName)) : undefined;
      if (next !== NEVER) await this.#queue.call(QUEUE_CALL.advanceScheduler, [producerId, next]);
    }
    return undefined;
  }

  /** Removes a scheduler and its pending job: 0, or 1 when there was none. */
  async removeJobScheduler(jobSchedulerId: string): Promise<number> {
    return (await this.#queue.removeJobScheduler(jobSchedulerId)) ? 0 : 1;
  }

  async isJobScheduler(id: string): Promise<boolean> {
    return (await this.#queue.getJobScheduler(id)) !== undefined;
  }

  async getScheduler<D = any>(id: string): Promise<JobSchedulerJson<D> | undefined> {
    const found = await this.#queue.getJobScheduler(id);
    return found && withLongNames(found);
  }

  async getJobSchedulers<D = any>(start = 0, end = -1, asc = false): Promise<JobSchedulerJson<D>[]> {
    return (await this.#queue.getJobSchedulers(start, end, asc)).map(withLongNames);
  }

  getSchedulersCount(): Promise<number> {
    return this.#queue.getJobSchedulersCount();
  }

  get keys(): KeysMap {
    return this.backend.keys;
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

  async waitUntilReady(): Promise<void> {
    await this.#queue.waitUntilReady();
  }

  close(): Promise<void> {
    this.closing ??= this.#queue.close().then(() => this.backend.close());
    return this.closing;
  }

  disconnect(): Promise<void> {
    return this.close();
  }
}

/** With the options of its template as users write them. */
export function withLongNames<S extends JobSchedulerJson>(scheduler: S): S {
  const { template } = scheduler;
  if (!template?.opts) return scheduler;
  return { ...scheduler, template: { ...template, opts: Job.optsFromJSON(JSON.stringify(template.opts)) } };
}
