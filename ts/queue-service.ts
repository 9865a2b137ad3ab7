import type { BatchOptions, BatchProcessor } from './batch/job-batch.js';
import { invalidArgument, invalidOption } from './errors.js';
import type { Job } from './job.js';
import { closed, queueNotFound } from './job-errors.js';
import { type JobEventMap, JobEventRelay } from './job-event-relay.js';
import type { Processor, ProcessorFile } from './processor.js';
import { ProcessorTable } from './processor-table.js';
import { Queue } from './queue.js';
import { ServiceEmitter } from './service-emitter.js';
import type { AddJobOptions, JobOptions, JobState, JobStateName } from './types/job-options.js';
import type { WorkerOptions } from './types/queue-options.js';
import type {
  AddJobParams,
  BulkJob,
  GetJobsParams,
  ProcessorOptions,
  QueueDefinition,
  QueueMetrics,
  QueueServiceOptions,
} from './types/queue-service-options.js';
import type { ConnectionState } from './types/redis-config.js';
import { Worker } from './worker.js';

/** Events of the service's own workers; those of jobs and queues come from every process. */
export interface QueueServiceEventMap extends JobEventMap {
  'worker:active': [job: Job, queue: string];
  'worker:completed': [job: Job, result: any, queue: string];
  'worker:failed': [job: Job, error: Error, queue: string];
  'worker:error': [error: Error, queue: string];
  'queue:error': [error: Error, queue: string];
  /** This service cleaned a queue. */
  'queue:cleaned': [jobIds: string[], type: string, queue: string];
  error: [error: Error];
  /** The shared connection changed its state. */
  state: [state: ConnectionState];
}

/** Names of queues, of a map from name to payload; any name without a map. */
export type QueueNameOf<Payloads> = keyof Payloads & string;

/** The result type of a queue, of a map from name to result. */
export type ResultOf<Results, Name> = Name extends keyof Results ? Results[Name] : any;

/** `Form`, where no payload map was given. */
type IfUntyped<Payloads, Form> = 0 extends 1 & Payloads ? Form : never;

const DEFAULT_CONCURRENCY = 5;
const OPTION_NAMES = ['redis', 'prefix', 'defaultJobOptions', 'queues', 'settings', 'payload', 'telemetry'];
const PROCESSOR_OPTION_NAMES = [
  ...['concurrency', 'limiter', 'name', 'batch'],
  ...['useWorkerThreads', 'workerForkOptions', 'workerThreadsOptions'],
];
const SETTING_NAMES = ['lockDuration', 'lockRenewTime', 'stalledInterval', 'maxStalledCount'];

/**
 * The queues of an application and their processors in one object.
 *
 * @typeParam Payloads Map from queue name to the type of its jobs' data; checks every `addJob` and types processors.
 * @typeParam Results Map from queue name to the type of its jobs' results.
 *
 * @example
 * const queues = new QueueService<{ email: { to: string } }, { email: { sent: boolean } }>({ redis });
 * queues.registerProcessor('email', async (job) => ({ sent: await send(job.data.to) }), { concurrency: 10 });
 * await queues.addJob('email', { to: 'ada@example.com' }, { attempts: 3 });
 */
