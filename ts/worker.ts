import { randomUUID } from 'node:crypto';
import { Attempt, type AttemptOutcome } from './attempt.js';
import type { ServiceConnection } from './connection.js';
import { invalidArgument, invalidOption } from './errors.js';
import { Job, type JobMaker } from './job.js';
import { jobLockLost } from './job-errors.js';
import { type JobHost, QUEUE_CALL } from './job-host.js';
import { type JobRow, ROW_WIDTH } from './job-row.js';
import { type Argument, door, NativeWorker } from './native.js';
import type { Processor, ProcessorFile, ProcessorFunction } from './processor.js';
import { NEVER, nextRun } from './repeat-strategy.js';
import { openProcessor } from './sandbox/open-sandbox.js';
import type { SandboxPool } from './sandbox/sandbox-pool.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection, splitConnection } from './split-connection.js';
import { JobCancelledError, RateLimitError, UnrecoverableError } from './steering.js';
import type { WorkerOptions } from './types/queue-options.js';
import type { WorkerEventMap } from './worker-events.js';
import { checkOwnOptions } from './worker-own-options.js';
import { reportArguments, type Settlement, WORKER_CALL, WORKER_EVENT } from './worker-protocol.js';

/**
 * Takes jobs of a queue and runs a processor on them.
 *
 * Locks are renewed, jobs of dead workers looked for and limits slept on a thread of its own, so a processor that blocks
 * the event loop neither loses its lock nor holds up another queue. Jobs come and results go in batches.
 *
 * @example
 * const worker = new Worker('email', async (job) => send(job.data), { redis, concurrency: 10 });
 * worker.on('failed', (job, error) => log.warn(job?.id, error));
 * // before the process ends:
 * await worker.close();
 */
export class Worker<
  Data = any,
  Result = any,
  Name extends string = string,
  J extends Job<Data, Result, Name, any> = Job<Data, Result, Name>,
