import type { Job } from './job.js';
import { QUEUE_CALL } from './job-host.js';
import { toJson } from './json.js';
import { QueueGetters } from './queue-getters.js';
import type { JobStateName } from './types/job-options.js';

/** Which finished jobs are put back. */
export interface RetryJobsOptions {
  /** Default `failed`. */
  state?: 'failed' | 'completed';
  /** Jobs that are put back at a time. Default 1000. */
  count?: number;
  /** Only jobs that finished up to then. Milliseconds since the epoch; default: now. */
  timestamp?: number;
}

/** What changes a queue and the jobs that are in it. */
export abstract class QueueAdministration<
  Data = any,
  Result = any,
  Name extends string = string,
  J extends Job<Data, Result, Name, any> = Job<Data, Result, Name>,
> extends QueueGetters<Data, Result, Name, J> {
  /** Adds a row to a job's log; keeps the last `keepLogs` rows. Returns how many there are. */
  async addJobLog(id: string, row: string, keepLogs?: number): Promise<number> {
    return (await this.call(QUEUE_CALL.addLog, [String(id), String(row), keepLogs])) as number;
  }

  async updateJobProgress(id: string, progress: unknown): Promise<void> {
    await this.call(QUEUE_CALL.updateProgress, [String(id), toJson(progress, `progress of job ${id}`, 'null')]);
  }

  /** Lets no worker of any process take a further job. Running jobs go on. */
  async pause(): Promise<void> {
    await this.call(QUEUE_CALL.pause, []);
    this.fire('paused');
  }

  async resume(): Promise<void> {
    await this.call(QUEUE_CALL.resume, []);
    this.fire('resumed');
  }

  /**
   * Removes a job, and with it the tree of its children, finished ones among them. Returns 0 when there is none, or when
   * a worker runs it or one of its children.
   */
  async remove(id: string, options: { /** Default true. */ removeChildren?: boolean } = {}): Promise<0 | 1> {
    const withChildren = options.removeChildren ?? true;
    const removed = (await this.call(QUEUE_CALL.remove, [String(id), withChildren])) as boolean;
    if (removed) this.fire('removed', String(id));
    return removed ? 1 : 0;
  }

  /**
   * Cancels a running job, whichever process runs it: its processor's signal is aborted with a {@link JobCancelledError}.
   * What becomes of the job is up to its processor; throwing the signal's reason fails it for good.
   *
   * @returns Whether its worker was told. False when nobody runs the job, when its worker is a stock one or has
   * `skipRemoteCancel`, and when that worker is not connected at this moment.
   */
  async cancelJob(id: string, reason?: string): Promise<boolean> {
    return (await this.call(QUEUE_CALL.cancelJob, [String(id), reason])) as boolean;
  }

  /** Puts a failed (or `completed`) job back. */
  async retryJob(id: string, state: 'failed' | 'completed' = 'failed'): Promise<void> {
    await this.call(QUEUE_CALL.retry, [String(id), state, false]);
  }

  /**
   * Puts failed (or `completed`) jobs back, `count` at a time, until there are none that finished before `timestamp`
   * (milliseconds since the epoch; default: now).
   *
   * @returns How many were put back.
   */
  async retryJobs(options: RetryJobsOptions = {}): Promise<number> {
    const { state = 'failed', count = 1000, timestamp: before = this.now() } = options;
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

  /** Lets no worker of the queue start a job for so many milliseconds. */
  async rateLimit(expireTimeMs: number): Promise<void> {
    await this.call(QUEUE_CALL.rateLimit, [expireTimeMs]);
  }

  /** Ends the running window of the rate limit. Gives 0 when there was none. */
  async removeRateLimitKey(): Promise<number> {
    return (await this.call(QUEUE_CALL.removeRateLimitKey, [])) as number;
  }

  /** Lets a job with this deduplication id be added again. Gives 0 when none held it. */
  async removeDeduplicationKey(id: string): Promise<number> {
    return (await this.call(QUEUE_CALL.removeDeduplicationKey, [id])) as number;
  }

  /** Cuts the event stream to about `maxLength` entries; gives how many went. */
  async trimEvents(maxLength: number): Promise<number> {
    return (await this.call(QUEUE_CALL.trimEvents, [maxLength])) as number;
  }

  /**
   * Removes what is left of jobs that are in no state, as programs leave behind that write around the scripts.
   *
   * @param count Keys that are looked at in one call, about.
   * @param limit Ends when so many are removed; 0: any number.
   * @returns How many were removed.
   */
  async removeOrphanedJobs(count = 1000, limit = 0): Promise<number> {
    return (await this.call(QUEUE_CALL.removeOrphanedJobs, [count, limit])) as number;
  }

  /** Removes all jobs that wait; with `delayed`, also those. Running and finished jobs stay. */
  async drain(delayed = false): Promise<void> {
    await this.call(QUEUE_CALL.drain, [delayed]);
  }

  /**
   * Removes jobs of one state that are older than `grace` milliseconds.
   *
   * @param limit So many at most; 0: any number.
   * @returns Their ids.
   */
  async clean(grace: number, limit: number, type: JobStateName = 'completed'): Promise<string[]> {
    const state = type === 'paused' ? 'waiting' : type;
    const ids = (await this.call(QUEUE_CALL.clean, [Math.floor(grace), limit, state])) as string[];
    this.fire('cleaned', ids, type);
    return ids;
  }

  /**
   * Pauses the queue and deletes it with everything in it.
   *
   * @throws `ERR_JOB_NOT_IN_STATE` when jobs are running, unless `force`.
   */
  async obliterate(options: { force?: boolean } = {}): Promise<void> {
    await this.call(QUEUE_CALL.obliterate, [options.force ?? false]);
  }

  /** At most so many jobs running at once, in all workers of all processes. */
  async setGlobalConcurrency(concurrency: number): Promise<void> {
    await this.call(QUEUE_CALL.setGlobalConcurrency, [concurrency]);
  }

  async removeGlobalConcurrency(): Promise<void> {
    await this.call(QUEUE_CALL.setGlobalConcurrency, [undefined]);
  }

  /** At most `max` jobs started in each `duration` (milliseconds), by all workers of all processes. */
  async setGlobalRateLimit(max: number, duration: number): Promise<void> {
    await this.call(QUEUE_CALL.setGlobalRateLimit, [max, duration]);
  }

  async removeGlobalRateLimit(): Promise<void> {
    await this.call(QUEUE_CALL.setGlobalRateLimit, []);
  }
}
