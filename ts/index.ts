// What users import from `oxcart`. index.js, index.mjs, index.d.ts and index.d.mts list the same names.

export { type BatchOptions, type BatchProcessor, JobBatch } from './batch/job-batch.js';
export {
  CacheInvalidationHandler,
  type CacheInvalidationHandlerOptions,
  type CacheInvalidationMessage,
  type InvalidatedCache,
} from './cache/invalidation-handler.js';
export {
  buildKey,
  CacheKeyBuilder,
  type CacheKeyOptions,
  defineTtls,
  hashKey,
  type PatternParams,
} from './cache/key-builder.js';
export { CacheService } from './cache-service.js';
export { ConcurrencyLimiter, type ConcurrencyLimiterEvents } from './concurrency-limiter.js';
export { CRON_PATTERNS } from './cron-patterns.js';
export { type DeadLetterQueueOptions, DeadLetterQueueService } from './dead-letter-queue-service.js';
export {
  Cacheable,
  type CacheableOptions,
  type CacheDecorator,
  type CacheDecoratorTarget,
  CacheEvict,
  type CacheEvictOptions,
  CachePut,
  setDefaultCacheService,
} from './decorators/cache-decorators.js';
export {
  ArgumentError,
  CacheConnectionException,
  CacheDeserializationException,
  CacheException,
  CacheKeyTooLongException,
  CacheOperationFailedException,
  CacheSerializationException,
  CacheValueTooLargeException,
  ClosedError,
  ConnectionError,
  type ErrorCode,
  type ErrorDetails,
  GroupMaxSizeExceededError,
  InternalError,
  InvalidCacheDomainException,
  JobStateError,
  LockError,
  OptionError,
  OverloadedError,
  OxcartError,
  RedisInvalidDataTypeException,
  RedisKeyTooLongException,
  RedisValueTooLargeException,
  ReplyError,
  SandboxError,
  TimeoutError,
} from './errors.js';
export { FlowProducer, type FlowProducerEventMap, type JobNode } from './flow-producer.js';
export { Job, type JobJson, type JobProgress, type ProgressAccess } from './job.js';
export type { NextJobData } from './job-by-hand.js';
export type { DependenciesOptions, DependencyCursor, DependencyKind, JobDependencies } from './job-children.js';
export type { JobOwner } from './job-host.js';
export type { StoredJobJson } from './job-row.js';
export { JobScheduler, type ScheduleJobOptions } from './job-scheduler.js';
export { LockService, type LockServiceEvents } from './lock-service.js';
export type { MessageStream } from './message-stream.js';
export type { Processor, ProcessorClass, ProcessorFile, ProcessorFunction, ProcessorObject } from './processor.js';
export { type PubSubEventMap, PubSubService } from './pubsub-service.js';
export { type JobSchedulerJson, type JobTemplate, Queue } from './queue.js';
export type { RetryJobsOptions } from './queue-administration.js';
export type { QueueEventMap } from './queue-base.js';
export { QueueEvents, type QueueEventsMap } from './queue-events.js';
export type { ChildrenPage, JobCounts, QueueMeta } from './queue-getters.js';
export type { FinishedJobMetrics } from './queue-metrics.js';
export { QueueService, type QueueServiceEventMap } from './queue-service.js';
export {
  expressRateLimit,
  type FastifyReplyLike,
  fastifyRateLimit,
  type PlainResponse,
  type RequestWithAddress,
} from './rate-limit-middleware.js';
export { RateLimiter, type RateLimiterEvents } from './rate-limiter.js';
export type { CommandMetrics, SlowCommand } from './redis/command-monitor.js';
export type {
  Key as RedisKey,
  RedisArgument,
  RedisBufferReply,
  RedisReply,
  ScanKeysOptions,
  ScanOptions,
  SetOptions,
  StreamEntry,
} from './redis/command-types.js';
export type { Pipeline, PipelineResult } from './redis/pipeline.js';
export type { RedisEvents } from './redis/redis-commander.js';
export {
  RedisConnectionException,
  RedisDeserializationException,
  RedisException,
  RedisLockException,
  RedisLockReleaseException,
  RedisOperationException,
  RedisSerializationException,
  RedisTimeoutException,
} from './redis/redis-exceptions.js';
export type { RedisScript, ScriptDefinition } from './redis/redis-script.js';
export type { Transaction } from './redis/transaction.js';
export type { WatchedRedis } from './redis/watched-redis.js';
export { RedisService, type RedisServiceOptions } from './redis.js';
export { type RedisMonitoringEvents, RedisMonitoringService } from './redis-monitoring-service.js';
export { SchedulerService, type SchedulerServiceEventMap } from './scheduler-service.js';
export {
  DelayedError,
  JobCancelledError,
  RateLimitError,
  UnrecoverableError,
  WaitingChildrenError,
  WaitingError,
} from './steering.js';
export { MetricNames, TelemetryAttributes } from './telemetry/attributes.js';
export {
  type CacheDomainOptions,
  type CacheInvalidation,
  CachePriority,
  type CacheRefreshOptions,
  type CacheRefreshResult,
  type CacheSourceContext,
  type CacheStatsQuery,
  CacheStrategy,
  type CacheWarmOptions,
  type CacheWarmProgress,
  type CacheWarmResult,
  type CacheWriteFailure,
  InvalidationStrategy,
  type ScheduledInvalidation,
  type WriteBehindOptions,
} from './types/cache-domain-types.js';
export type {
  CacheBulkOptions,
  CacheCircuitState,
  CacheEntryOptions,
  CacheEvents,
  CacheFactoryContext,
  CacheGetOptions,
  CacheHealth,
  CacheInvalidateEvent,
  CacheMakeOptions,
  CacheOptions,
  CacheSetOptions,
  CacheSetParams,
  CacheStats,
} from './types/cache-types.js';
export type { DeadLetterData, DeadLetterFilter, DeadLetterReason } from './types/dead-letter-types.js';
export type {
  DeadMessage,
  DeadMessageEvent,
  DurableDelivery,
  DurableGroup,
  DurableHandler,
  PublishDurableParams,
  SubscribeDurableParams,
} from './types/durable-types.js';
export type {
  FlowChildJob,
  FlowJob,
  FlowLeafJob,
  FlowOptions,
  FlowParentJob,
  FlowProducerOptions,
  FlowQueuesOptions,
  GetFlowOptions,
} from './types/flow-types.js';
export type { GroupLimits, GroupState } from './types/group-types.js';
export type {
  AddJobOptions,
  BackoffOptions,
  DeadLetterChoice,
  DeadLetterOptions,
  DeduplicationOptions,
  GroupOptions,
  JobOptions,
  JobState,
  JobStateName,
  JobsOptions,
  KeepJobs,
  LastRun,
  ParentOptions,
  RepeatOptions,
  RunPolicies,
} from './types/job-options.js';
export {
  type AcquireOptions,
  type HeldLock,
  type LockServiceOptions,
  LockStatus,
  type WithLockOptions,
} from './types/lock-types.js';
export type {
  AnalyzeKeysOptions,
  BigKey,
  CommandLatency,
  DatabaseMemory,
  DatabaseMemoryFigures,
  HealthStatus,
  KeyAnalysis,
  KeyGroup,
  KeyPattern,
  KeyType,
  LatencyEvent,
  MemoryUsageOptions,
  MonitoringThresholds,
  RedisAlert,
  RedisAlertCode,
  RedisHealth,
  RedisInfo,
  RedisLatency,
  RedisMonitoringOptions,
  RedisServerInfo,
  SlowQuery,
  TtlGroup,
} from './types/monitoring-types.js';
export type { PayloadOptions } from './types/payload-types.js';
export type {
  LostSubscription,
  MessageGap,
  MessageHandler,
  MessageMetadata,
  MessageSource,
  OverflowPolicy,
  PatternHandler,
  PubSubOptions,
  PubSubStats,
  ReceivedMessage,
  ReceivedMetadata,
  SubscribeOptions,
  SubscriptionKind,
  SubscriptionStats,
} from './types/pubsub-types.js';
export type {
  BackoffStrategy,
  LimiterOptions,
  OverloadOptions,
  QueueEventsOptions,
  QueueOptions,
  RepeatStrategy,
  SandboxOptions,
  WorkerOptions,
} from './types/queue-options.js';
export type {
  AddJobParams,
  BulkJob,
  GetJobsParams,
  ProcessorOptions,
  QueueDefinition,
  QueueMetrics,
  QueueServiceOptions,
} from './types/queue-service-options.js';
export type {
  AcquireSlotOptions,
  ConcurrencyLimiterOptions,
  HeldSlot,
  RateLimitAlgorithm,
  RateLimitDecision,
  RateLimitErrorPolicy,
  RateLimiterOptions,
  RateLimitMiddlewareOptions,
  SlotDecision,
} from './types/rate-limit-types.js';
export type { ConnectionState, DatabaseRole, FileConfig, RedisConfig, TlsConfig } from './types/redis-config.js';
export type {
  RepeatableJob,
  RepeatableParams,
  ScheduledJob,
  ScheduleOptions,
  SchedulerServiceOptions,
} from './types/scheduler-options.js';
export {
  type Attributes,
  type AttributeValue,
  type ContextManager,
  type Counter,
  type Gauge,
  type Histogram,
  type JobTelemetryOptions,
  type Meter,
  type MetricOptions,
  type Span,
  SpanKind,
  type Telemetry,
  type TraceException,
  type Tracer,
} from './types/telemetry.js';
export { Worker } from './worker.js';
export type { WorkerEntry } from './worker-entry.js';
export type { WorkerEventMap } from './worker-events.js';