> extends ServiceEmitter<WorkerEventMap<Data, Result, Name, J>> {
  readonly id: string = randomUUID();
  readonly prefix: string;
  readonly opts: Readonly<WorkerOptions>;
  readonly #native: NativeWorker;
  readonly #connection: ServiceConnection;
  readonly #host: JobHost;
  readonly #process: ProcessorFunction<Data, Result, Name>;
  readonly #sandbox: SandboxPool | undefined;
  readonly #attempts = new Map<string, Attempt<Data, Result, Name>>();
  #concurrency: number;
  #started: Promise<void> | undefined;
  #isStarted = false;
  #ended: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  #forced = false;
  #paused = false;

  /** Throw its result in a processor after `worker.rateLimit(ms)`. */
  static RateLimitError(): RateLimitError {
    return new RateLimitError();
  }

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option; `ERR_INVALID_ARGUMENT` for the processor. */
  constructor(
    readonly name: string,
    processor: Processor<Data, Result, Name> | ProcessorFile,
    opts: WorkerOptions = {},
  ) {
    super();
    const { run, sandbox } = openProcessor(processor, opts, () => this.#concurrency);
    this.#process = run;
    this.#sandbox = sandbox;
    const { connection, asBullmq, engine } = splitConnection(name, opts, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#connection = connection;
    const { autorun = true, prefix, settings = {}, closeTimeout, ...others } = engine;
    const { useWorkerThreads, workerForkOptions, workerThreadsOptions, ...rest } = others;
    onConnection(connection, () => checkOwnOptions(autorun, settings, closeTimeout));
    this.opts = opts;
    this.prefix = prefix ?? 'bull';
    this.#concurrency = opts.concurrency ?? 1;
    this.#native = onConnection(
      connection,
      () =>
        new NativeWorker(
          door.native,
          name,
          connection.json,
          asBullmq,
          JSON.stringify({ prefix, skipMetasUpdate: true }),
          JSON.stringify({
            ...rest,
            ownRecurrence: settings.repeatStrategy !== undefined,
          }),
        ),
    );
    this.#host = {
      name,
      prefix: this.prefix,
      call: (code, args) => this.#call(code, args),
      progressed: (job, progress) => this.fire('progress', job as J, progress),
    };
    connection.listen(this.#native.id, (event, a, _b, values) => this.#hear(event, a, values));
    if (autorun) this.run().catch((error: Error) => this.fire('error', error));
  }

  /** Jobs at once. May be changed while the worker runs. */
  get concurrency(): number {
    return this.#concurrency;
  }

  set concurrency(jobs: number) {
    if (!Number.isInteger(jobs) || jobs < 1) throw invalidOption('concurrency', String(jobs), 'an integer from 1');
    this.#concurrency = jobs;
    // One that does not run yet is told when it starts.
    if (this.#isStarted)
      this.#call(WORKER_CALL.setConcurrency, [jobs]).catch((error: Error) => this.fire('error', error));
  }

  /**
   * Starts to take jobs; needed only with `autorun: false`.
   *
   * @returns When the worker has closed.
   * @throws `ERR_CLOSED`, or an `ERR_INVALID_ARGUMENT` when it runs already.
   */
  async run(): Promise<void> {
    if (this.#started) throw invalidArgument('run()', 'called twice', 'one call');
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve;
    });
    this.#started = this.#start();
    await this.#started;
    await ended;
  }

  /** Resolves when the worker takes jobs. */
  async waitUntilReady(): Promise<this> {
    await this.#started;
    return this;
  }

  isRunning(): boolean {
    return this.#started !== undefined && this.#closing === undefined;
  }

  isPaused(): boolean {
    return this.#paused;
  }

  /** Takes no further jobs; resolves when the running ones have ended, or at once with `doNotWaitActive`. */
  async pause(doNotWaitActive = false): Promise<void> {
    await this.#started;
    await this.#call(WORKER_CALL.pause, [doNotWaitActive]);
    this.#paused = true;
  }

  async resume(): Promise<void> {
    await this.#call(WORKER_CALL.resume, []);
    this.#paused = false;
  }

  /** Lets no worker of the queue take a job for so many milliseconds; throw a {@link RateLimitError} after it. */
  async rateLimit(ms: number): Promise<void> {
    await this.#call(WORKER_CALL.rateLimit, [ms]);
  }

  /**
   * Aborts the signal of a running job with a {@link JobCancelledError}. False when this worker does not run it, or its
   * processor takes no signal. `queue.cancelJob` reaches workers of other processes.
   */
  cancelJob(jobId: string, reason?: string): boolean {
    let isAborted = false;
    for (const attempt of this.#attempts.values()) {
      if (attempt.job.id === jobId && attempt.abort(new JobCancelledError(reason))) isAborted = true;
    }
    return isAborted;
  }

  /** Aborts the signals of all running jobs. */
  cancelAllJobs(reason?: string): void {
    for (const attempt of this.#attempts.values()) attempt.abort(new JobCancelledError(reason));
  }

  /** Round trip to the server. */
  async ping(): Promise<string> {
    return (await this.#call(QUEUE_CALL.ping, [])) as string;
  }

  /**
   * Takes no further jobs and waits for the running ones to end and to be stored (at most `closeTimeout`).
   *
   * @param force Does not wait: running jobs lose their locks and are run again by other workers.
   */
  close(force = false): Promise<void> {
    if (force && this.#closing && !this.#forced) {
      this.#forced = true;
      // A second, forced call ends the wait of the first.
      this.#call(WORKER_CALL.close, [0]).catch(() => undefined);
    }
    this.#closing ??= this.#close(force);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal The class of the jobs that this worker gives. */
  protected get Job(): JobMaker<J> {
    return Job as unknown as JobMaker<J>;
  }

  protected describe(): string {
    return `worker of queue ${this.name}`;
  }

  async #start(): Promise<void> {
    door.hold(this.#native.id);
    try {
      await this.#call(WORKER_CALL.run, []);
      this.#isStarted = true;
      if (this.#concurrency !== (this.opts.concurrency ?? 1)) {
        await this.#call(WORKER_CALL.setConcurrency, [this.#concurrency]);
      }
    } catch (error) {
      door.release(this.#native.id);
      throw error;
    }
    this.fire('ready');
  }

  async #close(force: boolean): Promise<void> {
    this.#forced = force;
    this.fire('closing', force ? 'closing by force' : 'closing');
    try {
      // A start that failed has been reported by `run`.
      await this.#started?.then(undefined, () => undefined);
      if (this.#isStarted) await this.#call(WORKER_CALL.close, [force ? 0 : this.opts.closeTimeout]);
    } finally {
      for (const attempt of this.#attempts.values()) attempt.abort(new Error('the worker was closed'));
      // What is left runs again elsewhere.
      await this.#sandbox?.close(this.#forced || this.#attempts.size > 0);
      if (this.#isStarted) door.release(this.#native.id);
      this.#native.close();
      this.#connection.close();
      this.#ended?.();
      this.fire('closed');
    }
  }

  #call(code: number, args: readonly Argument[]): Promise<unknown> {
    return door.call(this.#native.id, code, args);
  }

  #hear(event: number, a: number, values: unknown[]): void {
    switch (event) {
      case WORKER_EVENT.jobs:
        for (let index = 0; index < a; index++) {
          const at = index * ROW_WIDTH;
          void this.#work(values.slice(at, at + ROW_WIDTH) as JobRow);
        }
        break;
      case WORKER_EVENT.lockLost: {
        const [id, token] = values as [string, string];
        this.#attempts.get(`${id} ${token}`)?.abort(jobLockLost(id, this.name));
        this.fire('lockRenewalFailed', [id]);
        break;
      }
      case WORKER_EVENT.locksRenewed:
        this.fire('locksRenewed', { count: values.length, jobIds: values as string[] });
        break;
      case WORKER_EVENT.cancelRequested: {
        const [id, token, reason] = values as [string, string, string | null];
        this.#attempts.get(`${id} ${token}`)?.abort(new JobCancelledError(reason ?? undefined));
        break;
      }
      case WORKER_EVENT.failedUndelivered: {
        const job = this.Job.fromRow(this.#host, values.slice(0, ROW_WIDTH) as JobRow);
        const reason = values[ROW_WIDTH] as string;
        job.failedReason = reason;
        job.finishedOn ??= Date.now();
        this.fire('failed', job, new UnrecoverableError(reason), 'active');
        break;
      }
      case WORKER_EVENT.stalled:
        for (const id of values as string[]) this.fire('stalled', id, 'active');
        break;
      case WORKER_EVENT.schedulersRepaired:
        this.fire('schedulersRepaired', values as string[]);
        break;
      case WORKER_EVENT.drained:
        this.fire('drained');
        break;
      case WORKER_EVENT.error:
        this.fire('error', values[0] as Error);
        break;
      case WORKER_EVENT.paused:
        this.fire('paused');
        break;
      case WORKER_EVENT.resumed:
        this.fire('resumed');
        break;
      default:
      // `closed` is told by the answer to the call that closes.
    }
  }

  async #work(row: JobRow): Promise<void> {
    const job = this.Job.fromRow(this.#host, row);
    const token = row[2];
    const attempt = new Attempt(job, token, this.#process, this.opts.settings?.backoffStrategy);
    this.#attempts.set(`${job.id} ${token}`, attempt);
    this.fire('active', job, 'waiting');
    if (job.repeatJobKey !== undefined && this.opts.settings?.repeatStrategy) void this.#advance(job);
    const outcome = await attempt.run();
    if (outcome.kind === 'failed' && outcome.fault) this.fire('error', outcome.fault);
    try {
      const settlement = (await this.#call(WORKER_CALL.report, reportArguments(job.id, token, outcome))) as Settlement;
      this.#settled(job, outcome, settlement);
    } catch (error) {
      // After a close that did not wait for it nobody wants the outcome: another worker runs the job.
      const leftBehind = this.#closing && (error as { code?: string }).code === 'ERR_CLOSED';
      if (!leftBehind) this.fire('error', error as Error);
    } finally {
      this.#attempts.delete(`${job.id} ${token}`);
    }
  }

  /** Makes the next job of a scheduler where a strategy of the user's tells its time. */
  async #advance(job: J): Promise<void> {
    try {
      const next = await nextRun(job, this.opts.settings?.repeatStrategy);
      if (next !== NEVER) await this.#call(QUEUE_CALL.advanceScheduler, [job.id, next]);
    } catch (error) {
      this.fire('error', error as Error);
    }
  }

  #settled(job: J, reported: AttemptOutcome<Result>, [kind, attemptsMade, , refused]: Settlement): void {
    const outcome: AttemptOutcome<Result> = refused ? { kind: 'failed', error: refused, retryAfterMs: null } : reported;
    if (kind === 'completed' && outcome.kind === 'completed') {
      job.attemptsMade += 1;
      job.finishedOn = Date.now();
      job.returnvalue = outcome.result;
      this.fire('completed', job, outcome.result, 'active');
    } else if (outcome.kind === 'failed') {
      job.attemptsMade = attemptsMade;
      job.failedReason = outcome.error.message;
      if (kind === 'failed') job.finishedOn = Date.now();
      if (outcome.error.stack)
        job.stacktrace = keepLast([...job.stacktrace, outcome.error.stack], job.opts.stackTraceLimit);
      this.fire('failed', job, outcome.error, 'active');
    }
  }
}

function keepLast(traces: string[], limit: number | undefined): string[] {
  if (limit === undefined) return traces;
  return limit === 0 ? [] : traces.slice(-limit);
}
