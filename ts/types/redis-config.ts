/** What a part of an application keeps in a database of its own. Default numbers 0 to 9 in this order. */
export type DatabaseRole =
  | 'cache'
  | 'session'
  | 'rateLimit'
  | 'tokenBlacklist'
  | 'queue'
  | 'pubsub'
  | 'featureFlags'
  | 'analytics'
  | 'temp'
  | 'test';

/** What a connection is doing, as the `state` event reports it. */
export type ConnectionState =
  | 'CONNECTING'
  | 'CONNECTED'
  | 'READY'
  | 'DISCONNECTING'
  | 'DISCONNECTED'
  | 'RECONNECTING'
  | 'ERROR';

/** TLS of a connection. Its presence, also as `{}`, turns TLS on. */
export interface TlsConfig {
  /** Refuse certificates that no trusted authority signed for this server. Default true. */
  rejectUnauthorized?: boolean;
  /** PEM text of trusted authorities. Default: those of the operating system. */
  ca?: string;
  /** PEM text of the client's certificate. */
  cert?: string;
  /** PEM text of the client's key. */
  key?: string;
  /** Name in the server's certificate. Default: the host. */
  servername?: string;
}

/**
 * How the data of a `file:` URL is kept. Each option can also stand in the URL, as in `file:data?fsync=always`. Of several
 * processes that share a file, those of the one count that has it open; within a process they must agree.
 */
export interface FileConfig {
  /**
   * When what was written is forced to the disk. Whatever the choice, a process that ends or is killed loses nothing
   * that it answered; the choice says what a machine may lose whose power fails.
   *
   * - `everysec`, the default: at most the last second or two.
   * - `always`: nothing. Each answer waits for the disk; calls that are under way together share one wait.
   * - `no`: what the operating system has not written yet, half a minute or so.
   */
  fsync?: 'always' | 'everysec' | 'no';
  /** Bytes below which the files are not rewritten to what is still there. Default 67108864 (64 MiB). */
  rewriteMinSize?: number;
  /** Percent by which the files grow until they are rewritten. Default 100; 0 never rewrites them. */
  rewritePercentage?: number;
}

/**
 * How to reach a server. One shape for every service; services with the same options share their connections.
 * An unknown or wrong option is refused with `ERR_INVALID_OPTION`, whose `option` is its path.
 */
export interface RedisConfig {
  /**
   * `redis://`, `rediss://` or `unix://`; options beside it win. Or `memory://[name]`: no server, everything is kept in
   * this process, shared by all who give the same name, and gone when it ends. Or `file:path[?db=n]`: no server, and
   * everything is kept in the directory at `path`, which the processes of one machine share. Default: the environment
   * variable `REDIS_URL`; where neither that nor `host` is set, `memory://`.
   */
  url?: string;
  /** Default `127.0.0.1`. */
  host?: string;
  /** Default 6379. */
  port?: number;
  username?: string;
  password?: string;
  /** Database number, 0 to 15. Default 0. */
  db?: number;
  /** Failed attempts to connect after which a waiting command fails. Default 20; with `null` only its deadline counts. */
  maxRetriesPerRequest?: number | null;
  /** Wait until the server has loaded its data before sending. Default true. */
  enableReadyCheck?: boolean;
  /** Hold commands while not connected. Default true; false fails them at once. */
  enableOfflineQueue?: boolean;
  /** Bytes of commands held while not connected. Default 64 MiB; past it calls fail with `ERR_OFFLINE_QUEUE_FULL`. */
  maxOfflineQueueBytes?: number;
  /** Milliseconds to make a connection. Default 10000. */
  connectTimeout?: number;
  /** Milliseconds from a call to its reply. Default 5000. */
  commandTimeout?: number;
  /** Milliseconds of silence before TCP asks whether the peer lives. Default 30000. */
  keepAlive?: number;
  tls?: TlsConfig;
  /** Milliseconds before reconnection attempt number `times`; anything but a number gives up. */
  retryStrategy?: (times: number) => number | undefined | null | void;
  /** How the data of a `file:` URL is kept. Refused beside any other URL. */
  file?: FileConfig;
  /** Put in front of every key that a command names. */
  keyPrefix?: string;
  /** Shown by the server in `CLIENT LIST`. */
  connectionName?: string;
  /** Database numbers of roles that differ from the default. */
  databases?: Partial<Record<DatabaseRole, number>>;
}
