import { invalidArgument } from '../../errors.js';
import { QUEUE_CALL } from '../../job-host.js';
import type { Argument } from '../../native.js';
import { Queue } from '../../queue.js';
import { redisConfigOf } from './connection.js';
import { bullmqError } from './errors.js';
import { checkQueueName } from './queue-checks.js';
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
export class QueueEventsProducer {
  readonly opts: QueueEventsProducerOptions;
  closing: Promise<void> | undefined;
  readonly #queue: EventQueue;

  constructor(
    readonly name: string,
    opts: QueueEventsProducerOptions = { connection: {} },
  ) {
    checkQueueName(name);
    this.opts = opts;
    const { prefix } = opts;
    this.#queue = new EventQueue(name, {
      connection: redisConfigOf(opts.connection),
      skipMetasUpdate: true,
      ...(prefix === undefined ? {} : { prefix }),
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

  async waitUntilReady(): Promise<void> {
    await this.#queue.waitUntilReady();
  }

  close(): Promise<void> {
    this.closing ??= this.#queue.close();
    return this.closing;
  }

  disconnect(): Promise<void> {
    return this.close();
  }
}
