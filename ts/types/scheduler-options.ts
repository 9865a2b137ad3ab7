import type { JobOptions, LastRun, RunPolicies } from './job-options.js';
import type { RedisConfig } from './redis-config.js';

export interface SchedulerServiceOptions {
  redis?: RedisConfig;
  /** First part of every key. Default `bull`. */
  prefix?: string;
  /** The queue of jobs that name no other. Default `scheduled-jobs`. */
  queue?: string;
}

/** When a scheduled job comes, beside its cron pattern, and what its jobs are told. */
export interface ScheduleOptions extends JobOptions, RunPolicies {
  /** IANA time zone of the pattern. Default: that of the process, as in BullMQ. */
  tz?: string;
  /** The same as `tz`. */
  timezone?: string;
  /** Milliseconds between two runs, in place of a pattern. */
  every?: number;
  startDate?: Date | string | number;
  endDate?: Date | string | number;
  /** So many runs at most. */
  limit?: number;
  /** The first run comes at once (with a pattern). */
  immediately?: boolean;
}

/** A job of `initialize`. */
export interface ScheduledJob<Data = any> {
  name: string;
  cron: string;
  data?: Data;
  options?: ScheduleOptions;
  /** For readers of the application's code. */
  description?: string;
  /** Default: the service's queue. */
  queue?: string;
}

export interface RepeatableParams<Data = any> {
  queue: string;
  name: string;
  data: Data;
  cron: string;
  options?: {
    startDate?: Date | string | number;
    endDate?: Date | string | number;
    limit?: number;
    /** IANA time zone of the pattern. Default: that of the process, as in BullMQ. */
    timezone?: string;
  } & RunPolicies;
}

/** A schedule as it is stored. */
export interface RepeatableJob {
  /** Its id, by which `removeScheduledJob` and `queue.removeJobScheduler` know it. */
  key: string;
  name: string;
  /** Its pattern; empty for one that comes `every` so many milliseconds. */
  cron: string;
  every?: number;
  next: Date;
  endDate?: Date;
  timezone?: string;
  /** Absent before the first run. */
  lastRun?: LastRun;
  /** Runs that `missedRuns: 'skip'` let go, when there were any. */
  skippedRuns?: number;
}
