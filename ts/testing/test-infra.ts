import { CacheService } from '../cache-service.js';
import { invalidArgument, invalidOption } from '../errors.js';
import type { Job } from '../job.js';
import { LockService } from '../lock-service.js';
import { open } from '../message-envelope.js';
import { door } from '../native.js';
import { PubSubService } from '../pubsub-service.js';
import type { Queue } from '../queue.js';
import type { QueueService } from '../queue-service.js';
import { RedisService } from '../redis.js';
import type { SchedulerService } from '../scheduler-service.js';
import { systemNow } from '../system-time.js';
import type { CacheOptions } from '../types/cache-types.js';
import type { PubSubOptions, ReceivedMetadata } from '../types/pubsub-types.js';
import type { QueueServiceOptions } from '../types/queue-service-options.js';
import type { RedisConfig } from '../types/redis-config.js';
import type { SchedulerServiceOptions } from '../types/scheduler-options.js';
import { Worker } from '../worker.js';
import {
  type BoundConstructors,
  bindConstructors,
  bindQueueService,
  bindSchedulerService,
  type Closable,
} from './bound-services.js';
import { drained } from './drained.js';
import { followingClock } from './fake-timers.js';
import { TestClock } from './test-clock.js';

export interface TestInfraOptions {
  /**
   * Who moves time. `manual`, the default: {@link TestInfra.advanceTime} alone. `fake-timers`: `Date` and `setTimeout` of the
   * test, such as those of `vi.useFakeTimers()` and `jest.useFakeTimers()`.
   */
  clock?: 'manual' | 'fake-timers';
  /** When time begins, with the `manual` clock. Default: now. */
  now?: Date | number | string;
  /** Milliseconds of real time for which a running job is waited for before time goes on without it. Default 1000. */
  jobPatience?: number;
  /** Milliseconds of real time that `advanceTime` and `settled` may take. Default 30000. */
  patience?: number;
  /** Options of the services. */
  queues?: Omit<QueueServiceOptions, 'redis'>;
  cache?: Omit<CacheOptions, 'redis'>;
  scheduler?: Omit<SchedulerServiceOptions, 'redis'>;
  pubsub?: Omit<PubSubOptions, 'redis'>;
}

/** A message that was published. */
export interface PublishedMessage {
  /** With the service's `channelPrefix`, if it has one. */
  channel: string;
  /** What handlers get. */
  message: any;
  /** Of a message that a `PubSubService` published. */
  metadata: ReceivedMetadata | undefined;
}

/** An entry of a queue's event stream. */
export interface RecordedEvent {
  /** In the stream; its first part is the time. */
  id: string;
  /** `added`, `waiting`, `active`, `completed`, `failed`, ... */
  event: string;
  jobId: string | undefined;
  /** Everything else, as it is stored. */
  fields: Record<string, string>;
}

const OPTION_NAMES = ['clock', 'now', 'jobPatience', 'patience', 'queues', 'cache', 'scheduler', 'pubsub'];

/** Services of one test, that nobody else sees, without any server. {@link createTestInfra} makes it. */
export class TestInfra<Payloads = any, Results = any> implements AsyncDisposable {
  /**
   * The connection of everything here, for the `redis` or `connection` option of objects that the code under test makes
   * itself. Whoever makes them closes them.
   */
  readonly connection: Readonly<RedisConfig>;
  /** `Queue`, as `oxcart` has it, on this connection whatever its options say; closed with the infrastructure. */
  readonly Queue: BoundConstructors['Queue'];
  /** `Worker`, likewise. */
  readonly Worker: BoundConstructors['Worker'];
  /** `QueueEvents`, likewise. */
  readonly QueueEvents: BoundConstructors['QueueEvents'];
  /** `FlowProducer`, likewise. */
  readonly FlowProducer: BoundConstructors['FlowProducer'];

