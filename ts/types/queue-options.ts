import type { ForkOptions } from 'node:child_process';
import type { WorkerOptions as ThreadOptions } from 'node:worker_threads';
import type { BatchOptions } from '../batch/job-batch.js';
import type { GroupLimits } from './group-types.js';
import type { DeadLetterChoice, JobOptions, KeepJobs, RepeatOptions } from './job-options.js';
import type { PayloadOptions } from './payload-types.js';
import type { RedisConfig } from './redis-config.js';
import type { Telemetry } from './telemetry.js';

/** How a queue, worker or event reader reaches its server: one of the two names of the same thing. */
export interface QueueConnection {
  redis?: RedisConfig;
  /** BullMQ's name of `redis`. */
  connection?: RedisConfig;
  /** First part of every key. Default `bull`. */
  prefix?: string;
}

export interface QueueOptions extends QueueConnection {
  /** Traces and counts what is done, in BullMQ's form: `new BullMQOtel(…)` of the package `bullmq-otel`. */
  telemetry?: Telemetry;
  /** What a job gets that says nothing itself. */
  defaultJobOptions?: JobOptions;
  /** For jobs that say nothing themselves: the same as `defaultJobOptions.deadLetter`. */
  deadLetter?: DeadLetterChoice;
  /** Compresses and encrypts data and results. Default: neither. */
  payload?: PayloadOptions;
  /** Bounds the jobs that wait. Every producer of the queue should have the same. Default: no bound. */
  overload?: OverloadOptions;
  /** About how many entries the event stream keeps. Default 10,000. */
  streams?: { events?: { maxLen?: number } };
  /** Leave what is stored about the queue (its version, the bound of its events) as it is. Default false. */
  skipMetasUpdate?: boolean;
  settings?: { repeatStrategy?: RepeatStrategy };
}

/**
 * When a job scheduler with a `pattern` runs next, in place of cron. Workers of the queue need the same strategy.
 *
 * @param millis The last run, or now for the first one; milliseconds since the epoch.
 * @param name Name of the jobs.
 * @returns Milliseconds since the epoch; undefined: never again.
 */
export type RepeatStrategy = (
  millis: number,
  opts: RepeatOptions,
  name?: string,
) => number | undefined | Promise<number | undefined>;

/** How many jobs may wait in a queue, and what becomes of jobs beyond. */
export interface OverloadOptions {
  /**
   * Waiting jobs, with and without priority, in groups too. Delayed and running jobs do not count, nor are they refused;
   * jobs of flows and schedulers and retried jobs are let in.
   */
  maxWaiting: number;
  /**
   * `reject`, the default: `add` throws `ERR_OVERLOADED`. `dropOldest`: the oldest waiting job is removed for the new one.
   * `wait`: `add` waits for room, and throws `ERR_OVERLOADED` when none comes within `timeout`.
   */
  policy?: 'reject' | 'dropOldest' | 'wait';
  /** Milliseconds. Only with `policy: 'wait'`. Default 5000. */
  timeout?: number;
}

/** At most `max` jobs started in each `duration` (milliseconds), by all workers of the queue together. */
export interface LimiterOptions {
  max: number;
  duration: number;
}

/**
 * Milliseconds before the next attempt of a job whose `backoff.type` is not built in; -1 gives up.
 * `attemptsMade` counts the attempt that just failed. When it throws, the worker emits `error` and waits `backoff.delay`.
 */
export type BackoffStrategy = (
  attemptsMade: number,
  type: string,
  error: Error,
  job: unknown,
) => number | Promise<number>;

/** How the sandboxes of a processor that is given as a file are made. */
export interface SandboxOptions {
  /** Worker threads of this process in place of child processes. Default false. */
  useWorkerThreads?: boolean;
  /** Of `child_process.fork`. `serialization` is always `advanced`. Default: this process's environment and `execArgv`. */
  workerForkOptions?: ForkOptions;
  /** Of `new Worker` of `node:worker_threads`. */
  workerThreadsOptions?: ThreadOptions;
}

