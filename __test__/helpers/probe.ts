import { Redis } from 'ioredis';
import { RedisService } from '../../ts/redis.js';
import { inMemory, type RedisServer } from './redis-server.js';

/** A look at what is stored, with a client that is not under test where there is a server to connect to. */
export interface Probe {
  call(command: string, ...args: (string | number)[]): Promise<any>;
  close(): Promise<void>;
}

export function openProbe(server: RedisServer): Probe {
  if (inMemory) return new RedisService({ url: server.url });
  const redis = new Redis(server.port);
  return {
    call: (command, ...args) => redis.call(command, ...args.map(String)),
    close: async () => redis.disconnect(),
  };
}
