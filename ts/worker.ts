import { randomUUID } from 'node:crypto';
import type { BatchCollector } from './batch/batch-collector.js';
import type { BatchOptions, BatchProcessor } from './batch/job-batch.js';
import { openBatches } from './batch/open-batches.js';
import type { ServiceConnection } from './connection.js';
import { invalidArgument, invalidOption } from './errors.js';
import { extendLocks, fetchJob, type HandsOf, runJob } from './fetching-by-hand.js';
import { Job, type JobMaker } from './job.js';
import { jobLockLost } from './job-errors.js';
import { type JobHost, QUEUE_CALL, setJobHost } from './job-host.js';
import { type JobRow, ROW_WIDTH, rowsOf } from './job-row.js';
import { type Argument, door, NativeWorker } from './native.js';
import { nativePayload } from './payload-options.js';
import type { Processor, ProcessorFile, ProcessorFunction } from './processor.js';
import { NEVER, nextRun } from './repeat-strategy.js';
import { RunningJobs } from './running-jobs.js';
import { openProcessor } from './sandbox/open-sandbox.js';
import type { SandboxPool } from './sandbox/sandbox-pool.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection, splitConnection } from './split-connection.js';
import { JobCancelledError, RateLimitError, UnrecoverableError } from './steering.js';
import { JobTracing } from './telemetry/job-tracing.js';
import { checkTelemetry } from './telemetry/trace.js';
import { tracedWorker, traceMethods } from './telemetry/traced-methods.js';
import type { WorkerOptions } from './types/queue-options.js';
import type { WorkerEventMap } from './worker-events.js';
import { checkOwnOptions } from './worker-own-options.js';
import { WORKER_CALL, WORKER_EVENT } from './worker-protocol.js';

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
  readonly #deliver: (jobs: J[]) => void;
  readonly #hands: HandsOf<J>;
  readonly #sandbox: SandboxPool | undefined;
  readonly #running: RunningJobs<Data, Result, Name, J>;
  readonly #batches: BatchCollector<J> | undefined;
  #concurrency: number;
  /** Jobs that the native side may hold. */
  #capacity: number;
  readonly #startCapacity: number;
  readonly #tracing: JobTracing | undefined;
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

  /**
   * @param processor null for a worker whose jobs are fetched by hand, with `getNextJob`.
   * @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option; `ERR_INVALID_ARGUMENT` for the processor.
   */
  constructor(
    name: string,
    processor: BatchProcessor<Data, Result, Name>,
    opts: WorkerOptions & { batch: BatchOptions },
  );
  constructor(name: string, processor: Processor<Data, Result, Name> | ProcessorFile | null, opts?: WorkerOptions);
  constructor(
    readonly name: string,
    processor: Processor<Data, Result, Name> | ProcessorFile | BatchProcessor<Data, Result, Name> | null,
    opts: WorkerOptions = {},
  ) {
    super();
    const tracer = checkTelemetry(opts.telemetry);
    this.#concurrency = opts.concurrency ?? 1;
    this.#capacity = this.#concurrency;
    let process: ProcessorFunction<Data, Result, Name> | undefined;
    if (opts.batch === undefined) {
      const one = processor as Processor<Data, Result, Name> | ProcessorFile | null;
      const { run, sandbox } = one === null ? {} : openProcessor(one, opts, () => this.#concurrency);
      process = run;
      this.#sandbox = sandbox;
      this.#deliver = (jobs) => {
        for (const job of jobs) if (run) void this.#running.run(job, run);
      };
    } else {
      const all = processor as BatchProcessor<Data, Result, Name>;
      const batches = openBatches<Data, Result, Name, J>(all, opts, {
        concurrency: () => this.#concurrency,
        capacity: (jobs) => this.#setCapacity(jobs),
        run: (job, share) => void this.#running.run(job, share),
      });
      this.#batches = batches;
      this.#capacity = this.#concurrency * batches.size;
      this.#deliver = (jobs) => batches.add(jobs);
    }
    const { connection, asBullmq, engine } = splitConnection(name, opts, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#connection = connection;
    const { autorun = true, prefix, settings = {}, closeTimeout, ...others } = engine;
    const { useWorkerThreads, workerForkOptions, workerThreadsOptions, batch, telemetry, payload, ...rest } = others;
    onConnection(connection, () => checkOwnOptions(autorun, settings, closeTimeout));
    this.opts = opts;
    this.prefix = prefix ?? 'bull';
    this.#native = onConnection(
      connection,
      () =>
        new NativeWorker(
          door.native,
          name,
          connection.json,
          asBullmq,
          JSON.stringify({ prefix, skipMetasUpdate: true, payload: nativePayload(payload) }),
          JSON.stringify({
            ...rest,
            ...(this.#batches ? { concurrency: this.#capacity, prefetch: false } : {}),
            ownRecurrence: settings.repeatStrategy !== undefined,
          }),
        ),
    );
    this.#startCapacity = this.#capacity;
    this.#tracing = tracer && new JobTracing(tracer, name, { id: this.id, name: opts.name });
    this.#running = new RunningJobs<Data, Result, Name, J>({
      backoffStrategy: opts.settings?.backoffStrategy,
      tracing: this.#tracing,
      report: (args) => this.#call(WORKER_CALL.report, args),
      active: (job) => this.fire('active', job, 'waiting'),
      completed: (job, result) => this.fire('completed', job, result, 'active'),
      failed: (job, error) => this.fire('failed', job, error, 'active'),
      error: (error) => this.fire('error', error),
      now: connection.now,
      after: connection.after,
      isClosing: () => this.#closing !== undefined,
    });
    this.#host = {
      name,
      prefix: this.prefix,
      now: connection.now,
      call: (code, args) => this.#call(code, args),
      backoffStrategy: () => opts.settings?.backoffStrategy,
      progressed: (job, progress) => this.fire('progress', job as J, progress),
    };
    setJobHost(this, this.#host);
    const lockDuration = opts.lockDuration ?? 30_000;
    this.#hands = {
      host: { ...this.#host, byHand: true },
      Job: this.Job,
      process,
      lockDuration,
      lockRenewTime: opts.lockRenewTime ?? lockDuration / 2,
      rests: () => this.#paused || this.#closing !== undefined,
      active: (job) => this.#startedByHand(job),
      run: (job, run, report) => this.#running.run(job, run, report),
      abort: (id, token, reason) => void this.#running.abort(id, token, reason),
      failed: (error) => this.fire('error', error),
    };
    connection.listen(this.#native.id, (event, a, _b, values) => this.#hear(event, a, values));
    if (tracer) traceMethods(this, tracer, name, tracedWorker(this.id, opts.name));
    if (autorun && this.#hasProcessor) this.run().catch((error: Error) => this.fire('error', error));
  }

  /** Jobs at once, or batches with `batch`. May be changed while the worker runs. */
  get concurrency(): number {
    return this.#concurrency;
  }

  set concurrency(jobs: number) {
    if (!Number.isInteger(jobs) || jobs < 1) throw invalidOption('concurrency', String(jobs), 'an integer from 1');
    this.#concurrency = jobs;
    if (this.#batches) this.#batches.resize();
    else this.#setCapacity(jobs);
  }

  /**
   * Starts to take jobs; needed only with `autorun: false`.
   *
   * @returns When the worker has closed.
   * @throws `ERR_CLOSED`, or an `ERR_INVALID_ARGUMENT` when it runs already.
   */
  async run(): Promise<void> {
    if (!this.#hasProcessor) throw invalidArgument('run()', 'called without a processor', 'a worker that has one');
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

  /**
   * Fetches a job by hand, for a worker without a processor: lock it with a token of your own, end it with
   * `job.moveToCompleted` or `job.moveToFailed`, and renew its lock with `job.extendLock` before `lockDuration` is over.
   *
   * @param options.block Waits for a job up to `drainDelay`. Default true.
   * @returns undefined when there is none, or when the worker is paused or closing. One with `deferredFailure` must fail.
   */
  getNextJob(token: string, options: { block?: boolean } = {}): Promise<J | undefined> {
    return fetchJob(this.#hands, token, options.block ?? true);
  }

  /**
   * Runs the worker's processor on a job that was fetched by hand, renews its lock meanwhile, and stores what becomes of
   * it. What stands in the way of that is told by `error`.
   *
   * @param fetchNext Whether to take the next job with the same token then. Default: always.
   * @returns The next job.
   * @throws `ERR_INVALID_ARGUMENT` without a processor, and with `batch`.
   */
  processJob(job: J, token: string, fetchNext: () => boolean = () => true): Promise<J | undefined> {
    return runJob(this.#hands, job, token, fetchNext);
  }

  /** Renews locks for `duration` milliseconds. Returns the ids of jobs whose lock is not their token's any more. */
  extendJobLocks(jobIds: string[], tokens: string[], duration: number): Promise<string[]> {
    return extendLocks(this.#host, jobIds, tokens, duration);
  }

  /** Looks for jobs of dead workers, for a worker that does not run: one that runs does so by itself. */
  async startStalledCheckTimer(): Promise<void> {
    await this.#call(WORKER_CALL.watchStalled, []);
  }

  /** Takes no further jobs; resolves when the running ones have ended, or at once with `doNotWaitActive`. */
  async pause(doNotWaitActive = false): Promise<void> {
    await this.#started;
    this.#batches?.flush();
    const wasPaused = this.#paused;
    if (this.#isStarted) await this.#call(WORKER_CALL.pause, [doNotWaitActive]);
    this.#paused = true;
    if (!this.#isStarted && !wasPaused) this.fire('paused');
  }

  async resume(): Promise<void> {
    const wasPaused = this.#paused;
    if (this.#isStarted) await this.#call(WORKER_CALL.resume, []);
    this.#paused = false;
    if (!this.#isStarted && wasPaused) this.fire('resumed');
  }

  /** Lets no worker of the queue take a job for so many milliseconds; throw a {@link RateLimitError} after it. */
  async rateLimit(ms: number): Promise<void> {
    await this.#call(WORKER_CALL.rateLimit, [ms]);
  }

  /**
   * Lets no worker take a job of this job's group for so many milliseconds; throw a {@link RateLimitError} after it.
   *
   * @throws `ERR_INVALID_ARGUMENT` for a job without a group.
   */
  async rateLimitGroup(job: Job<Data, Result, Name>, ms: number): Promise<void> {
    const group = job.opts.group?.id;
    if (group === undefined) throw invalidArgument('job', 'without a group', 'a job of a group');
    await this.#call(QUEUE_CALL.rateLimitGroup, [group, Math.ceil(ms)]);
  }

  /**
   * Aborts the signal of a running job with a {@link JobCancelledError}. False when this worker does not run it, or its
   * processor takes no signal. `queue.cancelJob` reaches workers of other processes.
   */
  cancelJob(jobId: string, reason?: string): boolean {
    return this.#running.cancel(jobId, reason);
  }

  /** Aborts the signals of all running jobs. */
  cancelAllJobs(reason?: string): void {
    this.#running.abortAll(new JobCancelledError(reason));
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
      if (this.#capacity !== this.#startCapacity) {
        await this.#call(WORKER_CALL.setConcurrency, [this.#capacity]);
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
      this.#batches?.close();
      if (this.#isStarted) await this.#call(WORKER_CALL.close, [force ? 0 : this.opts.closeTimeout]);
    } finally {
      this.#running.abortAll(new Error('the worker was closed'));
      // What is left runs again elsewhere.
      await this.#sandbox?.close(this.#forced || this.#running.size > 0);
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
        this.#take(rowsOf(values, a));
        break;
      case WORKER_EVENT.lockLost: {
        const [id, token] = values as [string, string];
        this.#tracing?.renewed([id]);
        this.#abort(id, token, jobLockLost(id, this.name));
        this.fire('lockRenewalFailed', [id]);
        break;
      }
      case WORKER_EVENT.locksRenewed:
        this.#tracing?.renewed(values as string[]);
        this.fire('locksRenewed', { count: values.length, jobIds: values as string[] });
        break;
      case WORKER_EVENT.cancelRequested: {
        const [id, token, reason] = values as [string, string, string | null];
        this.#abort(id, token, new JobCancelledError(reason ?? undefined));
        break;
      }
      case WORKER_EVENT.failedUndelivered: {
        const job = this.Job.fromRow(this.#host, values.slice(0, ROW_WIDTH) as JobRow);
        const reason = values[ROW_WIDTH] as string;
        job.failedReason = reason;
        job.finishedOn ??= this.#connection.now();
        this.fire('failed', job, new UnrecoverableError(reason), 'active');
        break;
      }
      case WORKER_EVENT.stalled:
        this.#tracing?.stalled(values as string[]);
        for (const id of values as string[]) this.fire('stalled', id, 'active');
        break;
      case WORKER_EVENT.schedulersRepaired:
        this.fire('schedulersRepaired', values as string[]);
        break;
      case WORKER_EVENT.runAdded:
        this.#tracing?.runAdded(...(values as [string, string, string]));
        break;
      case WORKER_EVENT.drained:
        this.#running.whenIdle(() => this.fire('drained'));
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

  get #hasProcessor(): boolean {
    return this.#hands.process !== undefined || this.#batches !== undefined;
  }

  #startedByHand(job: J): void {
    if (job.repeatJobKey !== undefined && this.opts.settings?.repeatStrategy) void this.#advance(job);
    this.fire('active', job, 'waiting');
  }

  #take(rows: JobRow[]): void {
    const jobs = rows.map((row) => this.Job.fromRow(this.#host, row) as J);
    if (this.opts.settings?.repeatStrategy) {
      for (const job of jobs) if (job.repeatJobKey !== undefined) void this.#advance(job);
    }
    this.#deliver(jobs);
  }

  /** Makes the next job of a scheduler where a strategy of the user's tells its time. */
  async #advance(job: J): Promise<void> {
    try {
      const next = await nextRun(job, this.opts.settings?.repeatStrategy, this.#connection.now());
      if (next === NEVER) return;
      const made = (await this.#call(QUEUE_CALL.advanceScheduler, [job.id, next])) as string | null;
      if (made !== null) this.#tracing?.runAdded(job.repeatJobKey ?? '', job.name, made);
    } catch (error) {
      this.fire('error', error as Error);
    }
  }

  #abort(id: string, token: string, reason: Error): void {
    const waiting = this.#batches?.remove((job) => job.id === id && job.token === token);
    // It is not in a batch yet, and comes into none.
    if (waiting) void this.#running.run(waiting, () => Promise.reject(reason));
    else this.#running.abort(id, token, reason);
  }

  #setCapacity(jobs: number): void {
    this.#capacity = jobs;
    // One that does not run yet is told when it starts, and one that closes takes nothing.
    if (!this.#isStarted || this.#closing) return;
    this.#call(WORKER_CALL.setConcurrency, [jobs]).catch((error: Error) => this.fire('error', error));
  }
}