export interface WorkerOptions extends QueueConnection, SandboxOptions {
  /** Shows in each job that the worker takes. */
  name?: string;
  /** Take jobs at once, without `run()`. Default true. */
  autorun?: boolean;
  /** Jobs at once. Default 1. */
  concurrency?: number;
  limiter?: LimiterOptions;
  /** How data and results are stored: the same as the queue's. Compressed data is read without it, encrypted data is not. */
  payload?: PayloadOptions;
  /**
   * Bounds of each group that has none of its own. They are stored in the queue when the worker starts, and hold for all
   * workers of all processes; what is left out stays as it is stored.
   */
  group?: GroupLimits;
  /** Milliseconds after which a lock that is not renewed is lost. Default 30000. */
  lockDuration?: number;
  /** Milliseconds; locks are renewed twice in this time, on a thread of their own. Default half of `lockDuration`. */
  lockRenewTime?: number;
  /** Milliseconds between two looks for jobs of dead workers. Default 30000. */
  stalledInterval?: number;
  /** A job that stalled more often fails. Default 1. */
  maxStalledCount?: number;
  /** A job that was started more often fails. Default: no bound. */
  maxStartedAttempts?: number;
  /** Seconds between two looks at an empty queue, at most. Default 5. */
  drainDelay?: number;
  /** Milliseconds of sleep for a rate limit, at most. Default 30000. */
  maximumRateLimitDelay?: number;
  /** What becomes of completed jobs that say nothing themselves. Default: the newest 100,000 stay; false keeps all. */
  removeOnComplete?: KeepJobs;
  /** What becomes of jobs that failed for good and say nothing themselves. Default: the newest 100,000 stay; false keeps all. */
  removeOnFail?: KeepJobs;
  /** Counts finished jobs by the minute, for so many minutes. Default: not at all. */
  metrics?: { maxDataPoints: number };
  /** Where jobs go that have failed for good and say nothing themselves. Default: they stay in this queue. */
  deadLetter?: DeadLetterChoice;
  /** Leaves looking for jobs of dead workers to others. Default false. */
  skipStalledCheck?: boolean;
  /** Does not renew locks: a job that runs longer than `lockDuration` is run again. Default false. */
  skipLockRenewal?: boolean;
  /** `queue.cancelJob` does not reach this worker, which then needs no subscription. Default false. */
  skipRemoteCancel?: boolean;
  /** Milliseconds between two tries while the server takes no call, at most. Default 1000. */
  runRetryDelay?: number;
  /**
   * Takes quick jobs a few milliseconds before there is a slot for them, so that processors do not wait for the server:
   * as many as begin, at the present pace, within 5 milliseconds. They are `active` from then on; one that has not begun
   * after 100 milliseconds, or when the worker pauses or closes, goes back to the front of the queue. Never with a
   * `concurrency` of 1, `batch`, a `limiter`, or a concurrency or rate limit of the whole queue. Default true.
   */
  prefetch?: boolean;
  /**
   * Opens one more connection, which does nothing but bear the name by which BullMQ's own `getWorkers()` finds a worker;
   * `name` may then have no blanks. Default false: the workers of a process share one connection, and only oxcart's
   * `getWorkers()` lists them.
   */
  visibleToBullmq?: boolean;
  settings?: { backoffStrategy?: BackoffStrategy; repeatStrategy?: RepeatStrategy };
  /** Traces and counts what is done, in BullMQ's form: `new BullMQOtel(…)` of the package `bullmq-otel`. */
  telemetry?: Telemetry;
  /** Gives the processor several jobs at a time, which is then a {@link BatchProcessor}. `concurrency` counts batches. */
  batch?: BatchOptions;
  /** Milliseconds that `close()` waits for running jobs. Default: as long as they run. */
  closeTimeout?: number;
}

export interface QueueEventsOptions extends QueueConnection {
  /** Read at once, without `run()`. Default true. */
  autorun?: boolean;
  /** Stream id after which reading starts. Default: what happens from now on. */
  lastEventId?: string;
}
