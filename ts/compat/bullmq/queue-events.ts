import { QueueEvents as BaseQueueEvents } from '../../queue-events.js';
import { redisConfigOf } from './connection.js';
import { pick, QUEUE_EVENTS_OPTIONS } from './option-names.js';
import { QueueBackend } from './queue-backend.js';
import { checkQueueName } from './queue-checks.js';
import type { KeysMap } from './queue-keys.js';
import type { QueueEventsOptions } from './types.js';

/**
 * BullMQ's `QueueEvents`: its constructor, options, methods and events, those of single jobs (`completed:7`) and of
 * {@link QueueEventsProducer} too.
 *
 * @example
 * const events = new QueueEvents('email', { connection: { host: 'localhost' } });
 * events.on('completed', ({ jobId, returnvalue }) => console.log(jobId, returnvalue));
 */
export class QueueEvents extends BaseQueueEvents {
  declare opts: QueueEventsOptions;
  readonly keys: KeysMap;
  /** Set once `close` was called. */
  closing: Promise<void> | undefined;
  #isRunning: boolean;
  /** See {@link getBackend}. */
  readonly backend: QueueBackend;

  constructor(name: string, opts: QueueEventsOptions = { connection: {} }) {
    checkQueueName(name);
    const config = redisConfigOf(opts.connection);
    super(name, { ...pick(opts, QUEUE_EVENTS_OPTIONS), connection: config });
    this.opts = { blockingTimeout: 10_000, ...opts };
    this.#isRunning = opts.autorun ?? true;
    this.backend = new QueueBackend(name, this.prefix, config);
    this.keys = this.backend.keys;
    this.on('state', (state) => {
      if (state === 'RECONNECTING' || state === 'DISCONNECTED') this.emit('ioredis:close');
    });
  }

  /** `prefix:name`. */
  get qualifiedName(): string {
    return this.backend.qualifiedName;
  }

  /** The keys of the queue and a raw client. */
  getBackend(): QueueBackend {
    return this.backend;
  }

  toKey(type: string): string {
    return this.backend.toKey(type);
  }

  override async run(): Promise<void> {
    // The constructor of the base runs it before this class has its fields.
    if (this.opts !== undefined && #isRunning in this) {
      if (this.#isRunning) throw new Error('Queue Events is already running.');
      this.#isRunning = true;
    }
    await super.run();
  }

  override close(): Promise<void> {
    this.closing ??= super.close().then(() => this.backend.close());
    return this.closing;
  }

  disconnect(): Promise<void> {
    return this.close();
  }
}
