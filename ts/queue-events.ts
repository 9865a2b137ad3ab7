import type { ServiceConnection } from './connection.js';
import { invalidArgument, invalidOption } from './errors.js';
import { closed, waitTimedOut } from './job-errors.js';
import { QUEUE_CALL } from './job-host.js';
import { storedJson } from './job-row.js';
import { door, NativeQueueEvents } from './native.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection, splitConnection } from './split-connection.js';
import { startTimeout, stopTimeout } from './system-time.js';
import type { QueueEventsOptions } from './types/queue-options.js';
import type { ConnectionState } from './types/redis-config.js';

/** Events of a queue, whatever process caused them. The second value is the event's id in the stream. */
export interface QueueEventsMap {
  added: [args: { jobId: string; name: string }, id: string];
  waiting: [args: { jobId: string; prev?: string }, id: string];
  active: [args: { jobId: string; prev?: string }, id: string];
  delayed: [args: { jobId: string; delay: number }, id: string];
  'waiting-children': [args: { jobId: string }, id: string];
  progress: [args: { jobId: string; data: any }, id: string];
  completed: [args: { jobId: string; returnvalue: any; prev?: string }, id: string];
  failed: [args: { jobId: string; failedReason: string; prev?: string }, id: string];
  'retries-exhausted': [args: { jobId: string; attemptsMade: string }, id: string];
  stalled: [args: { jobId: string }, id: string];
  removed: [args: { jobId: string; prev?: string }, id: string];
  duplicated: [args: { jobId: string }, id: string];
  deduplicated: [args: { jobId: string; deduplicationId: string; deduplicatedJobId: string }, id: string];
  cleaned: [args: { count: string }, id: string];
  paused: [args: Record<string, never>, id: string];
  resumed: [args: Record<string, never>, id: string];
  drained: [id: string];
  /** The shared connection changed its state. */
  state: [state: ConnectionState];
  /** Reading failed and goes on by itself; no event is skipped. */
  error: [error: Error];
}

/** The call that starts to read; the number of `src/node/queue_events.rs`. */
const RUN = 100;

/** How long an event may take from the server to here, on a bad day. */
const EVENT_DELAY_MS = 500;

/** How a finished job ended. */
export type FinishedJob = { value: unknown } | { failedReason: string };

interface Waiter {
  settle: (finished: FinishedJob) => void;
  fail: (error: unknown) => void;
}

/**
 * Events of a queue, read from its stream by one connection for all queues of the process.
 *
 * @example
 * const events = new QueueEvents('email', { redis });
 * events.on('completed', ({ jobId, returnvalue }) => console.log(jobId, returnvalue));
 */
