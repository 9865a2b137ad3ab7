import { Attempt, type AttemptOutcome } from './attempt.js';
import type { Job } from './job.js';
import type { Argument } from './native.js';
import type { ProcessorFunction } from './processor.js';
import { JobCancelledError } from './steering.js';
import type { JobTracing } from './telemetry/job-tracing.js';
import type { TracedSpan } from './telemetry/trace.js';
import type { BackoffStrategy } from './types/queue-options.js';
import { keepLast, type Reported, reportArguments, type Settlement } from './worker-protocol.js';

const COMPLETED: Settlement = ['completed', 0, 0, null];

/** Whom running jobs tell what becomes of them. */
export interface RunningJobsHost<Result, J> {
  backoffStrategy: BackoffStrategy | undefined;
  tracing: JobTracing | undefined;
  /** Stores an outcome; answers when it is stored. */
  report(args: Argument[]): Promise<unknown>;
  active(job: J): void;
  completed(job: J, result: Result): void;
  failed(job: J, error: Error): void;
  error(error: Error): void;
  /** The time of what the worker stores, in milliseconds since the epoch. */
  now(): number;
  /** Calls back when so many milliseconds of that time are over; gives what calls that off. */
  after(ms: number, act: () => void): () => void;
  /** Whether the worker was closed, so that outcomes may find nobody. */
  isClosing(): boolean;
}

/** The jobs that a worker runs, from their delivery until their outcome is stored. */
export class RunningJobs<Data, Result, Name extends string, J extends Job<Data, Result, Name, any>> {
  /** A job whose lock was lost may run a second time, with another token, before its first run ends. */
  readonly #attempts = new Set<Attempt<Data, Result, Name>>();

  #idle: (() => void) | undefined;

  constructor(private readonly host: RunningJobsHost<Result, J>) {}

  get size(): number {
    return this.#attempts.size;
  }

  /**
   * Runs `process` on a job and stores the outcome. Never rejects.
   *
   * @param byHand Stores the outcome of a job that its user has fetched, and was told of.
   */
  run(
    job: J,
    process: ProcessorFunction<Data, Result, Name>,
    byHand?: (args: Argument[]) => Promise<unknown>,
  ): Promise<void> {
    const { tracing } = this.host;
    if (!tracing) return this.#run(job, process, undefined, byHand);
    return tracing.process(job, (span) => this.#run(job, process, span, byHand));
  }

  async #run(
    job: J,
    process: ProcessorFunction<Data, Result, Name>,
    span: TracedSpan | undefined,
    byHand: ((args: Argument[]) => Promise<unknown>) | undefined,
  ): Promise<void> {
    const { host } = this;
    const token = job.token ?? '';
    const attempt = new Attempt<Data, Result, Name>(job, token, process, host);
    this.#attempts.add(attempt);
    if (!byHand) host.active(job);
    const outcome = await attempt.run();
    if (outcome.kind === 'failed' && outcome.fault) host.error(outcome.fault);
    try {
      const store = byHand ?? host.report;
      const args = reportArguments(job.id, token, outcome);
      const { tracing } = host;
      const reported = (await (tracing ? tracing.store(job, outcome, () => store(args)) : store(args))) as Reported;
      const settlement: Settlement = reported === true ? COMPLETED : reported;
      this.#settled(job, outcome, settlement);
      if (span) host.tracing?.stored(job, span, outcome, settlement);
    } catch (error) {
      // After a close that did not wait for it nobody wants the outcome: another worker runs the job.
      const isLeftBehind = host.isClosing() && (error as { code?: string }).code === 'ERR_CLOSED';
      if (!isLeftBehind) host.error(error as Error);
    } finally {
      this.#attempts.delete(attempt);
      if (this.#attempts.size === 0) this.#becameIdle();
    }
  }

  /** Calls `act` once nothing runs: after the last job has told what became of it. */
  whenIdle(act: () => void): void {
    if (this.#attempts.size === 0) act();
    else this.#idle = act;
  }

  /** Aborts the signal of one run. False when there is none, or its processor takes no signal. */
  abort(id: string, token: string, reason: Error): boolean {
    for (const attempt of this.#attempts) {
      if (attempt.token === token && attempt.job.id === id) return attempt.abort(reason);
    }
    return false;
  }

  abortAll(reason: Error): void {
    for (const attempt of this.#attempts) attempt.abort(reason);
  }

  /** Cancels every run of a job here. */
  cancel(id: string, reason: string | undefined): boolean {
    let isAborted = false;
    for (const attempt of this.#attempts) {
      if (attempt.job.id === id && attempt.abort(new JobCancelledError(reason))) isAborted = true;
    }
    return isAborted;
  }

  #becameIdle(): void {
    const act = this.#idle;
    this.#idle = undefined;
    act?.();
  }

  #settled(job: J, reported: AttemptOutcome<Result>, [kind, attemptsMade, , refused]: Settlement): void {
    const outcome: AttemptOutcome<Result> = refused ? { kind: 'failed', error: refused, retryAfterMs: null } : reported;
    if (kind === 'completed' && outcome.kind === 'completed') {
      job.attemptsMade += 1;
      job.finishedOn = this.host.now();
      job.returnvalue = outcome.result;
      this.host.completed(job, outcome.result);
    } else if (outcome.kind === 'failed') {
      job.attemptsMade = attemptsMade;
      job.failedReason = outcome.error.message;
      if (kind === 'failed') job.finishedOn = this.host.now();
      if (outcome.error.stack) {
        job.stacktrace = keepLast([...job.stacktrace, outcome.error.stack], job.opts.stackTraceLimit);
      }
      this.host.failed(job, outcome.error);
    }
  }
}
