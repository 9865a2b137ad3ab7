import { EventEmitter } from 'node:events';
import { openConnection, type ServiceConnection } from './connection.js';
import { invalidOption } from './errors.js';
import { LockService } from './lock-service.js';
import { type Decode, door, NativeRedis } from './native.js';
import type { ChainSent } from './redis/command-chain.js';
import { CLOSE } from './redis/command-method.js';
import { CommandMonitor } from './redis/command-monitor.js';
import type { Key } from './redis/command-types.js';
import { RedisCommander } from './redis/redis-commander.js';
import { WatchConnections, type WatchedRedis } from './redis/watched-redis.js';
import type { AcquireOptions, HeldLock, LockStatus, WithLockOptions } from './types/lock-types.js';
import type { ConnectionState, RedisConfig } from './types/redis-config.js';

/** What a `RedisService` does beyond its connection. */
export interface RedisServiceOptions {
  /** What a command may carry. Default: what the server takes, 512 MB. */
  limits?: {
    /** Bytes of a key, its `keyPrefix` included; longer ones are refused with `ERR_KEY_TOO_LONG`. */
    maxKeyLength?: number;
    /** Bytes of any other argument; larger ones are refused with `ERR_VALUE_TOO_LARGE`. */
    maxValueSize?: number;
  };
  /**
   * Commands of a pipeline that are sent at once; the next ones follow when these are answered, so that a large pipeline
   * lets others in between. Default: all.
   */
  pipelineBatchSize?: number;
  /** Milliseconds from a call to its reply from which on the event `slow` tells of it. Default 100. */
  slowCommandThreshold?: number;
  /** Milliseconds between two events `metrics`. Default 60000. */
  metricsInterval?: number;
}

const OPTIONS = ['limits', 'pipelineBatchSize', 'slowCommandThreshold', 'metricsInterval'];
const LIMITS = ['maxKeyLength', 'maxValueSize'];
const MOST = 2 ** 31 - 1;

/**
 * Commands to Redis over a connection that all services with the same options share. It connects when it is made; commands
 * wait for the connection, each up to its deadline (`commandTimeout`).
 *
 * Every command of the documentation of Redis has a method of its name in lower case, with the arguments of the command in
 * their order; what several take (`mget`, `sadd`) may be a list. {@link call} sends any other command. A method with
 * `Buffer` behind its name gives bytes in place of text.
 *
 * Where a method does not say otherwise, replies have the shapes of RESP2, whatever the connection speaks. Integers beyond
 * 2^53 are their decimal text. Strings are UTF-8 (what is not becomes U+FFFD).
 *
 * Commands that wait on the server (`blpop`, `xread` with `BLOCK`, …) have connections of their own, at most 50 at a time;
 * {@link close} ends them with `null`. Commands that would change the connection for the others (`SUBSCRIBE`, `SELECT`,
 * `MULTI`, …) are refused with `ERR_UNSUPPORTED_COMMAND`.
 *
 * A `keyPrefix` is put in front of every key and of every pattern that names keys, and taken off again where a reply names
 * keys (`scan`, `keys`, `blpop`, `xread`, …).
 *
 * Byte arguments are read at the end of the turn of the event loop: do not change them before the promise settles.
 *
 * Every method rejects with `ERR_INVALID_ARGUMENT` for an argument that is missing or of a wrong type, `ERR_REPLY` for what
 * the server refuses, `ERR_CLOSED` after {@link close}, `ERR_COMMAND_TIMED_OUT`, `ERR_CONNECTION_LOST` (whose
 * `details.maybeExecuted` says whether the command may have run) and the other codes of `docs/errors.md`.
 *
 * @example
 * const redis = new RedisService({ url: 'redis://127.0.0.1:6379' });
 * await redis.set('greeting', 'hello', { ttl: 60 });
 * await redis.hset('user:1', { name: 'Ada', age: 36 });
 * const user = await redis.hgetall('user:1');
 */
export class RedisService extends RedisCommander implements AsyncDisposable {
  readonly #native: NativeRedis;
  readonly #connection: ServiceConnection;
  readonly #config: RedisConfig;
  readonly #monitor: CommandMonitor;
  readonly #watching: WatchConnections;
  #locks: LockService | undefined;
  #closing: Promise<void> | undefined;

