import type { ServiceConnection } from './connection.js';
import { invalidOption } from './errors.js';
import { Job, type JobMaker } from './job.js';
import { closed } from './job-errors.js';
import { type JobHost, QUEUE_CALL, setJobHost } from './job-host.js';
import { type Argument, door, NativeQueue } from './native.js';
import { nativePayload } from './payload-options.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection, splitConnection } from './split-connection.js';
import { checkTelemetry } from './telemetry/trace.js';
import { TRACED_QUEUE, traceMethods } from './telemetry/traced-methods.js';
import type { JobOptions } from './types/job-options.js';
import type { QueueOptions } from './types/queue-options.js';
import type { ConnectionState } from './types/redis-config.js';

export interface QueueEventMap<Data = any, Result = any, Name extends string = string, J = Job<Data, Result, Name>> {
  /** Something failed that no call reports. */
  error: [error: Error];
  /** A job was added by this object. */
  waiting: [job: J];
  /** A job of this object reported progress. */
  progress: [job: J, progress: unknown];
  /** The shared connection changed its state. */
  state: [state: ConnectionState];
  removed: [jobId: string];
  cleaned: [jobIds: string[], type: string];
  paused: [];
  resumed: [];
}

/**
 * What every part of a queue stands on: its connection, its native side and its end.
 *
 * @typeParam J The class of its jobs.
 */
export abstract class QueueBase<
  Data = any,
  Result = any,
  Name extends string = string,
  J extends Job<Data, Result, Name, any> = Job<Data, Result, Name>,
> extends ServiceEmitter<QueueEventMap<Data, Result, Name, J>> {
  /** First part of every key. */
  readonly prefix: string;
  readonly opts: Readonly<QueueOptions>;
  readonly #native: NativeQueue;
  readonly #connection: ServiceConnection;
  /** @internal What the jobs of this queue need of it. */
  protected readonly host: JobHost;
  #closing: Promise<void> | undefined;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(
    readonly name: string,
    opts: QueueOptions = {},
  ) {
    super();
    const tracer = checkTelemetry(opts.telemetry);
    const { connection, asBullmq, engine } = splitConnection(name, opts, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#connection = connection;
    const { settings, telemetry, ...stored } = engine;
    onConnection(connection, () => checkSettings(settings));
    this.opts = opts;
    this.prefix = opts.prefix ?? 'bull';
    this.#native = onConnection(
      connection,
      () =>
        new NativeQueue(
          door.native,
          name,
          connection.json,
          asBullmq,
          JSON.stringify({ ...stored, payload: nativePayload(opts.payload) }),
        ),
    );
    connection.listen(this.#native.id);
    this.host = {
      name,
      prefix: this.prefix,
      now: connection.now,
      call: (code, args) => this.call(code, args),
      progressed: (job, progress) => this.fire('progress', job as J, progress),
    };
    setJobHost(this, this.host);
    if (tracer) traceMethods(this, tracer, name, TRACED_QUEUE);
  }

  /** `prefix:name`. */
  get qualifiedName(): string {
    return `${this.prefix}:${this.name}`;
  }

  /** What a job gets that says nothing itself. */
  get defaultJobOptions(): JobOptions {
    return this.opts.defaultJobOptions ?? {};
  }

  /** Round trip to the server. */
  async ping(): Promise<string> {
    return (await this.call(QUEUE_CALL.ping, [])) as string;
  }

  /** Resolves when the server answers. */
  async waitUntilReady(): Promise<this> {
    await this.ping();
    return this;
  }

  /** Ends this object; jobs and workers go on. Calls made before are answered, those that come later reject with `ERR_CLOSED`. Twice is safe. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal The time of what the queue stores, in milliseconds since the epoch. */
  protected now(): number {
    return this.#connection.now();
  }

  /** @internal The class of the jobs that this object gives. */
  protected get Job(): JobMaker<J> {
    return Job as unknown as JobMaker<J>;
  }

  protected describe(): string {
    return `queue ${this.name}`;
  }

  async #close(): Promise<void> {
    await door.call(this.#native.id, QUEUE_CALL.arrive, []);
    this.#native.close();
    this.#connection.close();
  }

  /** @internal Calls the native side. */
  protected call(code: number, args: readonly Argument[]): Promise<unknown> {
    if (this.#closing) return Promise.reject(closed(this.describe()));
    return door.call(this.#native.id, code, args);
  }
}

/** Options that only this layer knows. */
function checkSettings(settings: QueueOptions['settings']): void {
  if (settings === undefined) return;
  if (settings === null || typeof settings !== 'object') throw invalidOption('settings', typeof settings, 'an object');
  for (const [name, value] of Object.entries(settings)) {
    if (name !== 'repeatStrategy') throw invalidOption(`settings.${name}`, 'unknown', 'repeatStrategy');
    if (value !== undefined && typeof value !== 'function') {
      throw invalidOption('settings.repeatStrategy', typeof value, 'a function');
    }
  }
}
