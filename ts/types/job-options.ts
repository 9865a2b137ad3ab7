import type { JobTelemetryOptions } from './telemetry.js';

/** State of a job. `wait` is accepted where a state is asked for. */
export type JobState = 'waiting' | 'active' | 'delayed' | 'prioritized' | 'waiting-children' | 'completed' | 'failed';

/** A state as users name it; `wait` is Bull's word for `waiting`, `paused` asks for what waits in a paused queue. */
export type JobStateName = JobState | 'wait' | 'paused';

/** How long to wait before the next attempt. */
export interface BackoffOptions {
  /** `fixed`, `exponential` (`delay`, then twice as long each time), or a name for `settings.backoffStrategy`. */
  type: 'fixed' | 'exponential' | (string & {});
  /** Milliseconds. */
  delay?: number;
  /** 0 to 1: the share of the delay that is left to chance. Default 0. */
  jitter?: number;
}

/** Which finished jobs stay. `true` removes at once, `false` keeps all, a number keeps so many. */
export type KeepJobs =
  | boolean
  | number
  | {
      /** Not longer than so many seconds. */
      age?: number;
      /** So many at most. */
      count?: number;
      /** How many jobs over age may be removed each time a job finishes. Default 1000. */
      limit?: number;
    };

/** Lets jobs that are the same be added once. Stored as BullMQ does. */
export interface DeduplicationOptions {
  /** Jobs with the same id are the same. */
  id: string;
  /** Milliseconds in which a second job is not added. Default: until the first has finished. */
  ttl?: number;
  /** Each job that is not added opens the window anew. */
  extend?: boolean;
  /** A new job takes the place of a delayed one. */
  replace?: boolean;
  /** A job that is not added moves the due time of a delayed one. */
  reschedule?: boolean;
  /** The last job that was not added while the first one ran starts after it. */
  keepLastIfActive?: boolean;
}

/** Runs of a job scheduler that come late, that overlap or that fall together. Stock BullMQ workers know none of it. */
export interface RunPolicies {
  /**
   * What becomes of runs whose time passed while no worker took them. `runOnce`, the default: one late run stands for all
   * of them, as in BullMQ. `skip`: a run that is later than `missedAfter` is let go. `runAll`: each of them runs, oldest
   * first, at most `maxMissedRuns` in a row.
   */
  missedRuns?: 'skip' | 'runOnce' | 'runAll';
  /** Milliseconds. Only with `missedRuns: 'skip'`. Default 60,000. */
  missedAfter?: number;
  /** Only with `missedRuns: 'runAll'`. Default 100. */
  maxMissedRuns?: number;
  /**
   * What becomes of a run whose predecessor has not ended, its further attempts included. `allow`, the default: both run,
   * as in BullMQ. `skip`: it is left out. `queue`: it waits for the end of the one before; of several, one.
   */
  overlap?: 'allow' | 'skip' | 'queue';
  /** Each run comes up to so many milliseconds after its time, by chance. Default 0. */
  jitter?: number;
  /** Keeps a record of the last run, `lastRun` of `getJobScheduler`. Default false; true for `SchedulerService`. */
  trackRuns?: boolean;
}

/** The last run of a job scheduler. Times are milliseconds since the epoch. */
export interface LastRun {
  jobId: string;
  /** The time that it was made for. */
  scheduledFor: number;
  startedAt: number;
  finishedAt?: number;
  status: 'active' | 'completed' | 'failed';
  attemptsMade?: number;
  failedReason?: string;
}

/** When the jobs of a scheduler come. Exactly one of `pattern` (or `cron`) and `every`. */
export interface RepeatOptions extends RunPolicies {
  /** Cron expression with five fields, or six with seconds first. */
  pattern?: string;
  /** Bull's word for `pattern`. */
  cron?: string;
  /** Milliseconds between two jobs. */
  every?: number;
  /** Milliseconds from the start of each slot of `every`. */
  offset?: number;
  /** So many jobs at most. */
  limit?: number;
  startDate?: Date | string | number;
  endDate?: Date | string | number;
  /** IANA time zone of the pattern. Default: that of the process, as in BullMQ. */
  tz?: string;
  /** The first job comes at once (with a pattern). */
  immediately?: boolean;
}

/** The group of a job. Groups share a queue fairly: ungrouped jobs go first, then one of each group in turn. */
export interface GroupOptions {
  /** At most 512 bytes. */
  id: string;
  /** The job is refused with `ERR_GROUP_MAX_SIZE_EXCEEDED` when so many jobs of the group wait. Default: no bound. */
  maxSize?: number;
  /** Within the group: 1 (first) to 2,097,151 (last). 0, the default, goes before all of them. */
  priority?: number;
}

