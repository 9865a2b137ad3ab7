import { checkFunction, checkNumber, checkObject, checkOptions, checkServiceOptions, checkText } from './arguments.js';
import { type ConnectionListener, openConnection, type ServiceConnection } from './connection.js';
import { createError, type OxcartError } from './errors.js';
import { closed } from './job-errors.js';
import { KeptWork } from './kept-work.js';
import { door, NativeLocks } from './native.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection } from './split-connection.js';
import {
  type AcquireOptions,
  type HeldLock,
  type LockServiceOptions,
  LockStatus,
  type WithLockOptions,
} from './types/lock-types.js';
import type { ConnectionState, RedisConfig } from './types/redis-config.js';

export interface LockServiceEvents {
  /** A connection failed. */
  error: [error: Error];
  /** A connection changed its state. */
  state: [state: ConnectionState];
  /** A lock of `withLock` was lost; its `signal` is aborted. */
  lost: [lock: HeldLock, error: OxcartError];
}

/** Calls and events; the numbers are those of `src/node/lock.rs`. */
const CALL = { acquire: 0, release: 1, extend: 2, keep: 3, letGo: 4, ping: 5 } as const;
const LOST = 0;

const DEFAULT_TTL = 30;
const ACQUIRE_OPTIONS = ['identifier', 'maxRetries', 'retryDelayMs', 'wait'];

/**
 * Locks across processes: one holder of a resource at a time.
 *
 * {@link withLock} is the usual way: it extends the lock for as long as the work takes, on a native thread, so that a
 * busy event loop does not lose it, and tells the work when the lock is lost all the same. With {@link acquireLock}, the
 * caller sees to that.
 *
 * A lock is a key with an expiry: when the holder dies, others get in after `ttl` seconds. No such lock can stop a holder that stood
 * still for longer and does not know yet. `fencingToken` closes that gap, where what is protected can compare numbers.
 *
 * @example
 * const locks = new LockService({ redis });
 * await locks.withLock('order:456', { ttl: 30 }, async ({ signal, fencingToken }) => {
 *   await charge(order, { signal, fencingToken });
 * });
 */
