import { EventEmitter } from 'node:events';
import { invalidArgument } from '../../errors.js';
import { QUEUE_CALL } from '../../job-host.js';
import type { Argument } from '../../native.js';
import { Queue } from '../../queue.js';
import { redisConfigOf } from './connection.js';
import { bullmqError } from './errors.js';
import { QueueBackend } from './queue-backend.js';
import { checkQueueName } from './queue-checks.js';
import type { KeysMap } from './queue-keys.js';
import type { QueueEventsProducerOptions } from './types.js';

class EventQueue extends Queue {
  override async call(code: number, args: readonly Argument[]): Promise<unknown> {
    try {
      return await super.call(code, args);
    } catch (error) {
      throw bullmqError(error, code, args);
    }
  }
}

/**
 * Adds events of the application's own to the stream of a queue, where `QueueEvents` hears them.
 *
 * @example
 * const producer = new QueueEventsProducer('email', { connection });
 * await producer.publishEvent({ eventName: 'bounced', address: 'ada@example.com' });
 */
export class QueueEventsProducer extends EventEmitter {
  readonly opts: QueueEventsProducerOptions;
  closing: Promise<void> | undefined;
  /** See {@link getBackend}. */
  readonly backend: QueueBackend;
  readonly #queue: EventQueue;

  constructor(
    readonly name: string,
    opts: QueueEventsProducerOptions = { connection: {} },
  ) {
    super();
    checkQueueName(name);
    const config = redisConfigOf(opts.connection);
    this.opts = opts;
    const { prefix } = opts;
    this.#queue = new EventQueue(name, {
      connection: config,
      skipMetasUpdate: true,
      ...(prefix === undefined ? {} : { prefix }),
    });
    this.backend = new QueueBackend(name, this.#queue.prefix, config);
    this.#queue.on('error', (error) => {
      if (this.listenerCount('error') > 0) this.emit('error', error);
    });
  }

  /**
   * Adds an event; the stream keeps about `maxEvents`. Values are stored as text.
   *
   * @throws `ERR_INVALID_ARGUMENT` without a name.
   */
  async publishEvent<T extends { eventName: string }>(argsObj: T, maxEvents = 1000): Promise<void> {
    const { eventName, ...fields } = argsObj;
    if (typeof eventName !== 'string' || eventName === '')
      throw invalidArgument('eventName', String(eventName), 'a name');
    const texts = Object.entries(fields).map(([name, value]) => [name, String(value)]);
    await this.#queue.call(QUEUE_CALL.publishEvent, [eventName, maxEvents, JSON.stringify(texts)]);
  }

  get keys(): KeysMap {
    return this.backend.keys;
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

  async waitUntilReady(): Promise<void> {
    await this.#queue.waitUntilReady();
  }

  close(): Promise<void> {
    this.closing ??= this.#queue.close().then(() => this.backend.close());
    return this.closing;
  }

  disconnect(): Promise<void> {
    return this.close();
  }
}
