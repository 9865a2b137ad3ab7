import { invalidArgument } from './errors.js';
import type { Job, JobMaker } from './job.js';
import { jobLockLost } from './job-errors.js';
import { type JobHost, QUEUE_CALL } from './job-host.js';
import type { JobRow } from './job-row.js';
import type { Argument } from './native.js';
import type { ProcessorFunction } from './processor.js';
import { UnrecoverableError } from './steering.js';
import { startInterval, stopInterval } from './system-time.js';
import { type Finished, OUTCOME, type Settlement, WORKER_CALL } from './worker-protocol.js';

/** What a worker lends for jobs that its user fetches. */
export interface HandsOf<J> {
  /** Makes jobs that move at once, by the worker's options. */
  readonly host: JobHost;
  readonly Job: JobMaker<J>;
  /** Undefined for a worker without a processor. */
  readonly process: ProcessorFunction<any, any, any> | undefined;
  readonly lockDuration: number;
  readonly lockRenewTime: number;
  /** Paused or closing: nothing is fetched. */
  rests(): boolean;
  active(job: J): void;
  /** Runs a processor, and stores the outcome by `report`. Never rejects. */
  run(
    job: J,
    process: ProcessorFunction<any, any, any>,
    report: (args: Argument[]) => Promise<Settlement>,
  ): Promise<void>;
  abort(id: string, token: string, reason: Error): void;
  failed(error: Error): void;
}

/** The next job, locked with `token`; undefined when there is none, or when the worker rests. */
export async function fetchJob<J>(hands: HandsOf<J>, token: string, block: boolean): Promise<J | undefined> {
  if (hands.rests()) return undefined;
  const row = (await hands.host.call(WORKER_CALL.nextJob, [token, block])) as JobRow | null;
  return row ? started(hands, row) : undefined;
}

function started<J>(hands: HandsOf<J>, row: JobRow): J {
  const job = hands.Job.fromRow(hands.host, row);
  hands.active(job);
  return job;
}

/** Renews locks for so many milliseconds; gives the ids of jobs whose lock is not held any more. */
export async function extendLocks(host: JobHost, ids: string[], tokens: string[], ms: number): Promise<string[]> {
  const held = ids.flatMap((id, index) => [id, tokens[index] ?? '']);
  return held.length === 0 ? [] : ((await host.call(QUEUE_CALL.extendLocks, [ms, ...held])) as string[]);
}

/** Runs the worker's processor on a fetched job and stores what becomes of it. Gives the next job when it is wanted. */
export async function runJob<J extends Job<any, any, any, any>>(
  hands: HandsOf<J>,
  job: J,
  token: string,
  wantsNext: () => boolean,
): Promise<J | undefined> {
  const { process, lockDuration } = hands;
  if (!process) throw invalidArgument('processJob()', 'called without a processor', 'a worker that was given one');
  const { deferredFailure } = job;
  const run = deferredFailure === undefined ? process : () => Promise.reject(new UnrecoverableError(deferredFailure));
  job.token = token;
  job.deferMoves();
  const renewal = startInterval(() => {
    extendLocks(hands.host, [job.id], [token], lockDuration).then((lost) => {
      if (lost.length > 0) hands.abort(job.id, token, jobLockLost(job.id, job.queueName));
    }, hands.failed);
  }, hands.lockRenewTime / 2);
  let next: JobRow | undefined;
  try {
    await hands.run(job, run, async (args) => {
      const [settlement, fetched] = await finish(hands.host, args, wantsNext() && !hands.rests());
      const row = fetched?.[0];
      if (row) next = [row[0], row[1], token, row[3], row[4], row[5]];
      return settlement;
    });
  } finally {
    stopInterval(renewal);
  }
  return next && started(hands, next);
}

async function finish(host: JobHost, args: Argument[], wantsNext: boolean): Promise<Finished> {
  const [id, token, ...outcome] = args;
  try {
    return (await host.call(QUEUE_CALL.finish, [id, token, wantsNext, ...outcome])) as Finished;
  } catch (error) {
    const { code, details, message } = error as { code?: string; details?: Record<string, unknown>; message: string };
    if (outcome[0] !== OUTCOME.completed || code !== 'ERR_JOB_HAS_CHILDREN') throw error;
    // It cannot complete before its children: this attempt fails; with failed children, so would every other.
    const again = details?.['reply'] === 'FAILEDCHILDREN' ? -1 : undefined;
    const failed = [id, token, wantsNext, OUTCOME.failed, message, undefined, again];
    const [[kind, attemptsMade, delayMs], next] = (await host.call(QUEUE_CALL.finish, failed)) as Finished;
    return [[kind, attemptsMade, delayMs, error as Error], next];
  }
}
