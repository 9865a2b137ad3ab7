import type { OxcartError } from '../errors.js';
import type { RedisConfig } from './redis-config.js';

/**
 * How a `RateLimiter` counts.
 *
 * - `fixed-window`: windows begin with their first call. The cheapest; twice the limit may pass around the end of one.
 * - `sliding-window`: the window ends now. Two counters for each key: the calls of the slot before weigh as if they had come
 *   evenly.
 * - `token-bucket`: `limit` tokens flow into a bucket in a window, evenly; it holds `burst` of them.
 */
export type RateLimitAlgorithm = 'fixed-window' | 'sliding-window' | 'token-bucket';

/** What becomes of a call when the server cannot be asked: the error, yes, or no. */
export type RateLimitErrorPolicy = 'throw' | 'allow' | 'refuse';

/** Options of a `RateLimiter`. */
export interface RateLimiterOptions {
  /** The server; its database is that of the role `rateLimit`, 2 unless it is given. */
  redis?: RedisConfig;
  /** Default `sliding-window`. */
  algorithm?: RateLimitAlgorithm;
  /** How much is allowed in a window. An integer from 1 to 1,000,000,000. */
  limit: number;
  /** Seconds, 0.1 to 31,536,000. */
  window: number;
  /** What the bucket of `token-bucket` holds. Default `limit`. */
  burst?: number;
  /** In front of every key. Default `rate_limit:`. */
  prefix?: string;
  /** Milliseconds that the server is waited for. Default 1,000; 10 to 60,000. */
  timeout?: number;
  /** Default `throw`. With the others, the error is emitted as `error` and stands in the decision. */
  onError?: RateLimitErrorPolicy;
}

/** What a limiter says. Times are the server's. */
export interface RateLimitDecision {
  readonly allowed: boolean;
  /** How much is allowed at once when nothing was done yet: `limit`, of a bucket `burst`. */
  readonly limit: number;
  /** How much of it is left. */
  readonly remaining: number;
  /** When nothing counts any more that was done so far, in milliseconds since 1970. */
  readonly resetAt: number;
  /** Milliseconds until {@link resetAt}. */
  readonly resetAfter: number;
  /** Milliseconds until it would be allowed, if nobody else asked; 0 when it is. */
  readonly retryAfter: number;
  /** Why the server could not be asked, where `onError` decided instead. */
  readonly error?: OxcartError;
}

/** Options of a `ConcurrencyLimiter`. */
export interface ConcurrencyLimiterOptions {
  /** The server; its database is that of the role `rateLimit`, 2 unless it is given. */
  redis?: RedisConfig;
  /** How many slots each key has. An integer from 1 to 100,000. */
  limit: number;
  /** Seconds until a slot is free whose holder died. Default 30; 1 to 300. */
  lease?: number;
  /** In front of every key. Default `concurrency:`. */
  prefix?: string;
  /** Milliseconds that the server is waited for. Default 1,000; 10 to 60,000. */
  timeout?: number;
  /** Milliseconds between attempts while a call waits for a slot, give or take half. Default 50; 10 to 1,000. */
  retryDelayMs?: number;
}

/** How a slot is taken. */
export interface AcquireSlotOptions {
  /** Seconds to wait for one, up to 3,600. Default 0. */
  wait?: number;
}

/** What a concurrency limiter says of a slot. */
export interface SlotDecision extends RateLimitDecision {
  /** What the slot is given back with; `null` without one. */
  readonly id: string | null;
}

/** A slot, while its holder works. */
export interface HeldSlot {
  readonly key: string;
  readonly id: string;
  /** Aborted, with an `ERR_LOCK_LOST`, when the slot is lost, and when the limiter is closed. */
  readonly signal: AbortSignal;
}

/** How requests are limited. */
export interface RateLimitMiddlewareOptions<Request> {
  /** Under what a request counts. Default: the address of the client, as `ip:` and `request.ip`. */
  key?: (request: Request) => string | PromiseLike<string>;
  /** How much a request costs. Default 1. */
  cost?: number | ((request: Request) => number);
  /** Which requests are not counted. Default none. */
  skip?: (request: Request) => boolean | PromiseLike<boolean>;
  /** Whether answers say what is left: `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset`. Default true. */
  headers?: boolean;
  /** The body of a refusal, as JSON. Default `{ statusCode: 429, error: 'Too Many Requests', message }`. */
  body?: (decision: RateLimitDecision) => unknown;
}
