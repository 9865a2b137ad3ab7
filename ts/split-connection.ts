import { invalidOption } from './job-errors.js';
import type { QueueConnection } from './types/queue-options.js';

/**
 * Parts the options of a queue, worker or event reader into the connection's (as JSON) and the others.
 * `redis` takes the database of queues, 4 unless told otherwise; `connection` is BullMQ's and takes 0 as BullMQ does.
 */
export function splitConnection<Options extends QueueConnection>(
  options: Options,
): { redis: string | undefined; asBullmq: boolean; engine: Omit<Options, 'redis' | 'connection'> } {
  if (options === null || typeof options !== 'object') throw invalidOption('options', String(options), 'an object');
  const { redis, connection, ...engine } = options;
  if (redis !== undefined && connection !== undefined) {
    throw invalidOption('connection', 'given beside `redis`', 'one of the two');
  }
  const config = redis ?? connection;
  return {
    redis: config === undefined ? undefined : JSON.stringify(config),
    asBullmq: connection !== undefined,
    engine,
  };
}
