import { checkFunction, checkNumber, checkOptions, checkServiceOptions, checkText } from './arguments.js';
import { openConnection, type ServiceConnection } from './connection.js';
import { createError, type OxcartError } from './errors.js';
import { closed } from './job-errors.js';
import { KeptWork } from './kept-work.js';
import { door, NativeConcurrencyLimiter } from './native.js';
import { type DecisionRow, decisionOf } from './rate-limit-decision.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection } from './split-connection.js';
import type {
  AcquireSlotOptions,
  ConcurrencyLimiterOptions,
  HeldSlot,
  RateLimitDecision,
  SlotDecision,
} from './types/rate-limit-types.js';
import type { ConnectionState } from './types/redis-config.js';

export interface ConcurrencyLimiterEvents {
  /** The connection failed. */
  error: [error: Error];
  /** The connection changed its state. */
  state: [state: ConnectionState];
  /** A slot of `run` was lost; its `signal` is aborted. */
  lost: [slot: HeldSlot, error: OxcartError];
}

/** Calls and events; the numbers are those of `src/node/rate_limit.rs` and `src/node/holders.rs`. */
const CALL = { reset: 1, acquire: 2, peek: 3, extend: 4, release: 5 } as const;
const LOST = 0;

/**
 * How much may go on under a key at one time, for all processes together.
 *
 * {@link run} is the usual way: it extends the slot for as long as the work takes, on a native thread, so that a busy event
 * loop does not lose it. A slot whose holder died is free after `lease` seconds.
 *
 * @example
 * const exports = new ConcurrencyLimiter({ redis, limit: 3 });
 * await exports.run(`tenant:${tenant}`, { wait: 60 }, ({ signal }) => writeExport(tenant, signal));
 */
export class ConcurrencyLimiter extends ServiceEmitter<ConcurrencyLimiterEvents> implements AsyncDisposable {
  readonly #native: NativeConcurrencyLimiter;
  readonly #connection: ServiceConnection;
  readonly #limit: number;
  readonly #work = new KeptWork<HeldSlot>();
  #closing = false;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(options: ConcurrencyLimiterOptions) {
    super();
    const { redis = {}, ...engine } = checkServiceOptions(options);
    const connection = openConnection(redis, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#connection = connection;
    this.#native = onConnection(
      connection,
      () => new NativeConcurrencyLimiter(door.native, connection.json, JSON.stringify(engine)),
    );
    this.#limit = engine.limit;
    connection.listen(this.#native.id, (event, number, _, [error]) => {
      if (event === LOST) this.#lost(number, error as OxcartError);
    });
  }

  /**
   * Takes a slot.
   *
   * @returns `allowed` with the `id` to give it back with; else when to ask again at the latest.
   * @throws `ERR_INVALID_ARGUMENT`, and what the connection gives. A slot that was taken by a call without an answer is given
   *   back.
   */
  async acquire(key: string, options: AcquireSlotOptions = {}): Promise<SlotDecision> {
    return this.#acquire(key, options, null);
  }

  /** Gives a holder `lease` seconds from now. @returns Whether it still held the slot. */
  async extend(key: string, id: string): Promise<boolean> {
    return (await this.#call(CALL.extend, [checkText('key', key), checkText('id', id), null])) as boolean;
  }

  /** Gives a slot back. @returns Whether it was still held: if not, others may have worked beside it. */
  async release(key: string, id: string): Promise<boolean> {
    return (await this.#call(CALL.release, [checkText('key', key), checkText('id', id), null])) as boolean;
  }

  /**
   * Runs `work` in a slot, which is extended until `work` has ended and then given back.
   *
   * @returns What `work` returns.
   * @throws `ERR_LIMIT_REACHED` when all slots were taken to the end of the wait; `ERR_LOCK_LOST` when the slot was lost
   *   before `work` ended, unless `work` itself throws; whatever `work` throws.
   */
  run<T>(key: string, work: (slot: HeldSlot) => T | PromiseLike<T>): Promise<T>;
  run<T>(key: string, options: AcquireSlotOptions, work: (slot: HeldSlot) => T | PromiseLike<T>): Promise<T>;
  async run<T>(
    key: string,
    second: AcquireSlotOptions | ((slot: HeldSlot) => T | PromiseLike<T>),
    third?: (slot: HeldSlot) => T | PromiseLike<T>,
  ): Promise<T> {
    const [options, work] = typeof second === 'function' ? [{}, second] : [second, third];
    checkFunction(work, 'work');
    const number = this.#work.nextNumber();
    const { id, retryAfter } = await this.#acquire(key, options, number);
    if (id === null) {
      throw createError({
        code: 'ERR_LIMIT_REACHED',
        message: `all ${this.#limit} slots of \`${key}\` are taken`,
        details: { key, limit: this.#limit, retryAfter },
        retryable: true,
      });
    }
    // It came too late to be given back, and is free after its lease.
    if (this.#closing) throw closed(this.describe());
    return this.#work.run(
      number,
      (signal) => ({ key, id, signal }),
      work,
      async () => {
        if (!this.#closing) await this.#letGo(number, key, id);
      },
    );
  }

  /** How many slots are left, without taking one. */
  async peek(key: string): Promise<RateLimitDecision> {
    return decisionOf((await this.#call(CALL.peek, [checkText('key', key)])) as DecisionRow, this.#limit);
  }

  /** Takes the slots of a key from all holders. @returns Whether there were any. */
  async reset(key: string): Promise<boolean> {
    return (await this.#call(CALL.reset, [checkText('key', key)])) as boolean;
  }

  /**
   * Refuses new calls, aborts the signals of what {@link run} runs and gives its slots back, at once: wait for it first if it
   * is to end by itself. Twice is safe.
   */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const given = this.#work.all.map(([number, { key, id }]) => {
      this.#lost(number, this.#lostByClosing(key));
      return this.#letGo(number, key, id);
    });
    await Promise.all(given);
    this.#native.close();
    this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected describe(): string {
    return 'concurrency limiter';
  }

  async #acquire(key: string, options: AcquireSlotOptions, number: number | null): Promise<SlotDecision> {
    checkOptions(options, ['wait']);
    const { wait = 0 } = options;
    const args = [checkText('key', key), checkNumber('wait', wait), number];
    const row = (await this.#call(CALL.acquire, args)) as [...DecisionRow, id: string | null];
    const id = row.pop() as string | null;
    return { ...decisionOf(row as unknown as DecisionRow, this.#limit), id };
  }

  #lost(number: number, error: OxcartError): void {
    const slot = this.#work.lose(number, error);
    if (slot) this.fire('lost', slot, error);
  }

  #lostByClosing(key: string): OxcartError {
    return createError({
      code: 'ERR_LOCK_LOST',
      message: `the slot of \`${key}\` is given back: the concurrency limiter was closed`,
      details: { resource: key },
    });
  }

  /** A slot that cannot be given back now is free after its lease: no reason to hide what the work came to. */
  async #letGo(number: number, key: string, id: string): Promise<void> {
    await door.call(this.#native.id, CALL.release, [key, id, number]).catch(() => undefined);
  }

  async #call(code: number, args: (string | number | null)[]): Promise<unknown> {
    if (this.#closing) throw closed(this.describe());
    return door.call(this.#native.id, code, args);
  }
}
