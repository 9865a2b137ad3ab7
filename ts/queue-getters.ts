import type { Job } from './job.js';
import { jobNotFound } from './job-errors.js';
import { QUEUE_CALL } from './job-host.js';
import type { JobRow } from './job-row.js';
import { QueueBase } from './queue-base.js';
import type { JobState, JobStateName } from './types/job-options.js';

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

const COUNT_NAMES = ['waiting', 'active', 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed'] as const;

/** What a queue tells about itself and its jobs. */
export abstract class QueueGetters<
  Data = any,
  Result = any,
  Name extends string = string,
  J extends Job<Data, Result, Name, any> = Job<Data, Result, Name>,
> extends QueueBase<Data, Result, Name, J> {
  async getJob(id: string): Promise<J | undefined> {
    const row = (await this.call(QUEUE_CALL.getJob, [String(id)])) as JobRow | null;
    return row ? this.Job.fromRow(this.host, row) : undefined;
  }

  /** @internal @throws `ERR_JOB_NOT_FOUND`. */
  async mustGetJob(id: string): Promise<J> {
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
  ): Promise<J[]> {
    const states = (Array.isArray(types) ? types : [types]).map((type) => (type === 'paused' ? 'waiting' : type));
    const rows = (await this.call(QUEUE_CALL.getJobs, [[...new Set(states)].join(), start, end, asc])) as JobRow[];
    return rows.map((row) => this.Job.fromRow(this.host, row));
  }

  getWaiting(start?: number, end?: number): Promise<J[]> {
    return this.getJobs('waiting', start, end, true);
  }

  getActive(start?: number, end?: number): Promise<J[]> {
    return this.getJobs('active', start, end, true);
  }

  getDelayed(start?: number, end?: number): Promise<J[]> {
    return this.getJobs('delayed', start, end, true);
  }

  getPrioritized(start?: number, end?: number): Promise<J[]> {
    return this.getJobs('prioritized', start, end, true);
  }

  getCompleted(start?: number, end?: number): Promise<J[]> {
    return this.getJobs('completed', start, end, false);
  }

  getFailed(start?: number, end?: number): Promise<J[]> {
    return this.getJobs('failed', start, end, false);
  }

  getWaitingChildren(start?: number, end?: number): Promise<J[]> {
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
    return ((await this.call(QUEUE_CALL.getState, [String(id)])) as JobState | null) ?? 'unknown';
  }

  /** Rows `start..=end` of a job's log, and how many there are in all. */
  async getJobLogs(id: string, start = 0, end = -1): Promise<{ logs: string[]; count: number }> {
    const [logs, count] = (await this.call(QUEUE_CALL.getLogs, [String(id), start, end])) as [string[], number];
    return { logs, count };
  }

  async isPaused(): Promise<boolean> {
    return (await this.call(QUEUE_CALL.isPaused, [])) as boolean;
  }

  /** Milliseconds until a rate limit lets the next job start; 0 when it does now. */
  async getRateLimitTtl(): Promise<number> {
    return (await this.call(QUEUE_CALL.getRateLimitTtl, [])) as number;
  }

  async #counts(): Promise<JobCounts> {
    const numbers = (await this.call(QUEUE_CALL.getCounts, [])) as number[];
    return Object.fromEntries(COUNT_NAMES.map((name, index) => [name, numbers[index] ?? 0])) as unknown as JobCounts;
  }
}

function countOf(counts: JobCounts, type: JobStateName): number {
  if (type === 'wait') return counts.waiting;
  // A paused queue keeps its jobs in `waiting`; BullMQ 6 has no such state.
  if (type === 'paused') return 0;
  return counts[type];
}
