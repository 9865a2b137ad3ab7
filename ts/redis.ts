import { openConnection, type ServiceConnection } from './connection.js';
import { LockService } from './lock-service.js';
import { door, NativeRedis } from './native.js';
import {
  BUFFERS,
  byName,
  commandCode,
  keyList,
  type RedisArgument,
  type RedisBufferReply,
  type RedisReply,
  type SetOptions,
  setArguments,
  whole,
} from './redis-commands.js';
import { Pipeline } from './redis-pipeline.js';
import { ServiceEmitter } from './service-emitter.js';
import type { AcquireOptions, HeldLock, LockStatus, WithLockOptions } from './types/lock-types.js';
import type { ConnectionState, RedisConfig } from './types/redis-config.js';

type Key = string | Uint8Array;

/** What a `RedisService` reports. */
export interface RedisEvents {
  /** The connection failed, or the `retryStrategy` did. Without a listener it is one process warning for each code. */
  error: [error: Error];
  /** The connection changed its state. */
  state: [state: ConnectionState];
}

const GET = commandCode('GET');
const SET = commandCode('SET');
const DEL = commandCode('DEL');
const EXISTS = commandCode('EXISTS');
const INCR = commandCode('INCR');
const INCRBY = commandCode('INCRBY');
const EXPIRE = commandCode('EXPIRE');
const TTL = commandCode('TTL');
const MGET = commandCode('MGET');
const PING = commandCode('PING');
/** Not a command: ends the target once the commands before it are answered. */
const CLOSE = 0xfffe;

/**
 * Commands to Redis over a connection that all services with the same options share. It connects when it is made; commands
 * wait for the connection, each up to its deadline (`commandTimeout`).
 *
 * Replies have the shapes of RESP2, whatever the connection speaks: a map is a flat array, a double is text, a boolean is 1
 * or 0. Integers beyond 2^53 are their decimal text. Strings are UTF-8 (what is not becomes U+FFFD); the `Buffer` forms
 * give bytes. Commands that would block the connection, or change its state for the others (`BLPOP`, `SUBSCRIBE`, `SELECT`,
 * `MULTI`, …), are refused with `ERR_UNSUPPORTED_COMMAND`.
 *
 * Byte arguments are read at the end of the turn of the event loop: do not change them before the promise settles.
 *
 * Every method rejects with `ERR_CLOSED` after {@link close}, `ERR_COMMAND_TIMED_OUT`, `ERR_CONNECTION_LOST` (whose
 * `details.maybeExecuted` says whether the command may have run) and the other codes of `docs/errors.md`.
 *
 * @example
 * const redis = new RedisService({ url: 'redis://127.0.0.1:6379' });
 * await redis.set('greeting', 'hello', { ttl: 60 });
 * const greeting = await redis.get('greeting');
 */
export class RedisService extends ServiceEmitter<RedisEvents> implements AsyncDisposable {
  readonly #native: NativeRedis;
  readonly #connection: ServiceConnection;
  readonly #id: number;
  readonly #config: RedisConfig;
  #locks: LockService | undefined;
  #closing: Promise<void> | undefined;

  /** @throws `ERR_INVALID_OPTION` for an option that is unknown or wrong. */
  constructor(config: RedisConfig = {}) {
    super();
    this.#config = config;
    this.#connection = openConnection(config, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#native = new NativeRedis(door.native, this.#connection.json);
    this.#id = this.#native.id;
    this.#connection.listen(this.#id);
  }

  /** What the connection is doing. */
  get state(): ConnectionState {
    return this.#native.state as ConnectionState;
  }

