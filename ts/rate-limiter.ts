import { checkNumber, checkServiceOptions, checkText } from './arguments.js';
import { openConnection, type ServiceConnection } from './connection.js';
import {
  ConnectionError,
  invalidArgument,
  invalidOption,
  OverloadedError,
  type OxcartError,
  TimeoutError,
} from './errors.js';
import { closed } from './job-errors.js';
import { door, NativeRateLimiter } from './native.js';
import { type DecisionRow, decisionOf } from './rate-limit-decision.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection } from './split-connection.js';
import type { RateLimitDecision, RateLimitErrorPolicy, RateLimiterOptions } from './types/rate-limit-types.js';
import type { ConnectionState } from './types/redis-config.js';

export interface RateLimiterEvents {
  /** The connection failed; or a call did, and `onError` decided instead. */
  error: [error: Error];
  /** The connection changed its state. */
  state: [state: ConnectionState];
}

/** Calls; the numbers are those of `src/node/rate_limit.rs`. */
const CALL = { consume: 0, reset: 1 } as const;

const POLICIES: readonly RateLimitErrorPolicy[] = ['throw', 'allow', 'refuse'];
/** Until those are to ask again who were refused because the server could not be asked. */
const REFUSED_MS = 1_000;

/**
 * How much may be done under a key in a time, for all processes together: one call of the server each, in its time.
 *
 * What is refused counts nothing, so that who goes on asking is let in again as soon as there is room.
 *
 * @example
 * const logins = new RateLimiter({ redis, limit: 5, window: 60 });
 * const { allowed, retryAfter } = await logins.consume(`login:${email}`);
 * if (!allowed) throw new Error(`try again in ${Math.ceil(retryAfter / 1000)} seconds`);
 */
export class RateLimiter extends ServiceEmitter<RateLimiterEvents> implements AsyncDisposable {
  readonly #native: NativeRateLimiter;
  readonly #connection: ServiceConnection;
  readonly #onError: RateLimitErrorPolicy;
  readonly #most: number;
  readonly #windowMs: number;
  #closing = false;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(options: RateLimiterOptions) {
    super();
    const { redis = {}, onError = 'throw', ...engine } = checkServiceOptions(options);
    if (!POLICIES.includes(onError)) {
      throw invalidOption('onError', `\`${onError}\``, POLICIES.map((policy) => `\`${policy}\``).join(', '));
    }
    const connection = openConnection(redis, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#connection = connection;
    this.#native = onConnection(
      connection,
      () => new NativeRateLimiter(door.native, connection.json, JSON.stringify(engine)),
    );
    this.#onError = onError;
    this.#most = engine.burst ?? engine.limit;
    this.#windowMs = engine.window * 1_000;
    connection.listen(this.#native.id);
  }

  /**
   * Counts, where that is allowed.
   *
   * @param cost How much is done. Default 1; an integer from 1 to `limit`, of a bucket to `burst`.
   * @throws `ERR_INVALID_ARGUMENT`; with `onError: 'throw'`, what the connection gives. A call whose answer did not come may
   *   have counted.
   */
  async consume(key: string, cost = 1): Promise<RateLimitDecision> {
    if (checkNumber('cost', cost) < 1)
      throw invalidArgument('cost', String(cost), `an integer from 1 to ${this.#most}`);
    return this.#ask(checkText('key', key), cost);
  }

  /** What {@link consume} would say to a cost of 0: what is left, without counting. */
  async peek(key: string): Promise<RateLimitDecision> {
    return this.#ask(checkText('key', key), 0);
  }

  /** Forgets what was counted under a key. @returns Whether there was anything. */
  async reset(key: string): Promise<boolean> {
    return (await this.#call(CALL.reset, [checkText('key', key)])) as boolean;
  }

  /** Refuses new calls, and leaves the connection. Twice is safe. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#native.close();
    this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected describe(): string {
    return 'rate limiter';
  }

  async #ask(key: string, cost: number): Promise<RateLimitDecision> {
    try {
      return decisionOf((await this.#call(CALL.consume, [key, cost])) as DecisionRow, this.#most);
    } catch (error) {
      if (this.#onError === 'throw' || !isOutage(error)) throw error;
      this.fire('error', error);
      return this.#without(error);
    }
  }

  /** The decision that `onError` makes. */
  #without(error: OxcartError): RateLimitDecision {
    const allowed = this.#onError === 'allow';
    const now = this.#connection.now();
    return {
      allowed,
      limit: this.#most,
      remaining: allowed ? this.#most : 0,
      resetAt: now + this.#windowMs,
      resetAfter: this.#windowMs,
      retryAfter: allowed ? 0 : REFUSED_MS,
      error,
    };
  }

  async #call(code: number, args: (string | number)[]): Promise<unknown> {
    if (this.#closing) throw closed(this.describe());
    return door.call(this.#native.id, code, args);
  }
}

/** Whether an error says that the server could not be asked, not that the call is wrong. */
function isOutage(error: unknown): error is OxcartError {
  return error instanceof ConnectionError || error instanceof TimeoutError || error instanceof OverloadedError;
}
