// What users import from `oxcart/bullmq`: the names of BullMQ 6.

export type { JobNode } from '../../flow-producer.js';
export type { JobSchedulerJson } from '../../queue.js';
export type { FinishedJobMetrics as Metrics } from '../../queue-metrics.js';
export {
  DelayedError,
  RateLimitError,
  UnrecoverableError,
  WaitingChildrenError,
  WaitingError,
} from '../../steering.js';
export { MetricNames, TelemetryAttributes } from '../../telemetry/attributes.js';
export type { FlowJob } from '../../types/flow-types.js';
export {
  type Attributes,
  type AttributeValue,
  type ContextManager,
  type Counter,
  type Gauge,
  type Histogram,
  type Meter,
  type MetricOptions,
  type Span,
  SpanKind,
  type Telemetry,
  type Tracer,
} from '../../types/telemetry.js';
export type { ConnectionOptions, RedisOptions } from './connection.js';
export { ClientType, ErrorCode, MetricsTime } from './enums.js';
export {
  CONNECTION_CLOSED_ERROR_MSG,
  ConnectionClosedError,
  DELAYED_ERROR,
  RATE_LIMIT_ERROR,
  UNRECOVERABLE_ERROR,
  WAITING_CHILDREN_ERROR,
  WAITING_ERROR,
} from './errors.js';
export { FlowProducer } from './flow-producer.js';
export { Job } from './job.js';
export { JobScheduler } from './job-scheduler.js';
export type { JobsOf } from './job-types.js';
export { MAX_PRIORITY as PRIORITY_LIMIT } from './priority-limit.js';
export { Queue } from './queue.js';
export { QueueBackend } from './queue-backend.js';
export { QueueEvents } from './queue-events.js';
export { QueueEventsProducer } from './queue-events-producer.js';
export { type KeysMap, QueueKeys } from './queue-keys.js';
export { RedisClient } from './redis-client.js';
export { RedisTransaction } from './redis-transaction.js';
export { removeAllQueueData } from './remove-queue-data.js';
export { defaultRepeatStrategy, getNextMillis } from './repeat.js';
export type {
  AdvancedOptions,
  AdvancedRepeatOptions,
  BackoffOptions,
  BackoffStrategy,
  BaseJobOptions,
  BulkJobOptions,
  DeduplicationOptions,
  DefaultJobOptions,
  FinishedStatus,
  FlowProducerOptions,
  JobJson,
  JobJsonSandbox,
  JobProgress,
  JobSchedulerTemplateOptions,
  JobState,
  JobsOptions,
  JobType,
  KeepJobs,
  ObliterateOpts,
  QueueBaseOptions,
  QueueEventsOptions,
  QueueEventsProducerOptions,
  QueueOptions,
  RepeatBaseOptions,
  RepeatOptions,
  RepeatStrategy,
  RetryOptions,
  WorkerOptions,
} from './types.js';
export { type Processor, Worker } from './worker.js';