/** Where jobs go that have failed for good. */
export interface DeadLetterOptions {
  /** Name of a queue with the same prefix. On a cluster both need the same hash tag. */
  queue: string;
  /** Of more letters the oldest go. Default 100,000. */
  limit?: number;
}

export type DeadLetterChoice = string | DeadLetterOptions | false;

/** A job that waits for others. */
export interface ParentOptions {
  id: string;
  /** `prefix:name` of its queue: `job.queueQualifiedName`. */
  queue: string;
}

/** What a job can be told when it is added. Unknown options are refused with `ERR_INVALID_OPTION`. */
export interface JobOptions {
  /** 1 (first) to 2,097,151 (last). 0, the default, goes before all of them. */
  priority?: number;
  /** Milliseconds before the job may run. Default 0. */
  delay?: number;
  /** How often the job is tried in all. Default 1. */
  attempts?: number;
  /** Wait before the next attempt; a number is a fixed delay in milliseconds. Default: none. */
  backoff?: number | BackoffOptions;
  /** Goes to the front of the queue. Default false. */
  lifo?: boolean;
  /**
   * Milliseconds that one attempt may take. After them the processor's signal is aborted and the attempt fails with
   * `ERR_WAIT_TIMED_OUT`, whether the processor settles or not; what it gives later is ignored. It is tried again as
   * `attempts` and `backoff` say. A sandbox is ended with it; a function of this process goes on by itself unless it heeds
   * the signal. Default: no limit. Honoured by this package's workers, ignored by stock BullMQ's.
   */
  timeout?: number;
  /**
   * When the job is no longer worth starting. One whose first start would come later fails instead, for good, with a
   * reason that begins with `job expired`; attempts after the first are not bound by it. Default: never. Honoured by this
   * package's workers, ignored by stock BullMQ's.
   */
  expireAt?: Date | string | number;
  /** The job's place in a trace; see `telemetry` of queues and workers. */
  telemetry?: JobTelemetryOptions;
  /** What becomes of the job when it has completed. Default: the worker's option. */
  removeOnComplete?: KeepJobs;
  /** What becomes of the job when it has failed for good. Default: the worker's option. */
  removeOnFail?: KeepJobs;
  /** Log rows that stay, newest last. Default 10,000. */
  keepLogs?: number;
  /** Stack traces that stay, newest last. Default 10. Each is cut after 32 KiB. */
  stackTraceLimit?: number;
  /** Largest data, in bytes of JSON. Default 16 MiB. */
  sizeLimit?: number;
  /** Id of the job; adding the same id twice adds one job. Not an integer, and without `:`. */
  jobId?: string;
  /** A job that is the same as one before is not added; `add` then gives the job that is there. */
  deduplication?: DeduplicationOptions;
  /**
   * Where the job goes when it has failed for good: the name of a queue of dead letters, or `false` for nowhere, whatever
   * the worker says. Default: the worker's option, else it stays among the failed jobs. Stock BullMQ ignores it.
   */
  deadLetter?: DeadLetterChoice;
  /** Stock BullMQ workers never take a job that has one. Not together with `priority`: use `group.priority`. */
  group?: GroupOptions;
  /** Milliseconds since the epoch. Default: now. */
  timestamp?: number;
  /** The job whose child this one is: it waits until this one has finished. Not together with `deduplication`. */
  parent?: ParentOptions;
  /** Of a child: its failure, for good, fails its parent too. At most one of the four modes. Default: the parent waits. */
  failParentOnFailure?: boolean;
  /** Of a child: its failure lets its parent run at once; the reason is among the parent's ignored failures. */
  continueParentOnFailure?: boolean;
  /** Of a child: when it fails it counts as done; the reason is among the parent's ignored failures. */
  ignoreDependencyOnFailure?: boolean;
  /** Of a child: when it fails it counts as done, and its parent does not hear of it. */
  removeDependencyOnFailure?: boolean;
}

/** BullMQ's name of {@link JobOptions}. */
export type JobsOptions = JobOptions;

/** Options of an added job, which may also become a job scheduler. */
export interface AddJobOptions extends JobOptions {
  /** Makes a job scheduler in place of one job; `jobId` is its id, by default made of name and schedule. */
  repeat?: RepeatOptions;
}
