import { randomUUID } from 'node:crypto';
import { openConnection, type ServiceConnection } from '../connection.js';
import { createError } from '../errors.js';
import { type Decode, door, NativeRedis } from '../native.js';
import type { RedisConfig } from '../types/redis-config.js';
import { pushValues } from './command-arguments.js';
import { commandCode, OWN_CONNECTION } from './command-method.js';
import type { Key } from './command-types.js';
import { RedisCommander } from './redis-commander.js';

/** Transactions of one service that are under way at the same time. */
const MOST = 50;
/** Connections that are kept for the next one. */
const MOST_IDLE = 2;
const LONGEST_PAUSE_MS = 2_000;

const WATCH = commandCode('WATCH');
const UNWATCH = commandCode('UNWATCH');

/** A connection that nobody else uses, as long as it lasts: it does not connect again, which would forget what is watched. */
class OwnConnection {
  readonly native: NativeRedis;
  readonly #connection: ServiceConnection;
  #hasWatched = false;

  constructor(config: RedisConfig, limits: readonly (number | undefined)[]) {
    const given = config.retryStrategy;
    this.#connection = openConnection(
      {
        ...config,
        connectionName: `${config.connectionName ?? 'oxcart'}-watch-${randomUUID()}`,
        retryStrategy: (times) => {
          if (this.#hasWatched) return null;
          return given ? given(times) : Math.min(50 * 2 ** times, LONGEST_PAUSE_MS);
        },
      },
      {
        state: () => undefined,
        // Whoever uses the connection is told by its commands.
        error: () => undefined,
      },
    );
    this.native = new NativeRedis(door.native, this.#connection.json, limits[0], limits[1]);
    this.#connection.listen(this.native.id);
  }

  /** Whether the next one can have it. */
  get isAlive(): boolean {
    return this.native.state === 'READY';
  }

  /** Keys are watched: called while the reply is delivered, before any news of the connection that come after it. */
  readonly watched = (reply: unknown): unknown => {
    this.#hasWatched = true;
    return reply;
  };

  close(): void {
    this.native.close();
    this.#connection.close();
  }
}

/**
 * The connection of one `RedisService.watch`, on which keys are watched: its commands run at once, and the `exec` of its
 * `multi()` resolves to `null` when one of the keys has changed.
 */
export class WatchedRedis extends RedisCommander {
  readonly #target: number;
  readonly #watched: Decode;
  #isOver = false;

  /** @internal Made by `RedisService.watch()`. */
  constructor(target: number, prefix: string, batchSize: number, watched: Decode) {
    super(target, prefix, batchSize);
    this.#target = target;
    this.#watched = watched;
  }

  /** Watches further keys. */
  async watch(...keys: (Key | readonly Key[])[]): Promise<'OK'> {
    const args: any[] = [];
    pushValues(args, 'keys', keys);
    return await this.send(WATCH, args, this.#watched);
  }

  /** Watches none any more. */
  async unwatch(): Promise<'OK'> {
    return await this.send(UNWATCH, []);
  }

  /** @internal The connection is another's from now on. */
  end(): void {
    this.#isOver = true;
  }

  protected override send(code: number, args: readonly any[], decode?: Decode): Promise<any> {
    if (!this.#isOver) return door.call(this.#target, code | OWN_CONNECTION, args, decode);
    return Promise.reject(createError({ code: 'ERR_CLOSED', message: 'the work of this `watch` is over' }));
  }

  protected override describe(): string {
    return 'connection of a transaction';
  }
}

/** The connections on which the keys of a service's transactions are watched. */
export class WatchConnections {
  readonly #idle: OwnConnection[] = [];
  readonly #busy = new Set<OwnConnection>();
  #isClosed = false;

  constructor(
    private readonly config: RedisConfig,
    private readonly limits: readonly (number | undefined)[],
    private readonly batchSize: number,
  ) {}

  /** Runs `work` with a connection on which `keys` are watched. */
  async run<T>(keys: Key | readonly Key[], work: (redis: WatchedRedis) => T | PromiseLike<T>): Promise<T> {
    if (this.#isClosed) throw createError({ code: 'ERR_CLOSED', message: 'this RedisService is closed' });
    if (this.#busy.size >= MOST) {
      const message = `${MOST} transactions of this service already watch keys`;
      throw createError({ code: 'ERR_OVERLOADED', message, retryable: true });
    }
    const connection = this.#take();
    this.#busy.add(connection);
    const { native, watched } = connection;
    const redis = new WatchedRedis(native.id, this.config.keyPrefix ?? '', this.batchSize, watched);
    let isUsable = false;
    try {
      await redis.watch(keys);
      isUsable = true;
      return await work(redis);
    } finally {
      // What is left watched would fail the next transaction.
      if (isUsable) isUsable = (await redis.unwatch().catch(() => undefined)) === 'OK';
      redis.end();
      this.#busy.delete(connection);
      if (isUsable && !this.#isClosed && this.#idle.length < MOST_IDLE) this.#idle.push(connection);
      else connection.close();
    }
  }

  #take(): OwnConnection {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.isAlive) return idle;
      idle.close();
    }
    return new OwnConnection(this.config, this.limits);
  }

  /** Transactions that are under way end as they would. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#idle.splice(0)) connection.close();
  }
}