  /** Any command by name: `call('HSET', 'key', 'field', 'value')`. Arrays among the arguments are taken apart. */
  call(command: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply> {
    return attempt(() => {
      const { code, args: given } = byName(command, args);
      return door.call(this.#id, code, given);
    });
  }

  /** The same; strings of the reply are Buffers. */
  callBuffer(command: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply> {
    return attempt(() => {
      const { code, args: given } = byName(command, args);
      return door.call(this.#id, code | BUFFERS, given);
    });
  }

  /** The value of a key, `null` without one. */
  get(key: Key): Promise<string | null> {
    return door.call(this.#id, GET, [key]);
  }

  /** The bytes of a key, `null` without one. */
  getBuffer(key: Key): Promise<Buffer | null> {
    return door.call(this.#id, GET | BUFFERS, [key]);
  }

  /**
   * Writes a value. Options are seconds to live (`set(key, value, 60)`), an object (`{ ttl: 60, nx: true }`), or the words
   * of the command (`'EX', 60, 'NX'`). Resolves to `OK`, or to `null` when `nx` or `xx` kept it from writing; with `get`,
   * to the value before.
   */
  set(key: Key, value: RedisArgument): Promise<'OK'>;
  set(key: Key, value: RedisArgument, ttlSeconds: number): Promise<'OK'>;
  set(key: Key, value: RedisArgument, options: SetOptions & { get: true }): Promise<string | null>;
  set(key: Key, value: RedisArgument, options: SetOptions): Promise<'OK' | null>;
  set(key: Key, value: RedisArgument, word: string, ...words: (string | number)[]): Promise<string | null>;
  set(
    key: Key,
    value: RedisArgument,
    options?: number | SetOptions | string,
    ...words: (string | number)[]
  ): Promise<any> {
    return attempt(() => door.call(this.#id, SET, setArguments(key, value, options, words)));
  }

  /** Removes keys; resolves to how many there were. */
  del(...keys: (Key | readonly Key[])[]): Promise<number> {
    return attempt(() => door.call(this.#id, DEL, keyList(keys)));
  }

  /** How many of the keys exist; one named twice counts twice. */
  exists(...keys: (Key | readonly Key[])[]): Promise<number> {
    return attempt(() => door.call(this.#id, EXISTS, keyList(keys)));
  }

  /** Adds 1 to an integer; a key that does not exist is 0. */
  incr(key: Key): Promise<number> {
    return door.call(this.#id, INCR, [key]);
  }

  /** Adds to an integer; a key that does not exist is 0. */
  incrby(key: Key, by: number | bigint): Promise<number> {
    return door.call(this.#id, INCRBY, [key, by]);
  }

  /** Gives a key a time to live, in seconds; false when it does not exist. */
  expire(key: Key, seconds: number): Promise<boolean> {
    return attempt(() => door.call(this.#id, EXPIRE, [key, whole('seconds', seconds)], isOne));
  }

  /** Seconds a key has to live: -1 without end, -2 when it does not exist. */
  ttl(key: Key): Promise<number> {
    return door.call(this.#id, TTL, [key]);
  }

  /** Values of keys, in their order, `null` for those that do not exist. */
  mget(...keys: (Key | readonly Key[])[]): Promise<(string | null)[]> {
    return attempt(() => door.call(this.#id, MGET, keyList(keys)));
  }

  /** {@link LockService.acquireLock} on this server. */
  acquireLock(resource: string, ttl: number, options?: AcquireOptions): Promise<string | null> {
    return this.#lockService().acquireLock(resource, ttl, options);
  }

  /** {@link LockService.releaseLock} on this server. */
  releaseLock(resource: string, id: string): Promise<LockStatus> {
    return this.#lockService().releaseLock(resource, id);
  }

  /** {@link LockService.extendLock} on this server. */
  extendLock(resource: string, id: string, ttl: number): Promise<LockStatus> {
    return this.#lockService().extendLock(resource, id, ttl);
  }

  /** {@link LockService.withLock} on this server. */
  withLock<T>(resource: string, options: WithLockOptions, work: (lock: HeldLock) => T | PromiseLike<T>): Promise<T> {
    return this.#lockService().withLock(resource, options, work);
  }

  /** Asks the server for a sign of life: `PONG`. */
  ping(): Promise<string> {
    return door.call(this.#id, PING, []);
  }

  /** Collects commands to send together. */
  pipeline(): Pipeline {
    return new Pipeline(this.#id);
  }

  /** Waits for the replies of commands made before, then leaves the connection. Later calls reject with `ERR_CLOSED`. */
  close(): Promise<void> {
    this.#closing ??= Promise.all([door.call(this.#id, CLOSE, []), this.#locks?.close()])
      .then(() => undefined)
      .finally(() => {
        this.#native.close();
        this.#connection.close();
      });
    return this.#closing;
  }

  #lockService(): LockService {
    if (this.#locks === undefined) {
      this.#locks = new LockService({ redis: this.#config });
      if (this.#closing) void this.#locks.close();
      // The connection is the same: its news are told once.
      this.#locks.on('error', () => undefined);
    }
    return this.#locks;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  protected override describe(): string {
    return `connection to ${this.#native.describe}`;
  }
}

const isOne = (value: unknown): boolean => value === 1;

/** What throws at once as a rejection: methods that return promises do not throw. */
function attempt<T>(start: () => Promise<T>): Promise<T> {
  try {
    return start();
  } catch (error) {
    return Promise.reject(error);
  }
}
