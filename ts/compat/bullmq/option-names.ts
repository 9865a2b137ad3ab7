// Options that are handed on. What else is among the options of a framework is left out, as BullMQ leaves it out.

export const QUEUE_OPTIONS = [
  'prefix',
  'defaultJobOptions',
  'streams',
  'skipMetasUpdate',
  'settings',
  'telemetry',
] as const;

export const WORKER_OPTIONS = [
  'prefix',
  'name',
  'autorun',
  'concurrency',
  'limiter',
  'lockDuration',
  'lockRenewTime',
  'stalledInterval',
  'maxStalledCount',
  'maxStartedAttempts',
  'drainDelay',
  'maximumRateLimitDelay',
  'removeOnComplete',
  'removeOnFail',
  'metrics',
  'skipStalledCheck',
  'skipLockRenewal',
  'skipRemoteCancel',
  'runRetryDelay',
  'visibleToBullmq',
  'settings',
  'closeTimeout',
  'useWorkerThreads',
  'workerForkOptions',
  'workerThreadsOptions',
  'telemetry',
  'batch',
] as const;

export const QUEUE_EVENTS_OPTIONS = ['prefix', 'autorun', 'lastEventId'] as const;

/** Those of the named options that are given. */
export function pick<T extends object>(options: T, names: readonly string[]): Record<string, any> {
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) => names.includes(name) && value !== undefined),
  );
}