  /** @throws `ERR_INVALID_OPTION` for an option that is unknown or wrong. */
  constructor(config: RedisConfig = {}, options: RedisServiceOptions = {}) {
    const { limits, pipelineBatchSize, slowCommandThreshold, metricsInterval } = checked(options);
    const connection = openConnection(config, {
      state: (state) => this?.fire('state', state),
      error: (error) => this?.fire('error', error),
    });
    let native: NativeRedis;
    const sizes = [limits.maxKeyLength, limits.maxValueSize] as const;
    try {
      native = new NativeRedis(door.native, connection.json, ...sizes);
    } catch (error) {
      connection.close();
      throw error;
    }
    super(native.id, config.keyPrefix ?? '', pipelineBatchSize);
    this.#native = native;
    this.#connection = connection;
    this.#config = config;
    this.#watching = new WatchConnections(config, sizes, pipelineBatchSize);
    this.#monitor = new CommandMonitor(slowCommandThreshold, metricsInterval, {
      slow: (command) => this.fire('slow', command),
      metrics: (metrics) => this.fire('metrics', metrics),
    });
    // EventEmitter's own events: emitted before a listener is added and after one is removed.
    const listened = (event: unknown, added: number) => {
      const count = (name: 'slow' | 'metrics') => this.listenerCount(name) + (event === name ? added : 0);
      this.#monitor.listeners(count('slow'), count('metrics'));
    };
    EventEmitter.prototype.on.call(this, 'newListener', (event) => listened(event, 1));
    EventEmitter.prototype.on.call(this, 'removeListener', (event) => listened(event, 0));
    this.#connection.listen(native.id);
  }

  /** What the connection is doing. */
  get state(): ConnectionState {
    return this.#native.state as ConnectionState;
  }

  /**
   * Runs `work` with a connection of its own on which `keys` are watched: the transaction that `work` makes there
   * (`watched.multi()`) resolves to `null`, with nothing done, when one of them was changed since. Resolves to what `work`
   * resolves to. At most 50 at a time.
   *
   * @throws `ERR_OVERLOADED` past that, what `work` throws, and the errors of any command.
   *
   * @example
   * const done = await redis.watch('stock', async (watched) => {
   *   const left = Number(await watched.get('stock'));
   *   return left > 0 ? watched.multi().decr('stock').rpush('orders', 'o-1').exec() : [];
   * });
   * if (done === null) console.log('somebody else was faster: try again');
   */
  watch<T>(keys: Key | readonly Key[], work: (watched: WatchedRedis) => T | PromiseLike<T>): Promise<T> {
    return this.#watching.run(keys, work);
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

  /**
   * Waits for the replies of commands made before, then leaves the connection. Commands that wait on the server end with
   * `null`. Later calls reject with `ERR_CLOSED`.
   */
  close(): Promise<void> {
    this.#closing ??= Promise.all([door.call(this.#native.id, CLOSE, []), this.#locks?.close()])
      .then(() => undefined)
      .finally(() => {
        this.#monitor.close();
        this.#watching.close();
        this.#native.close();
        this.#connection.close();
      });
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  protected override send(code: number, args: readonly any[], decode?: Decode): Promise<any> {
    const outcome = super.send(code, args, decode);
    if (this.#monitor.isOn) this.#monitor.watch(code, args, outcome);
    return outcome;
  }

  protected override sentTogether(...sent: Parameters<ChainSent>): void {
    this.#monitor.watchAll(...sent);
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

  protected override describe(): string {
    return `connection to ${this.#native.describe}`;
  }
}

function checked(options: RedisServiceOptions) {
  known('options', options, OPTIONS);
  const { limits = {}, pipelineBatchSize, slowCommandThreshold, metricsInterval } = options;
  known('limits', limits, LIMITS);
  return {
    limits: {
      maxKeyLength: whole('limits.maxKeyLength', limits.maxKeyLength),
      maxValueSize: whole('limits.maxValueSize', limits.maxValueSize),
    },
    pipelineBatchSize: whole('pipelineBatchSize', pipelineBatchSize) ?? Number.POSITIVE_INFINITY,
    slowCommandThreshold: whole('slowCommandThreshold', slowCommandThreshold) ?? 100,
    metricsInterval: whole('metricsInterval', metricsInterval) ?? 60_000,
  };
}

function known(path: string, options: object, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw invalidOption(path, String(options), 'an object');
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw invalidOption(path === 'options' ? unknown : `${path}.${unknown}`, 'unknown', names.join(', '));
}

function whole(path: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= MOST)) return value;
  throw invalidOption(path, String(value), `a whole number from 1 to ${MOST}`);
}
