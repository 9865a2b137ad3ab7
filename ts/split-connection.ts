import { checkServiceOptions } from './arguments.js';
import { type ConnectionListener, openConnection, type ServiceConnection } from './connection.js';
import { invalidArgument, invalidOption } from './errors.js';
import type { QueueConnection } from './types/queue-options.js';

/** Options of a queue, worker or event reader, those of its connection apart. */
export interface SplitOptions<Options extends QueueConnection> {
  connection: ServiceConnection;
  /** The database is that which BullMQ would use. */
  asBullmq: boolean;
  engine: Omit<Options, 'redis' | 'connection'>;
}

/**
 * Parts options. `redis` takes the database of queues, 4 unless told otherwise; `connection` is BullMQ's and takes 0 as
 * BullMQ does.
 */
export function splitConnection<Options extends QueueConnection>(
  name: string,
  options: Options,
  listener: ConnectionListener,
): SplitOptions<Options> {
  if (typeof name !== 'string') throw invalidArgument('name', typeof name, 'the name of a queue');
  const { redis, connection, ...engine } = checkServiceOptions(options);
  if (redis !== undefined && connection !== undefined) {
    throw invalidOption('connection', 'given beside `redis`', 'one of the two');
  }
  return {
    connection: openConnection(redis ?? connection ?? {}, listener),
    asBullmq: connection !== undefined,
    engine,
  };
}

/** What `make` returns; the connection is let go of when it throws. */
export function onConnection<Native>(connection: Pick<ServiceConnection, 'close'>, make: () => Native): Native {
  try {
    return make();
  } catch (error) {
    connection.close();
    throw error;
  }
}
