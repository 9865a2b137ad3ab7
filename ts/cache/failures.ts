import { ConnectionError, OverloadedError, ReplyError, TimeoutError } from '../errors.js';
import { asCacheError } from './exceptions.js';

/** Errors of Redis that are told in a second; more are counted by nobody, the first ones say it all. */
const ERRORS_A_SECOND = 10;

/** What becomes of errors: those of Redis are told, and thrown only where the option `onError` says so; others are thrown. */
export class CacheFailures {
  readonly #throws: boolean;
  readonly #fire: (error: Error) => void;
  #until = 0;
  #told = 0;

  constructor(throws: boolean, fire: (error: Error) => void) {
    this.#throws = throws;
    this.#fire = fire;
  }

  /** The outcome; `otherwise` when Redis failed and the caller is not to hear of it. */
  async attempt<T>(outcome: Promise<T>, otherwise: T): Promise<T> {
    try {
      return await outcome;
    } catch (error) {
      this.take(error);
      return otherwise;
    }
  }

  /** Throws what the caller did wrong, or what it wants to hear; reports the rest. */
  take(error: unknown): void {
    const ofRedis =
      error instanceof ConnectionError ||
      error instanceof TimeoutError ||
      error instanceof ReplyError ||
      error instanceof OverloadedError;
    if (!ofRedis) throw error;
    this.tell(error);
    if (this.#throws) throw asCacheError(error);
  }

  tell(error: Error): void {
    const now = performance.now();
    if (now > this.#until) {
      this.#until = now + 1000;
      this.#told = 0;
    }
    if (this.#told++ < ERRORS_A_SECOND) this.#fire(error);
  }
}
