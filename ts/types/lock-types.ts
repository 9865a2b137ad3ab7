import type { RedisConfig } from './redis-config.js';

/** Options of a `LockService`. */
export interface LockServiceOptions {
  /**
   * The server; or an odd number of servers that know nothing of each other, a majority of which decides, so that locks
   * outlive the loss of the others.
   */
  redis?: RedisConfig | readonly RedisConfig[];
  /** In front of every resource. Default `lock:`. */
  prefix?: string;
  /** Attempts after the first, of calls that say nothing else. Default 10; 0 to 10. */
  maxRetries?: number;
  /** Milliseconds between attempts, give or take half. Default 50; 10 to 1,000. */
  retryDelayMs?: number;
}

/** How one lock is taken. */
export interface AcquireOptions {
  /** Instead of a random one: what the lock is given back with. Taking it twice with the same one fails as with another. */
  identifier?: string;
  /** Attempts after the first. Default that of the service; 0 to 10. */
  maxRetries?: number;
  /** Milliseconds between attempts, give or take half. Default that of the service; 10 to 1,000. */
  retryDelayMs?: number;
  /** Seconds to go on trying, up to 3,600, instead of a number of retries. */
  wait?: number;
}

/** How `withLock` takes a lock. */
export interface WithLockOptions extends AcquireOptions {
  /** Seconds after which the lock is free when this process ends or stands still. Default 30; 1 to 300. */
  ttl?: number;
}

/** A lock, while its holder works. */
export interface HeldLock {
  readonly resource: string;
  /** The token with which it is held. */
  readonly id: string;
  /**
   * Higher than that of every earlier holder. A store that refuses lower numbers than the highest that it saw is safe even from
   * a holder that stood still, and whose time was over before it could be told.
   */
  readonly fencingToken: number;
  /** Aborted, with an `ERR_LOCK_LOST`, when the lock is lost, and when the service is closed. */
  readonly signal: AbortSignal;
}

/** What became of a lock. */
export enum LockStatus {
  /** It is held, and was given more time. */
  ACQUIRED = 'ACQUIRED',
  /** Somebody else holds it. */
  FAILED = 'FAILED',
  /** It was given back. */
  RELEASED = 'RELEASED',
  /** It was no longer held with that token: its time was over, or it was taken away. */
  EXPIRED = 'EXPIRED',
}
