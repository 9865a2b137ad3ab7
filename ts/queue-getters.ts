import { invalidArgument } from './errors.js';
import type { Job } from './job.js';
import { jobNotFound } from './job-errors.js';
import { QUEUE_CALL } from './job-host.js';
import { type JobRow, type StoredJobJson, storedJob, storedJson } from './job-row.js';
import { QueueBase } from './queue-base.js';
import { type FinishedJobMetrics, prometheusText } from './queue-metrics.js';
import { MetricNames, TelemetryAttributes } from './telemetry/attributes.js';
import type { JobState, JobStateName } from './types/job-options.js';
import { type ListedWorker, type WorkerEntry, workersOf } from './worker-entry.js';

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

/** What is stored about a queue beside its jobs. */
export interface QueueMeta {
  /** Jobs at once in all workers. */
  concurrency?: number;
  /** Jobs started in each `duration` (milliseconds). */
  max?: number;
  duration?: number;
  /** About how many events are kept. */
  maxLenEvents?: number;
  paused: boolean;
  version?: string;
}

const COUNT_NAMES = ['waiting', 'active', 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed'] as const;

/** A page of a parent's children. `v` is a result; `jobs` are those that are still stored. */
export interface ChildrenPage {
  /** Keys of children, `prefix:queue:id`. */
  items: { id: string; v?: unknown }[];
  jobs: StoredJobJson[];
  /** How many there are in all. */
  total: number;
}

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
   * Children of a job: those that have completed (`processed`) or those that are unfinished (`pending`), `start..=end`.
   * Their order is the server's; it holds while no child changes.
   *
   * @param end -1, the default, is the last.
   */
  async getDependencies(parentId: string, type: 'processed' | 'pending', start = 0, end = -1): Promise<ChildrenPage> {
    if (type !== 'processed' && type !== 'pending') throw invalidArgument('type', String(type), 'processed, pending');
    const kind = type === 'processed' ? 'processed' : 'unprocessed';
    const page = await this.call(QUEUE_CALL.pageChildren, [String(parentId), kind, start, end]);
    const [total, children, jobs] = page as [number, (string | null)[], [queue: string, row: JobRow][]];
    const items = children.flatMap((id, index) => {
      const value = children[index + 1];
      return index % 2 === 1 ? [] : [{ id: id as string, ...(value == null ? {} : { v: storedJson(value) }) }];
    });
    return { items, jobs: jobs.map(([, row]) => storedJob(row)), total };
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

  /** Delayed jobs; with a time (milliseconds since the epoch) those that are due before it. */
  async getDelayedCount(timestamp?: number): Promise<number> {
    if (timestamp === undefined) return this.getJobCountByTypes('delayed');
    if (!Number.isSafeInteger(timestamp)) {
      throw invalidArgument('timestamp', String(timestamp), 'milliseconds, a safe integer');
    }
    return (await this.call(QUEUE_CALL.getDelayedCountBefore, [timestamp])) as number;
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

  /** Rows `start..=end` of a job's log, and how many there are in all; counted from the newest unless `asc`. */
  async getJobLogs(id: string, start = 0, end = -1, asc = true): Promise<{ logs: string[]; count: number }> {
    const range = asc ? [start, end] : [-(end + 1), -(start + 1)];
    const [logs, count] = (await this.call(QUEUE_CALL.getLogs, [String(id), ...range])) as [string[], number];
    return { logs: asc ? logs : logs.reverse(), count };
  }

  /** How many jobs wait with each of these priorities. */
  async getCountsPerPriority(priorities: number[]): Promise<Record<string, number>> {
    const different = [...new Set(priorities)];
    const counts = (await this.call(QUEUE_CALL.getCountsPerPriority, [different.join()])) as number[];
    return Object.fromEntries(different.map((priority, index) => [String(priority), counts[index] ?? 0]));
  }

  /**
   * Jobs that workers with the option `metrics` have finished: in all, and by the minute, the latest first.
   *
   * @param start First minute, from 0.
   * @param end Last minute; -1 is the oldest.
   */
  async getMetrics(type: 'completed' | 'failed', start = 0, end = -1): Promise<FinishedJobMetrics> {
    const answer = (await this.call(QUEUE_CALL.getMetrics, [type, start, end])) as [...number[], number[]];
    const [count, prevTS, prevCount, points] = answer as unknown as number[];
    return {
      meta: { count: count ?? 0, prevTS: prevTS ?? 0, prevCount: prevCount ?? 0 },
      data: answer[4] as unknown as number[],
      count: points ?? 0,
    };
  }

  /**
   * How many jobs are in each state, and how many have finished, in the text format of Prometheus.
   *
   * @param labels Added to every line.
   */
  async exportPrometheusMetrics(labels: Record<string, string> = {}): Promise<string> {
    const [counts, completed, failed] = await Promise.all([
      this.getJobCounts(),
      this.getMetrics('completed'),
      this.getMetrics('failed'),
    ]);
    return prometheusText(this.name, counts, completed.meta.count, failed.meta.count, labels);
  }

  /** Records how many jobs are in each state with the `meter` of the option `telemetry`; gives the counts. */
  async recordJobCountsMetric(...types: JobStateName[]): Promise<Record<string, number>> {
    const counts = await this.getJobCounts(...types);
    const gauge = this.opts.telemetry?.meter?.createGauge(MetricNames.QueueJobsCount, {
      description: 'Number of jobs in the queue by state',
      unit: '{jobs}',
    });
    for (const [state, count] of Object.entries(counts)) {
      gauge?.record(count, {
        [TelemetryAttributes.QueueName]: this.name,
        [TelemetryAttributes.QueueJobsState]: state,
      });
    }
    return counts;
  }

  /** The workers of this queue in all processes, those of stock BullMQ too. */
  async getWorkers(): Promise<WorkerEntry[]> {
    const [clients, ours] = await Promise.all([
      this.call(QUEUE_CALL.getClientList, []) as Promise<string>,
      this.call(QUEUE_CALL.getWorkers, []) as Promise<ListedWorker[]>,
    ]);
    return workersOf(this.prefix, this.name, clients, ours, this.now());
  }

  async getWorkersCount(): Promise<number> {
    return (await this.getWorkers()).length;
  }

  /** What is stored about the queue itself. */
  async getMeta(): Promise<QueueMeta> {
    const fields = (await this.call(QUEUE_CALL.getMeta, [])) as string[];
    const stored: Record<string, string> = {};
    for (let at = 0; at + 1 < fields.length; at += 2) stored[fields[at]!] = fields[at + 1]!;
    const { concurrency, max, duration, paused, 'opts.maxLenEvents': maxLenEvents, ...meta } = stored;
    const numbers = Object.entries({ concurrency, maxLenEvents, max, duration }).filter(([, value]) => value);
    return {
      ...meta,
      ...Object.fromEntries(numbers.map(([name, value]) => [name, Number(value)])),
      paused: paused === '1',
    };
  }

  /** Version of the program that opened the queue last; `null` when none says so. */
  async getVersion(): Promise<string | null> {
    return (await this.getMeta()).version ?? null;
  }

  /** How many jobs may run at once in all workers; `null` without such a bound. */
  async getGlobalConcurrency(): Promise<number | null> {
    return (await this.getMeta()).concurrency ?? null;
  }

  async getGlobalRateLimit(): Promise<{ max: number; duration: number } | null> {
    const { max, duration } = await this.getMeta();
    return max && duration ? { max, duration } : null;
  }

  /** Whether as many jobs run as the global concurrency allows. */
  async isMaxed(): Promise<boolean> {
    return (await this.call(QUEUE_CALL.isMaxed, [])) as boolean;
  }

  /** Id of the job that holds a deduplication id; `null` when none does. */
  async getDeduplicationJobId(id: string): Promise<string | null> {
    return (await this.call(QUEUE_CALL.getDeduplicationJobId, [id])) as string | null;
  }

  async isPaused(): Promise<boolean> {
    return (await this.call(QUEUE_CALL.isPaused, [])) as boolean;
  }

  /**
   * Milliseconds until a rate limit lets the next job start; 0 when it does now.
   *
   * @param max The limit that a worker brings. Default: the queue's own.
   */
  async getRateLimitTtl(max?: number): Promise<number> {
    return Math.max(0, (await this.call(QUEUE_CALL.getRateLimitTtl, [max])) as number);
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
