import { QUEUE_CALL } from '../../job-host.js';
import type { JobSchedulerJson } from '../../queue.js';
import { chosenRun, NEVER } from '../../repeat-strategy.js';
import { Job } from './job.js';
import { checkRepeatOptions } from './queue-checks.js';
import { QueuePart } from './queue-part.js';
import type { JobSchedulerTemplateOptions, RepeatBaseOptions, RepeatOptions } from './types.js';

/** The job schedulers of a queue, as BullMQ's `JobScheduler` gives them. `Queue` has the same under its own methods. */
export class JobScheduler extends QueuePart {
  readonly opts: RepeatBaseOptions;

  constructor(name: string, opts: RepeatBaseOptions) {
    const repeatStrategy = opts.settings?.repeatStrategy;
    super(name, opts, repeatStrategy ? { settings: { repeatStrategy } } : {});
    this.opts = opts;
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
      return this.queue.upsertJobScheduler(jobSchedulerId, repeat, { name: jobName, data: jobData, opts });
    }
    if (producerId !== undefined) {
      const strategy = this.opts.settings?.repeatStrategy;
      const next = strategy && repeat.pattern ? chosenRun(await strategy(Date.now(), repeat, jobName)) : undefined;
      if (next !== NEVER) await this.queue.call(QUEUE_CALL.advanceScheduler, [producerId, next]);
    }
    return undefined;
  }

  /** Removes a scheduler and its pending job: 0, or 1 when there was none. */
  async removeJobScheduler(jobSchedulerId: string): Promise<number> {
    return (await this.queue.removeJobScheduler(jobSchedulerId)) ? 0 : 1;
  }

  async isJobScheduler(id: string): Promise<boolean> {
    return (await this.queue.getJobScheduler(id)) !== undefined;
  }

  async getScheduler<D = any>(id: string): Promise<JobSchedulerJson<D> | undefined> {
    const found = await this.queue.getJobScheduler(id);
    return found && withLongNames(found);
  }

  async getJobSchedulers<D = any>(start = 0, end = -1, asc = false): Promise<JobSchedulerJson<D>[]> {
    return (await this.queue.getJobSchedulers(start, end, asc)).map(withLongNames);
  }

  getSchedulersCount(): Promise<number> {
    return this.queue.getJobSchedulersCount();
  }
}

/** With the options of its template as users write them. */
export function withLongNames<S extends JobSchedulerJson>(scheduler: S): S {
  const { template } = scheduler;
  if (!template?.opts) return scheduler;
  return { ...scheduler, template: { ...template, opts: Job.optsFromJSON(JSON.stringify(template.opts)) } };
}
