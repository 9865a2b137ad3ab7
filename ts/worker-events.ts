import type { Job } from './job.js';
import type { ConnectionState } from './types/redis-config.js';

export interface WorkerEventMap<Data = any, Result = any, Name extends string = string, J = Job<Data, Result, Name>> {
  /** A processor starts on a job. */
  active: [job: J, prev: string];
  /** The job's result is stored. */
  completed: [job: J, result: Result, prev: string];
  /** An attempt failed and that is stored; `job.finishedOn` is set when it was the last. */
  failed: [job: J | undefined, error: Error, prev: string];
  /** A running job reported progress. */
  progress: [job: J, progress: unknown];
  /** The worker of this job died; the job waits again. */
  stalled: [jobId: string, prev: string];
  /** These job schedulers had lost their next job; it has been made. */
  schedulersRepaired: [schedulerIds: string[]];
  /** Nothing is left to take. */
  drained: [];
  /** Something failed; the worker goes on by itself. */
  error: [error: Error];
  /** The shared connection changed its state. */
  state: [state: ConnectionState];
  /** The worker takes jobs. */
  ready: [];
  paused: [];
  resumed: [];
  closing: [message: string];
  closed: [];
  /** The locks of these jobs were renewed; many jobs come in several events. */
  locksRenewed: [renewed: { count: number; jobIds: string[] }];
  /** These jobs' locks are lost: another worker may run them. Their signals are aborted. */
  lockRenewalFailed: [jobIds: string[]];
}
