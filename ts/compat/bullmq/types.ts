import type { BackoffOptions, DeduplicationOptions, JobOptions } from '../../types/job-options.js';
import type {
  BackoffStrategy,
  QueueEventsOptions as OwnQueueEventsOptions,
  QueueOptions as OwnQueueOptions,
  WorkerOptions as OwnWorkerOptions,
  RepeatStrategy,
} from '../../types/queue-options.js';
import type { Telemetry } from '../../types/telemetry.js';
import type { ConnectionOptions } from './connection.js';

export type JobProgress = string | boolean | number | object;
export type FinishedStatus = 'completed' | 'failed';
export type JobState = FinishedStatus | 'active' | 'delayed' | 'prioritized' | 'waiting' | 'waiting-children';
/** A state as getters take it; `wait` is another word for `waiting`. */
export type JobType = JobState | 'wait' | 'paused';

export type KeepJobs = { count: number } | { age: number; count?: number; limit?: number };
export type { BackoffOptions, BackoffStrategy, DeduplicationOptions, RepeatStrategy };

/** What every job of a queue can be told. */
export type DefaultJobOptions = Pick<
  JobOptions,
  | 'timestamp'
  | 'priority'
  | 'delay'
  | 'attempts'
  | 'backoff'
  | 'lifo'
  | 'removeOnComplete'
  | 'removeOnFail'
  | 'keepLogs'
  | 'stackTraceLimit'
  | 'sizeLimit'
  | 'timeout'
>;
/** What one job can be told. */
export type JobsOptions = JobOptions;
export type BaseJobOptions = JobOptions;
export type BulkJobOptions = JobsOptions;
export type JobSchedulerTemplateOptions = Omit<JobsOptions, 'jobId' | 'delay' | 'deduplication'>;

export interface RepeatOptions {
  /** Cron, of five fields or of six with seconds first; with a `repeatStrategy` whatever that takes. */
  pattern?: string;
  /** Milliseconds. */
  every?: number;
  limit?: number;
  startDate?: Date | string | number;
  endDate?: Date | string | number;
  /** IANA time zone of the pattern. */
  tz?: string;
  immediately?: boolean;
  /** Milliseconds from the start of each slot of `every`. */
  offset?: number;
  /** Jobs before; written by workers. */
  count?: number;
}

/** Options with which every class is told where its queue is. */
export interface QueueBaseOptions {
  connection: ConnectionOptions;
  prefix?: string;
  /** There is no version to check: accepted, without effect. */
  skipVersionCheck?: boolean;
  /** Nothing waits before it is used: accepted, without effect. */
  skipWaitingForReady?: boolean;
}

export interface AdvancedRepeatOptions {
  repeatStrategy?: RepeatStrategy;
}

export interface AdvancedOptions extends AdvancedRepeatOptions {
  backoffStrategy?: BackoffStrategy;
}

export interface QueueOptions extends QueueBaseOptions, Omit<OwnQueueOptions, 'connection' | 'redis' | 'settings'> {
  settings?: AdvancedRepeatOptions;
}

export interface RepeatBaseOptions extends QueueBaseOptions {
  settings?: AdvancedRepeatOptions;
}

export interface WorkerOptions extends QueueBaseOptions, Omit<OwnWorkerOptions, 'connection' | 'redis' | 'settings'> {
  settings?: AdvancedOptions;
}

export interface QueueEventsOptions extends QueueBaseOptions, Omit<OwnQueueEventsOptions, 'connection' | 'redis'> {
  /** Milliseconds; one reading serves all queues here and ends by itself: accepted, without effect. */
  blockingTimeout?: number;
}

export interface FlowProducerOptions extends QueueBaseOptions {
  telemetry?: Telemetry;
}

export type QueueEventsProducerOptions = QueueBaseOptions;

export interface ObliterateOpts {
  /** Also with running jobs. Default false. */
  force?: boolean;
  /** Jobs that go in one call, at most. */
  count?: number;
}

export interface RetryOptions {
  resetAttemptsMade?: boolean;
  resetAttemptsStarted?: boolean;
}

/** A job as it is stored: values as JSON text. */
export interface JobJson {
  id: string;
  name: string;
  data: string;
  opts: JobsOptions;
  progress: JobProgress;
  attemptsMade: number;
  attemptsStarted: number;
  finishedOn?: number;
  processedOn?: number;
  timestamp: number;
  delay?: number;
  priority?: number;
  failedReason: string;
  stacktrace?: string;
  returnvalue: string;
  parent?: { id?: string; queueKey: string };
  parentKey?: string;
  repeatJobKey?: string;
  deduplicationId?: string;
  deferredFailure?: string;
  processedBy?: string;
  stalledCounter: number;
}

export type JobJsonSandbox = JobJson & { queueName: string; queueQualifiedName: string; prefix: string };
