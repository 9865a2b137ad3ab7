import { invalidArgument } from './errors.js';
import type { Argument } from './native.js';
import type { BackoffStrategy } from './types/queue-options.js';

/** What a job needs of the queue or worker that it came from. */
export interface JobHost {
  /** Name of the queue. */
  readonly name: string;
  /** First part of every key. */
  readonly prefix: string;
  /** The time of what the queue stores, in milliseconds since the epoch. */
  now(): number;
  /** Calls the native side of the queue. */
  call(code: number, args: readonly Argument[]): Promise<unknown>;
  /** Its jobs were fetched by hand: what they are told happens at once, not when a processor ends. */
  readonly byHand?: boolean;
  /** Waits before further attempts that are not built in. */
  backoffStrategy?(): BackoffStrategy | undefined;
  /** A job of this object reported progress. */
  progressed?(job: unknown, progress: unknown): void;
}

/** A queue, worker or other object that jobs belong to. */
export interface JobOwner {
  readonly name: string;
}

const hosts = new WeakMap<JobOwner, JobHost>();

/** @internal Called by every owner of jobs. */
export function setJobHost(owner: JobOwner, host: JobHost): void {
  hosts.set(owner, host);
}

/** @throws `ERR_INVALID_ARGUMENT` for what is no queue or worker of this package. */
export function jobHostOf(owner: JobOwner): JobHost {
  const host = hosts.get(owner);
  if (!host) throw invalidArgument('queue', typeof owner, 'a queue or worker of this package');
  return host;
}

/** Calls that the native sides of queues and workers understand. The numbers are those of `src/node/queue.rs` and `src/node/queue_inspection.rs`. */
export const QUEUE_CALL = {
  add: 0,
  getJob: 1,
  getJobs: 2,
  getCounts: 3,
  getState: 4,
  pause: 5,
  resume: 6,
  isPaused: 7,
  remove: 8,
  retry: 9,
  promote: 10,
  updateData: 11,
  updateProgress: 12,
  addLog: 13,
  getLogs: 14,
  drain: 15,
  clean: 16,
  obliterate: 17,
  setGlobalConcurrency: 18,
  upsertScheduler: 19,
  removeScheduler: 20,
  getScheduler: 21,
  getSchedulers: 22,
  countSchedulers: 23,
  ping: 24,
  /** Does nothing: when it is answered, every call before it has reached the queue. */
  arrive: 25,
  changeDelay: 26,
  changePriority: 27,
  setGlobalRateLimit: 28,
  getRateLimitTtl: 29,
  getChildren: 70,
  scanChildren: 71,
  countChildren: 72,
  pageChildren: 73,
  checkChildren: 74,
  removeChildDependency: 75,
  removeUnprocessedChildren: 76,
  /** Stores the outcome of a job that was fetched by hand. */
  finish: 77,
  extendLocks: 78,
  clearLogs: 79,
  removeDeduplication: 80,
  cancelJob: 60,
  /** Own workers of the queue: `{ id, name, host, pid, startedAt, visible }[]`. */
  getWorkers: 61,
  getCountsPerPriority: 160,
  getDelayedCountBefore: 161,
  getMetrics: 162,
  getMeta: 163,
  isMaxed: 164,
  rateLimit: 165,
  removeRateLimitKey: 166,
  getDeduplicationJobId: 167,
  removeDeduplicationKey: 168,
  trimEvents: 169,
  publishEvent: 170,
  removeOrphanedJobs: 171,
  getClientList: 172,
  advanceScheduler: 173,
  bury: 300,
  getDeadLetters: 301,
  redrive: 302,
  setGroupLimits: 310,
  setGroupConcurrency: 311,
  getGroupConcurrency: 312,
  setGroupRateLimit: 313,
  getGroupRateLimitTtl: 314,
  rateLimitGroup: 315,
  pauseGroup: 316,
  resumeGroup: 317,
  getGroupsJobsCount: 318,
  getGroupJobsCount: 319,
  getGroupActiveCount: 320,
  getGroupJobs: 321,
  getGroupCountsPerPriority: 322,
  getGroups: 323,
} as const;
