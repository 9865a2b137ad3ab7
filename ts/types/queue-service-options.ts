import type { BatchOptions } from '../batch/job-batch.js';
import type { AddJobOptions, JobOptions, JobStateName } from './job-options.js';
import type { PayloadOptions } from './payload-types.js';
import type { LimiterOptions, OverloadOptions, SandboxOptions } from './queue-options.js';
import type { RedisConfig } from './redis-config.js';
import type { Telemetry } from './telemetry.js';

/** A queue that a {@link QueueServiceOptions | service} has. */
export interface QueueDefinition {
  name: string;
  /** Jobs at once, for processors that say nothing themselves. Default 5. */
  concurrency?: number;
  /** Whether jobs may have a priority; false refuses them. Default true. */
  priority?: boolean;
  /** Limit for processors that say nothing themselves. */
  rateLimit?: LimiterOptions;
  /** Bounds the jobs that wait. Default: no bound. */
  overload?: OverloadOptions;
}

export interface QueueServiceOptions {
  redis?: RedisConfig;
  /** First part of every key. Default `bull`. */
  prefix?: string;
  /** What a job gets that says nothing itself. */
  defaultJobOptions?: JobOptions;
  /** Traces and counts what queues and processors do; see `telemetry` of queues. */
  telemetry?: Telemetry;
  /** The queues that there are; any other name is then refused with `ERR_QUEUE_NOT_FOUND`. Default: any name. */
  queues?: (QueueDefinition | string)[];
  /** Compresses and encrypts data and results. Default: neither. */
  payload?: PayloadOptions;
  /** Of all processors. Milliseconds. */
  settings?: {
    /** Default 30000. */
    lockDuration?: number;
    /** Default half of `lockDuration`. */
    lockRenewTime?: number;
    /** Default 30000. */
    stalledInterval?: number;
    /** Default 1. */
    maxStalledCount?: number;
  };
}

export interface ProcessorOptions extends SandboxOptions {
  /** Several jobs for one call of the processor, which must be the only one of its queue. */
  batch?: BatchOptions;
  /** Jobs at once. Default: that of the queue's definition, else 5. */
  concurrency?: number;
  limiter?: LimiterOptions;
  /** Runs only jobs of this name, beside processors of other names. Default: every job that has no processor by name. */
  name?: string;
}

/** A job of `addBulk`. */
export interface BulkJob<Data = any> {
  name: string;
  data: Data;
  options?: JobOptions;
}

export interface AddJobParams<Queue extends string = string, Data = any> {
  queue: Queue;
  name: string;
  data: Data;
  options?: AddJobOptions;
}

export interface GetJobsParams<Queue extends string = string> {
  queue: Queue;
  state: JobStateName | JobStateName[];
  /** First of each state, from 0. */
  start?: number;
  /** Last of each state; -1, the default, is its last one. */
  end?: number;
}

/** How many jobs a queue has. */
export interface QueueMetrics {
  /** With and without priority. 0 while the queue is paused. */
  waiting: number;
  active: number;
  completed: number;
  failed: number;
  delayed: number;
  /** What would wait if the queue were not paused. */
  paused: number;
  /** All that is not finished: waiting, active, delayed and paused. */
  total: number;
}