export class LockService extends ServiceEmitter<LockServiceEvents> implements AsyncDisposable {
  readonly #native: NativeLocks;
  readonly #connections: ServiceConnection[];
  readonly #work = new KeptWork<HeldLock>();
  #closing = false;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(options: LockServiceOptions = {}) {
    super();
    const { redis = {}, ...engine } = checkServiceOptions(options);
    const configs: readonly RedisConfig[] = Array.isArray(redis) ? redis : [redis as RedisConfig];
    const listener: ConnectionListener = {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    };
    const connections: ServiceConnection[] = [];
    const all = {
      close: () => {
        for (const connection of connections) connection.close();
      },
    };
    this.#native = onConnection(all, () => {
      for (const config of configs) connections.push(openConnection(config, listener));
      const servers = connections.map(({ json }) => json);
      return new NativeLocks(door.native, servers, JSON.stringify(engine));
    });
    this.#connections = connections;
    connections[0]!.listen(this.#native.id, (event, number, _, [error]) => {
      if (event === LOST) this.#lost(number, error as OxcartError);
    });
  }

  /**
   * Takes a lock.
   *
   * @param ttl Seconds until others get in, unless it is extended. 1 to 300.
   * @returns What to give it back with; `null` when somebody else held it to the end of the attempts.
   * @throws `ERR_INVALID_ARGUMENT`, and what the connection gives.
   *
   * @example
   * const id = await locks.acquireLock('order:456', 30);
   * if (id === null) return;
   * try {
   *   await work();
   * } finally {
   *   await locks.releaseLock('order:456', id);
   * }
   */
  async acquireLock(resource: string, ttl: number, options: AcquireOptions = {}): Promise<string | null> {
    const answer = await this.#call(CALL.acquire, acquisition(resource, ttl, options));
    return answer === null ? null : (answer as [id: string])[0];
  }

  /**
   * Gives a lock back.
   *
   * @returns `RELEASED`; or `EXPIRED` when it was no longer held with that id: the work may have met another holder.
   */
  async releaseLock(resource: string, id: string): Promise<LockStatus> {
    const released = await this.#call(CALL.release, [checkText('resource', resource), checkText('id', id)]);
    return released ? LockStatus.RELEASED : LockStatus.EXPIRED;
  }

  /**
   * Gives a holder more time.
   *
   * @param ttl Seconds from now. 1 to 300.
   * @returns `ACQUIRED`; or `EXPIRED` when it was no longer held with that id.
   */
  async extendLock(resource: string, id: string, ttl: number): Promise<LockStatus> {
    const extended = await this.#call(CALL.extend, [
      checkText('resource', resource),
      checkText('id', id),
      seconds(ttl),
    ]);
    return extended ? LockStatus.ACQUIRED : LockStatus.EXPIRED;
  }

  /**
   * Runs `work` while holding the lock, which is extended until `work` has ended and then given back.
   *
   * @returns What `work` returns.
   * @throws `ERR_LOCK_NOT_ACQUIRED` when somebody else held it to the end of the attempts; `ERR_LOCK_LOST` when it was lost
   *   before `work` ended, unless `work` itself throws; whatever `work` throws.
   */
  withLock<T>(resource: string, work: (lock: HeldLock) => T | PromiseLike<T>): Promise<T>;
  withLock<T>(resource: string, options: WithLockOptions, work: (lock: HeldLock) => T | PromiseLike<T>): Promise<T>;
  async withLock<T>(
    resource: string,
    second: WithLockOptions | ((lock: HeldLock) => T | PromiseLike<T>),
    third?: (lock: HeldLock) => T | PromiseLike<T>,
  ): Promise<T> {
    const [options, work] = typeof second === 'function' ? [{} as WithLockOptions, second] : [second, third];
    checkFunction(work, 'work');
    const { ttl = DEFAULT_TTL, ...rest } = checkObject('options', options);
    const number = this.#work.nextNumber();
    const args = [number, ...acquisition(resource, ttl, rest)];
    const answer = (await this.#call(CALL.keep, args)) as [id: string, fencingToken: number] | null;
    if (answer === null) {
      throw createError({
        code: 'ERR_LOCK_NOT_ACQUIRED',
        message: `somebody else holds the lock of \`${resource}\``,
        details: { resource },
      });
    }
    const [id, fencingToken] = answer;
    // It came too late to be given back, and is free after its time.
    if (this.#closing) throw closed(this.describe());
    const describe = (signal: AbortSignal): HeldLock => ({ resource, id, fencingToken, signal });
    return this.#work.run(number, describe, work, async () => {
      if (!this.#closing) await this.#letGo(number, resource, id);
    });
  }

  /** Round trip to every server. */
  async ping(): Promise<string> {
    return (await this.#call(CALL.ping, [])) as string;
  }

  /**
   * Refuses new calls, aborts the signals of running {@link withLock}s and gives their locks back, at once: wait for them
   * first if they are to end by themselves. Twice is safe.
   */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const given = this.#work.all.map(([number, { resource, id }]) => {
      this.#lost(number, this.#lostByClosing(resource));
      return this.#letGo(number, resource, id);
    });
    await Promise.all(given);
    this.#native.close();
    for (const connection of this.#connections) connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected describe(): string {
    return 'lock service';
  }

  #lost(number: number, error: OxcartError): void {
    const lock = this.#work.lose(number, error);
    if (lock) this.fire('lost', lock, error);
  }

  /** A lock that cannot be given back now is free after its time: no reason to hide what the work came to. */
  async #letGo(number: number, resource: string, id: string): Promise<void> {
    await door.call(this.#native.id, CALL.letGo, [number, resource, id]).catch(() => undefined);
  }

  #lostByClosing(resource: string): OxcartError {
    return createError({
      code: 'ERR_LOCK_LOST',
      message: `the lock of \`${resource}\` is given back: the lock service was closed`,
      details: { resource },
    });
  }

  async #call(code: number, args: (string | number | null)[]): Promise<unknown> {
    if (this.#closing) throw closed(this.describe());
    return door.call(this.#native.id, code, args);
  }
}

function acquisition(resource: string, ttl: number, options: AcquireOptions): (string | number | null)[] {
  checkOptions(options, ACQUIRE_OPTIONS);
  const { identifier, maxRetries, retryDelayMs, wait } = options;
  return [
    checkText('resource', resource),
    seconds(ttl),
    identifier === undefined ? null : checkText('identifier', identifier),
    optional('maxRetries', maxRetries),
    optional('retryDelayMs', retryDelayMs),
    optional('wait', wait),
  ];
}

function seconds(ttl: unknown): number {
  return checkNumber('ttl', ttl, 'a number of seconds');
}

function optional(argument: string, value: unknown): number | null {
  return value === undefined ? null : checkNumber(argument, value);
}
