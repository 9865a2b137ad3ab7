import { invalidArgument } from '../../errors.js';
import { QUEUE_CALL } from '../../job-host.js';
import { QueuePart } from './queue-part.js';
import type { QueueEventsProducerOptions } from './types.js';

/**
 * Adds events of the application's own to the stream of a queue, where `QueueEvents` hears them.
 *
 * @example
 * const producer = new QueueEventsProducer('email', { connection });
 * await producer.publishEvent({ eventName: 'bounced', address: 'ada@example.com' });
 */
export class QueueEventsProducer extends QueuePart {
  readonly opts: QueueEventsProducerOptions;

  constructor(name: string, opts: QueueEventsProducerOptions = { connection: {} }) {
    super(name, opts);
    this.opts = opts;
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
    await this.queue.call(QUEUE_CALL.publishEvent, [eventName, maxEvents, JSON.stringify(texts)]);
  }
}
