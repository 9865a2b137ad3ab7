import { invalidOption } from '../../errors.js';
import type { RedisConfig } from '../../types/redis-config.js';

/**
 * How to reach Redis, as BullMQ takes it: the options of ioredis, among them `url`, or a client of ioredis,
 * whose options are used. A client itself is not: connections are opened, shared and ended by this package.
 */
export type ConnectionOptions = RedisOptions | RedisLikeClient;

/** Options of ioredis. Those that steer only its own inner workings may be given and change nothing. */
export interface RedisOptions {
  url?: string;
  /** Default `127.0.0.1`. */
  host?: string;
  /** Default 6379. */
  port?: number;
  /** A unix socket, in place of host and port. */
  path?: string;
  db?: number;
  username?: string;
  password?: string;
  connectionName?: string;
  enableOfflineQueue?: boolean;
  enableReadyCheck?: boolean;
  maxRetriesPerRequest?: number | null;
  connectTimeout?: number;
  commandTimeout?: number;
  keepAlive?: number;
  retryStrategy?: (times: number) => number | void | null;
  tls?: any;
  [option: string]: any;
}

/** A client with the options that it was made with, such as one of ioredis. */
export interface RedisLikeClient {
  readonly options: Record<string, any>;
  readonly isCluster?: boolean;
  duplicate(...args: any[]): any;
  /** What tells a client from options. */
  readonly host?: never;
}

/** Options that mean the same here. */
const TAKEN = [
  'host',
  'port',
  'db',
  'username',
  'password',
  'connectionName',
  'enableOfflineQueue',
  'enableReadyCheck',
  'maxRetriesPerRequest',
  'connectTimeout',
  'commandTimeout',
] as const;

/** Options that would lead elsewhere than to the one server that is asked. */
const REFUSED = ['sentinels', 'natMap', 'redisOptions', 'scaleReads', 'Connector'];

/** @throws `ERR_INVALID_OPTION`, and BullMQ's own error for `keyPrefix`. */
export function redisConfigOf(connection: ConnectionOptions | string | undefined): RedisConfig {
  if (connection === undefined || connection === null) return { host: '127.0.0.1', port: 6379 };
  if (typeof connection === 'string') return { url: connection };
  if (typeof connection !== 'object') {
    throw invalidOption(
      'connection',
      `a ${typeof connection}`,
      'the options of ioredis, a URL, or a client of ioredis',
    );
  }
  const isClient = typeof (connection as RedisLikeClient).duplicate === 'function';
  if (isClient && (connection as RedisLikeClient).isCluster) {
    throw invalidOption('connection', 'a client of a cluster', 'one server');
  }
  const options = (isClient ? (connection as RedisLikeClient).options : connection) as RedisOptions;
  if (options.keyPrefix) {
    throw new Error('BullMQ: ioredis does not support ioredis prefixes, use the prefix option instead.');
  }
  for (const name of REFUSED) {
    if (options[name] && !(name === 'Connector' && isClient)) {
      throw invalidOption(`connection.${name}`, 'given', 'one server, by `host` and `port`, `path` or `url`');
    }
  }
  const config: Record<string, unknown> = {};
  if (options.url !== undefined) config['url'] = options.url;
  else if (options.path) config['url'] = `unix://${options.path}`;
  else Object.assign(config, { host: '127.0.0.1', port: 6379 });
  const isWholeAddress = config['url'] !== undefined;
  for (const name of TAKEN) {
    const value = options[name];
    // A client of ioredis fills in host and port beside a path, and leaves others as null.
    if (isWholeAddress && (name === 'host' || name === 'port')) continue;
    if (value !== undefined && (value !== null || name === 'maxRetriesPerRequest')) config[name] = value;
  }
  if (options.keepAlive) config['keepAlive'] = options.keepAlive;
  if (options.retryStrategy && !isClient) config['retryStrategy'] = options.retryStrategy;
  if (options.tls) config['tls'] = tlsOf(options.tls);
  return config as RedisConfig;
}

/** What of Node's TLS options has a meaning here; certificates as text. */
function tlsOf(tls: Record<string, unknown> | true): Record<string, unknown> {
  if (tls === true) return {};
  const taken: Record<string, unknown> = {};
  for (const name of ['ca', 'cert', 'key', 'servername', 'rejectUnauthorized']) {
    const value = tls[name];
    if (value !== undefined) taken[name] = value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value;
  }
  return taken;
}
