import type { QueueConnection } from './types/queue-options.js';

/**
 * Parts the options of a queue, worker or event reader into the connection's (as JSON, `redis` and `connection` being
 * two names of it) and the others.
 */
export function splitConnection<Options extends QueueConnection>(
  options: Options,
): { redis: string | undefined; engine: Omit<Options, 'redis' | 'connection'> } {
  const { redis, connection, ...engine } = options;
  const config = redis ?? connection;
  return { redis: config === undefined ? undefined : JSON.stringify(config), engine };
}