export class QueueEvents extends ServiceEmitter<QueueEventsMap> {
  readonly prefix: string;
  readonly opts: Readonly<QueueEventsOptions>;
  readonly #native: NativeQueueEvents;
  readonly #connection: ServiceConnection;
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #lastEventId: string | undefined;
  #started: Promise<void> | undefined;
  #ended: (() => void) | undefined;
  #closed = false;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(
    readonly name: string,
    opts: QueueEventsOptions = {},
  ) {
    super();
    const { connection, asBullmq, engine } = splitConnection(name, opts, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#connection = connection;
    const { autorun = true, lastEventId, ...rest } = engine;
    if (typeof autorun !== 'boolean') {
      connection.close();
      throw invalidOption('autorun', typeof autorun, 'true or false');
    }
    this.#lastEventId = lastEventId;
    this.opts = opts;
    this.prefix = opts.prefix ?? 'bull';
    this.#native = onConnection(
      connection,
      () =>
        new NativeQueueEvents(
          door.native,
          name,
          connection.json,
          asBullmq,
          JSON.stringify({ ...rest, skipMetasUpdate: true }),
        ),
    );
    connection.listen(this.#native.id, (event, _a, _b, values) => this.#hear(event, values));
    if (autorun) this.run().catch((error: Error) => this.fire('error', error));
  }

  /**
   * Starts to read; needed only with `autorun: false`.
   *
   * @returns When reading has ended by {@link close}.
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

  /** Resolves when every event from now on will be heard. */
  async waitUntilReady(): Promise<this> {
    await this.#started;
    return this;
  }

  /** Round trip to the server. */
  async ping(): Promise<string> {
    return (await door.call(this.#native.id, QUEUE_CALL.ping, [])) as string;
  }

  /** Ends reading; those who wait for jobs get `ERR_CLOSED`. Twice is safe. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#started) door.release(this.#native.id);
    this.#native.close();
    this.#connection.close();
    for (const waiters of [...this.#waiters.values()]) {
      for (const { fail } of [...waiters]) fail(closed(this.describe()));
    }
    this.#ended?.();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Waits for the end of a job. `look` asks whether it has ended already. */
  async finished(
    jobId: string,
    ttl: number | undefined,
    look: () => Promise<FinishedJob | undefined>,
  ): Promise<unknown> {
    if (this.#closed) throw closed(this.describe());
    await this.waitUntilReady();
    const finished = await new Promise<FinishedJob>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const waiter: Waiter = {
        settle: (outcome) => {
          leave();
          resolve(outcome);
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      const leave = () => {
        stopTimeout(timer);
        const others = this.#waiters.get(jobId);
        others?.delete(waiter);
        if (others?.size === 0) this.#waiters.delete(jobId);
      };
      const waiters = this.#waiters.get(jobId) ?? new Set();
      this.#waiters.set(jobId, waiters.add(waiter));
      if (ttl !== undefined) timer = startTimeout(() => waiter.fail(waitTimedOut(`job ${jobId} to finish`, ttl)), ttl);
      // Only after the waiter is in place, so that an end between the look and the event is not missed.
      look().then(
        (outcome) => outcome && waiter.settle(outcome),
        (error: { code?: string }) => {
          if (error.code !== 'ERR_JOB_NOT_FOUND') return waiter.fail(error);
          if (!this.#waiters.get(jobId)?.has(waiter)) return;
          // A job may be removed as it ends; then the event of its end is under way.
          stopTimeout(timer);
          timer = startTimeout(() => waiter.fail(error), Math.min(EVENT_DELAY_MS, ttl ?? EVENT_DELAY_MS));
        },
      );
    });
    if ('failedReason' in finished) throw new Error(finished.failedReason);
    return finished.value;
  }

  protected describe(): string {
    return `events of queue ${this.name}`;
  }

  async #start(): Promise<void> {
    door.hold(this.#native.id);
    try {
      await door.call(this.#native.id, RUN, [this.#lastEventId]);
    } catch (error) {
      door.release(this.#native.id);
      throw error;
    }
  }

  #hear(event: number, values: unknown[]): void {
    if (event === 1) {
      this.fire('error', values[0] as Error);
      return;
    }
    for (let at = 0; at + 2 < values.length; at += 3) {
      const fields = JSON.parse(values[at + 2] as string) as Record<string, string>;
      this.#tell(values[at + 1] as keyof QueueEventsMap, fields, values[at] as string);
    }
  }

  #tell(name: keyof QueueEventsMap, fields: Record<string, any>, id: string): void {
    if (name === 'progress' && fields['data'] !== undefined) fields['data'] = storedJson(fields['data']);
    if (name === 'completed' && fields['returnvalue'] !== undefined) {
      fields['returnvalue'] = storedJson(fields['returnvalue']);
    }
    if (name === 'delayed') fields['delay'] = Number(fields['delay']);
    if (name === 'drained') this.fire('drained', id);
    else {
      this.fire(name, ...([fields, id] as unknown as QueueEventsMap[typeof name]));
      // `completed:7` hears of job 7 alone.
      const ofJob = `${name}:${fields['jobId']}` as typeof name;
      if (this.listenerCount(ofJob) > 0) this.fire(ofJob, ...([fields, id] as unknown as QueueEventsMap[typeof name]));
    }
    const waiters = this.#waiters.get(fields['jobId'] as string);
    if (!waiters) return;
    if (name === 'completed') for (const waiter of [...waiters]) waiter.settle({ value: fields['returnvalue'] });
    if (name === 'failed') for (const waiter of [...waiters]) waiter.settle({ failedReason: fields['failedReason'] });
  }
}