export class QueueService<Payloads = any, Results = any> extends ServiceEmitter<QueueServiceEventMap> {
  readonly #options: QueueServiceOptions;
  readonly #definitions: Map<string, QueueDefinition> | undefined;
  /** Never holds a job: the connection's state and pings are its. */
  readonly #control: Queue;
  readonly #queues = new Map<string, Queue>();
  readonly #workers = new Map<string, Worker>();
  readonly #processors = new Map<string, ProcessorTable>();
  readonly #relay: JobEventRelay;
  /** Workers that were replaced and still finish what they run. */
  readonly #leaving = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(options: QueueServiceOptions = {}) {
    super();
    onlyKnown('', options, OPTION_NAMES);
    if (options.settings !== undefined) onlyKnown('settings.', options.settings, SETTING_NAMES);
    this.#options = options;
    this.#definitions = definitions(options.queues);
    this.#relay = new JobEventRelay(
      { redis: options.redis, prefix: options.prefix },
      (queue) => this.getQueue(queue as QueueNameOf<Payloads>),
      (event, args) => this.fire(event, ...(args as never)),
      (event) => this.listenerCount(event) > 0,
      (error, queue) => this.fire('queue:error', error, queue),
    );
    // Also for its options: a wrong one must show here, not at the first job.
    this.#control = this.#open('oxcart-control');
    this.#control.on('state', (state) => this.fire('state', state));
    for (const name of this.#definitions?.keys() ?? []) this.#queues.set(name, this.#open(name));
    // What Node emits when a listener is added; its value is the name of that event.
    super.on('newListener' as 'error', (event: unknown) => {
      if (JobEventRelay.relays(String(event))) this.#relay.start([...this.#queues.keys()]);
    });
  }

  /**
   * Resolves when the server answers, and when every event from then on will be heard by the `job:` and `queue:`
   * listeners that there are. Safe to call twice; nothing else needs it.
   */
  async initialize(): Promise<void> {
    this.#mustBeOpen();
    await this.#control.ping();
    await this.#relay.ready();
  }

  /** Adds a job. */
  addJob<Q extends QueueNameOf<Payloads>>(
    params: AddJobParams<Q, Payloads[Q]>,
  ): Promise<Job<Payloads[Q], ResultOf<Results, Q>>>;
  addJob<Data>(params: IfUntyped<Payloads, AddJobParams<string, Data>>): Promise<Job<Data>>;
  /** Adds a job that has the name of its queue. */
  addJob<Q extends QueueNameOf<Payloads>>(
    queue: Q,
    data: Payloads[Q],
    options?: AddJobOptions,
  ): Promise<Job<Payloads[Q], ResultOf<Results, Q>>>;
  async addJob(first: string | AddJobParams, data?: unknown, options?: AddJobOptions): Promise<Job> {
    const params = typeof first === 'string' ? { queue: first, name: first, data, options } : first;
    const queue = this.#queue(object('params', params).queue);
    this.#checkPriority(params.queue, params.options);
    return queue.add(params.name, params.data, params.options);
  }

  /** Adds many jobs in as few script calls as bounds allow. */
  addBulk<Q extends QueueNameOf<Payloads>>(params: {
    queue: Q;
    jobs: BulkJob<Payloads[Q]>[];
  }): Promise<Job<Payloads[Q], ResultOf<Results, Q>>[]>;
  addBulk<Data>(params: IfUntyped<Payloads, { queue: string; jobs: BulkJob<Data>[] }>): Promise<Job<Data>[]>;
  async addBulk(params: { queue: string; jobs: BulkJob[] }): Promise<Job[]> {
    const { queue, jobs } = object('params', params);
    if (!Array.isArray(jobs)) throw invalidArgument('jobs', typeof jobs, 'an array');
    for (const { options } of jobs) this.#checkPriority(queue, options);
    return this.#queue(queue).addBulk(jobs.map(({ name, data, options }) => ({ name, data, opts: options })));
  }

  /** The same for jobs that have the name of their queue. */
  async addBulkJobs<Q extends QueueNameOf<Payloads>>(
    queue: Q,
    jobs: { data: Payloads[Q]; options?: JobOptions }[],
  ): Promise<Job<Payloads[Q], ResultOf<Results, Q>>[]> {
    return this.addBulk<Q>({ queue, jobs: jobs.map(({ data, options }) => ({ name: queue, data, options })) });
  }

  /** Makes a job come again and again by a cron pattern; gives its next job. The same name and pattern is one schedule. */
  async addScheduledJob<Q extends QueueNameOf<Payloads>>(params: {
    queue: Q;
    name: string;
    data: Payloads[Q];
    cron: string;
    options?: AddJobOptions;
  }): Promise<Job<Payloads[Q], ResultOf<Results, Q>>>;
  addScheduledJob<Data>(params: IfUntyped<Payloads, AddJobParams<string, Data> & { cron: string }>): Promise<Job<Data>>;
  async addScheduledJob(params: AddJobParams & { cron: string }): Promise<Job> {
    const { queue, name, data, cron, options } = object('params', params);
    return this.addJob<any>({
      queue,
      name,
      data,
      options: { ...options, repeat: { ...options?.repeat, pattern: cron } },
    });
  }

  /**
   * Runs a processor on the jobs of a queue, in place of an earlier one (with the same `name`), which finishes what it
   * runs.
   *
   * @returns The worker, which the service closes.
   */
  registerProcessor<Q extends QueueNameOf<Payloads>>(
    queue: Q,
    processor: BatchProcessor<Payloads[Q], ResultOf<Results, Q>>,
    options: ProcessorOptions & { batch: BatchOptions },
  ): Worker<Payloads[Q], ResultOf<Results, Q>>;
  registerProcessor<Q extends QueueNameOf<Payloads>>(
    queue: Q,
    processor: Processor<Payloads[Q], ResultOf<Results, Q>> | ProcessorFile,
    options?: ProcessorOptions,
  ): Worker<Payloads[Q], ResultOf<Results, Q>>;
  registerProcessor<Q extends QueueNameOf<Payloads>>(
    queue: Q,
    processor: unknown,
    options: ProcessorOptions = {},
  ): Worker<Payloads[Q], ResultOf<Results, Q>> {
    this.#queue(queue);
    onlyKnown('', options, PROCESSOR_OPTION_NAMES);
    const definition = this.#definitions?.get(queue);
    const table = this.#processors.get(queue) ?? new ProcessorTable(queue);
    const next = table.with(processor as Processor | ProcessorFile, {
      concurrency: definition?.concurrency ?? DEFAULT_CONCURRENCY,
      limiter: definition?.rateLimit,
      ...options,
    });
    const worker: Worker<Payloads[Q], ResultOf<Results, Q>> = next.batch
      ? new Worker(queue, next.batch.processor, { ...this.#workerOptions(next), batch: next.batch.options })
      : new Worker(
          queue,
          next.processor(() => this.#processors.get(queue)),
          this.#workerOptions(next),
        );
    // Only now: options that the worker refuses leave the earlier one in place.
    this.#processors.set(queue, next);
    const earlier = this.#workers.get(queue);
    this.#workers.set(queue, worker);
    if (earlier) this.#letGo(earlier, table);
    worker.on('active', (job) => this.fire('worker:active', job, queue));
    worker.on('completed', (job, result) => this.fire('worker:completed', job, result, queue));
    worker.on('failed', (job, error) => this.fire('worker:failed', job as Job, error, queue));
    worker.on('error', (error) => this.#failed('worker:error', error, queue));
    return worker;
  }

  /** The queue itself. @throws `ERR_QUEUE_NOT_FOUND` when queues were defined and this is none of them. */
  getQueue<Q extends QueueNameOf<Payloads>>(queue: Q): Queue<Payloads[Q], ResultOf<Results, Q>> {
    return this.#queue(queue);
  }

  async getJob<Q extends QueueNameOf<Payloads>>(
    queue: Q,
    jobId: string | number,
  ): Promise<Job<Payloads[Q], ResultOf<Results, Q>> | null> {
    return (await this.#queue(queue).getJob(String(jobId))) ?? null;
  }

  async getJobs<Q extends QueueNameOf<Payloads>>(
    params: GetJobsParams<Q>,
  ): Promise<Job<Payloads[Q], ResultOf<Results, Q>>[]> {
    const { queue, state, start, end } = object('params', params);
    return this.#queue(queue).getJobs(state, start, end);
  }

  /** @throws `ERR_JOB_NOT_FOUND`; `ERR_JOB_NOT_IN_STATE` while a worker runs it. */
  async removeJob(queue: QueueNameOf<Payloads>, jobId: string | number): Promise<void> {
    await (await this.#queue(queue).mustGetJob(String(jobId))).remove();
  }

  /** Puts a failed job back. @throws `ERR_JOB_NOT_FOUND`, `ERR_JOB_NOT_IN_STATE`. */
  async retryJob(queue: QueueNameOf<Payloads>, jobId: string | number): Promise<void> {
    await this.#queue(queue).retryJob(String(jobId));
  }

  async pauseQueue(queue: QueueNameOf<Payloads>): Promise<void> {
    await this.#queue(queue).pause();
  }

  async resumeQueue(queue: QueueNameOf<Payloads>): Promise<void> {
    await this.#queue(queue).resume();
  }

  /** Removes all jobs that wait, delayed ones too. Running and finished jobs stay. */
  async emptyQueue(queue: QueueNameOf<Payloads>): Promise<void> {
    await this.#queue(queue).drain(true);
  }

  /** Removes the jobs of a state that are older than `grace` milliseconds; says how many. */
  async cleanQueue(params: { queue: QueueNameOf<Payloads>; grace: number; status: JobStateName }): Promise<number> {
    const { queue, grace, status } = object('params', params);
    const ids = await this.#queue(queue).clean(grace, 0, status);
    this.fire('queue:cleaned', ids, status, queue);
    return ids.length;
  }

  /** How many jobs a queue has; without a name those of every queue that this service has, by name. */
  getQueueMetrics(queue: QueueNameOf<Payloads>): Promise<QueueMetrics>;
  getQueueMetrics(): Promise<Record<string, QueueMetrics>>;
  async getQueueMetrics(queue?: string): Promise<QueueMetrics | Record<string, QueueMetrics>> {
    this.#mustBeOpen();
    if (queue !== undefined) return metricsOf(this.#queue(queue));
    const all = [...this.#queues.values()].map(async (one) => [one.name, await metricsOf(one)] as const);
    return Object.fromEntries(await Promise.all(all));
  }

  /** Round trip to the server. */
  async ping(): Promise<string> {
    this.#mustBeOpen();
    return this.#control.ping();
  }

  /** Ends the service: waits for running jobs, then lets go of everything. Twice is safe. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The same as {@link close}. */
  destroy(): Promise<void> {
    return this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected describe(): string {
    return 'queue service';
  }

  async #close(): Promise<void> {
    const ending = [...this.#workers.values()].map((worker) => worker.close());
    await Promise.allSettled([...ending, ...this.#leaving]);
    const sandboxes = [...this.#processors.values()].flatMap((table) => table.sandboxes);
    await Promise.all(sandboxes.map((sandbox) => sandbox.close(false)));
    await this.#relay.close();
    await Promise.all([this.#control, ...this.#queues.values()].map((queue) => queue.close()));
    this.#workers.clear();
    this.#queues.clear();
  }

  #queue(name: string): Queue {
    this.#mustBeOpen();
    if (typeof name !== 'string') throw invalidArgument('queue', typeof name, 'the name of a queue');
    const known = this.#queues.get(name);
    if (known) return known;
    if (this.#definitions) throw queueNotFound(name, [...this.#definitions.keys()]);
    const queue = this.#open(name);
    this.#queues.set(name, queue);
    this.#relay.opened(name);
    return queue;
  }

  #open(name: string): Queue {
    const { redis, prefix, defaultJobOptions, payload, telemetry } = this.#options;
    const { overload } = this.#definitions?.get(name) ?? {};
    const queue = new Queue(name, { redis, prefix, defaultJobOptions, overload, payload, telemetry });
    queue.on('error', (error) => this.#failed('queue:error', error, name));
    return queue;
  }

  #workerOptions(table: ProcessorTable): WorkerOptions {
    const { redis, prefix, settings, payload, telemetry } = this.#options;
    return { redis, prefix, payload, telemetry, ...settings, concurrency: table.concurrency, limiter: table.limiter };
  }

  #letGo(worker: Worker, table: ProcessorTable): void {
    const queue = worker.name;
    const closing = worker
      .close()
      .catch((error: Error) => this.fire('error', error))
      .then(async () => {
        const inUse = this.#processors.get(queue)?.sandboxes ?? [];
        const unused = table.sandboxes.filter((sandbox) => !inUse.includes(sandbox));
        await Promise.all(unused.map((sandbox) => sandbox.close(false)));
      });
    this.#leaving.add(closing);
    void closing.finally(() => this.#leaving.delete(closing));
  }

  #failed(event: 'worker:error' | 'queue:error', error: Error, queue: string): void {
    if (this.listenerCount(event) > 0) this.fire(event, error, queue);
    else this.fire('error', error);
  }

  #checkPriority(queue: string, options: JobOptions | undefined): void {
    if (options?.priority && this.#definitions?.get(queue)?.priority === false) {
      throw invalidOption('priority', String(options.priority), `none: queue ${queue} was defined without priorities`);
    }
  }

  #mustBeOpen(): void {
    if (this.#closing) throw closed(this.describe());
  }
}

async function metricsOf(queue: Queue): Promise<QueueMetrics> {
  const [counts, isPaused] = await Promise.all([queue.getJobCounts(), queue.isPaused()]);
  const count = (state: JobState) => counts[state] ?? 0;
  const held = count('waiting') + count('prioritized');
  const [active, delayed] = [count('active'), count('delayed')];
  return {
    waiting: isPaused ? 0 : held,
    active,
    completed: count('completed'),
    failed: count('failed'),
    delayed,
    paused: isPaused ? held : 0,
    total: held + active + delayed,
  };
}

function definitions(queues: QueueServiceOptions['queues']): Map<string, QueueDefinition> | undefined {
  if (queues === undefined) return undefined;
  if (!Array.isArray(queues)) throw invalidOption('queues', typeof queues, 'an array');
  const all = queues.map((queue) => (typeof queue === 'string' ? { name: queue } : queue));
  for (const [index, queue] of all.entries()) {
    onlyKnown(`queues.${index}.`, queue, ['name', 'concurrency', 'priority', 'rateLimit', 'overload']);
  }
  return new Map(all.map((queue) => [queue.name, queue]));
}

function onlyKnown(path: string, options: object, names: string[]): void {
  if (options === null || typeof options !== 'object') {
    throw invalidOption(path.replace(/\.$/, '') || 'options', String(options), 'an object');
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) throw invalidOption(`${path}${name}`, 'unknown', names.join(', '));
  }
}

function object<T extends object>(argument: string, value: T): T {
  if (value === null || typeof value !== 'object') throw invalidArgument(argument, String(value), 'an object');
  return value;
}