  readonly #options: TestInfraOptions;
  readonly #clock: TestClock;
  readonly #unfollow: (() => void) | undefined;
  readonly #made = new Set<Closable>();
  readonly #services = new Map<string, Closable>();
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(options: TestInfraOptions) {
    this.#options = options;
    const patience = {
      job: milliseconds('jobPatience', options.jobPatience, 1_000),
      call: milliseconds('patience', options.patience, 30_000),
    };
    if (options.clock === 'fake-timers') {
      const { clock, stop } = followingClock(patience);
      this.#clock = clock;
      this.#unfollow = stop;
    } else {
      this.#clock = new TestClock(startOf(options.now), patience);
    }
    this.connection = Object.freeze({ url: `${this.#clock.url}/0` });
    const { Queue, Worker, QueueEvents, FlowProducer } = bindConstructors(this.connection, this.#own);
    this.Queue = Queue;
    this.Worker = Worker;
    this.QueueEvents = QueueEvents;
    this.FlowProducer = FlowProducer;
  }

  get queues(): QueueService<Payloads, Results> {
    const options = { ...this.#options.queues, redis: this.connection };
    return this.#service('queues', () => bindQueueService<Payloads, Results>(options, this.#own));
  }

  get cache(): CacheService {
    return this.#service('cache', () => new CacheService({ ...this.#options.cache, redis: this.connection }));
  }

  get scheduler(): SchedulerService {
    const options = { ...this.#options.scheduler, redis: this.connection };
    return this.#service('scheduler', () => bindSchedulerService(options, this.#own));
  }

  get pubsub(): PubSubService {
    return this.#service('pubsub', () => new PubSubService({ ...this.#options.pubsub, redis: this.connection }));
  }

  get locks(): LockService {
    return this.#service('locks', () => new LockService({ redis: this.connection }));
  }

  get redis(): RedisService {
    return this.#service('redis', () => new RedisService(this.connection));
  }

  /** The time of everything here, in milliseconds since the epoch. */
  now(): number {
    door.follow();
    return this.#clock.now;
  }

  /**
   * Moves time. What is due on the way happens at its own time and in order: delayed jobs, further attempts, limits,
   * schedules, expiry of keys and of the cache, renewal and loss of locks. Before each step the processors that run are
   * waited for, `jobPatience` at most.
   *
   * @throws `ERR_WAIT_TIMED_OUT` when it takes longer than `patience`; `ERR_INVALID_ARGUMENT` where fake timers move time.
   */
  async advanceTime(ms: number): Promise<void> {
    if (this.#unfollow)
      throw invalidArgument('ms', 'given', "nothing with `clock: 'fake-timers'`: advance the fake timers");
    await this.#clock.advance(ms);
  }

  /** Resolves when nothing is going on any more that does not wait for time. @throws `ERR_WAIT_TIMED_OUT`. */
  async settled(): Promise<void> {
    if (this.#unfollow) await this.#clock.advanceTo(Date.now());
    await this.#clock.settled();
  }

  /**
   * Resolves when a queue has no job that waits, runs or is due. Jobs that are delayed to a later time do not count.
   *
   * @param options.timeout Milliseconds of real time. Default 5000.
   * @throws `ERR_WAIT_TIMED_OUT`, whose message says which jobs are left and why.
   */
  async drain(queue: string | Queue, options: { timeout?: number } = {}): Promise<void> {
    const timeout = milliseconds('timeout', options.timeout, 5_000);
    await this.#with(queue, (one) => drained(one, this.#clock, () => this.settled(), timeout));
  }

  /** The jobs of a queue in all states, in the order in which they were made. */
  async jobs(queue: string | Queue): Promise<Job[]> {
    const jobs = await this.#with(queue, (one) => one.getJobs(undefined, 0, -1, true));
    const order = (job: Job) => Number(job.id);
    return jobs.sort((a, b) => a.timestamp - b.timestamp || order(a) - order(b) || 0);
  }

  /** What happened in a queue: its event stream, the oldest first (the last 10,000 or so). */
  async events(queue: string | Queue): Promise<RecordedEvent[]> {
    const key = await this.#with(queue, async (one) => `${one.qualifiedName}:events`);
    const entries = (await this.redis.call('XRANGE', key, '-', '+')) as [string, string[]][];
    return entries.map(([id, flat]) => {
      const pairs = Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at]!, flat[2 * at + 1]!] as const);
      const { event = '', jobId, ...fields } = Object.fromEntries(pairs) as Record<string, string>;
      return { id, event, jobId, fields };
    });
  }

  /** What was published, on one channel or all, the oldest first; the last 100,000 messages or 64 MiB. */
  published(channel?: string): PublishedMessage[] {
    return this.#clock
      .published()
      .map(([name, payload]) => ({ channel: name.toString(), ...open(asText(payload), 'json') }))
      .filter((message) => channel === undefined || message.channel === channel);
  }

  /**
   * Closes what was made here; running processors are waited for, `jobPatience` at most. Twice is safe. What the test opened
   * itself by {@link connection} goes on until it closes that; nothing new can be opened.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const all = [...this.#made, ...this.#services.values()];
    const closing = Promise.allSettled(all.map(async (one) => one.close()));
    this.#unfollow?.();
    const patience = this.#options.jobPatience ?? 1_000;
    const until = systemNow() + patience;
    let isClosed = false;
    void closing.then(() => {
      isClosed = true;
    });
    while (!isClosed && this.#clock.running > 0 && systemNow() < until) await this.#clock.changed(until - systemNow());
    if (this.#clock.running > 0) {
      for (const one of this.#made) if (one instanceof Worker) void one.close(true);
    }
    await closing;
    this.#clock.close();
    this.#made.clear();
    this.#services.clear();
  }

  #service<S extends Closable>(name: string, make: () => S): S {
    const known = this.#services.get(name);
    if (known) return known as S;
    const service = make();
    this.#services.set(name, service);
    return service;
  }

  readonly #own = (made: Closable): void => {
    this.#made.add(made);
  };

  /** Works with a queue that is given, or opened for it. */
  async #with<T>(queue: string | Queue, work: (queue: Queue) => Promise<T>): Promise<T> {
    if (typeof queue !== 'string') return work(queue);
    const { prefix } = this.#options.queues ?? {};
    const opened = new this.Queue(queue, prefix === undefined ? {} : { prefix });
    try {
      return await work(opened);
    } finally {
      this.#made.delete(opened);
      await opened.close();
    }
  }
}

/**
 * Services for one test: queues, cache, scheduler, pub/sub and Redis commands in this process, that nobody else sees, with a
 * time that the test moves. Close it when the test ends.
 *
 * @typeParam Payloads Map from queue name to the type of its jobs' data, as of `QueueService`.
 * @typeParam Results Map from queue name to the type of its jobs' results.
 * @throws `ERR_INVALID_OPTION`.
 *
 * @example
 * const infra = createTestInfra();
 * infra.queues.registerProcessor('mail', async (job) => send(job.data));
 * await infra.queues.addJob('mail', { to: 'ada@example.com' }, { delay: 86_400_000 });
 * await infra.advanceTime(86_400_000);
 * await infra.close();
 */
export function createTestInfra<Payloads = any, Results = any>(
  options: TestInfraOptions = {},
): TestInfra<Payloads, Results> {
  if (options === null || typeof options !== 'object') throw invalidOption('options', String(options), 'an object');
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.includes(name)) throw invalidOption(name, 'unknown', OPTION_NAMES.join(', '));
  }
  const { clock = 'manual', now } = options;
  if (clock !== 'manual' && clock !== 'fake-timers') {
    throw invalidOption('clock', `\`${String(clock)}\``, '`manual`, `fake-timers`');
  }
  if (clock === 'fake-timers' && now !== undefined) {
    throw invalidOption('now', 'given', 'nothing with `fake-timers`, which say what time it is');
  }
  return new TestInfra<Payloads, Results>(options);
}

function startOf(now: TestInfraOptions['now']): number {
  if (now === undefined) return systemNow();
  const time = now instanceof Date ? now.getTime() : new Date(now).getTime();
  if (!Number.isInteger(time) || time < 0) throw invalidOption('now', String(now), 'a time from 1970 on');
  return time;
}

function milliseconds(option: string, given: number | undefined, otherwise: number): number {
  if (given === undefined) return otherwise;
  if (!(typeof given === 'number' && given >= 0 && given <= 2 ** 31 - 1)) {
    throw invalidOption(option, String(given), 'milliseconds from 0 to 2147483647');
  }
  return Math.trunc(given);
}

/** Bytes that are no text stay bytes. */
function asText(payload: Buffer): string | Buffer {
  const text = payload.toString();
  return Buffer.from(text).equals(payload) ? text : payload;
}
