import type { RateLimitDecision } from './types/rate-limit-types.js';

/** What the native core answers: see `told` in `src/node/rate_limit.rs`. */
export type DecisionRow = [allowed: boolean, remaining: number, now: number, resetAfter: number, retryAfter: number];

export function decisionOf(
  [allowed, remaining, now, resetAfter, retryAfter]: DecisionRow,
  limit: number,
): RateLimitDecision {
  return { allowed, limit, remaining, resetAt: now + resetAfter, resetAfter, retryAfter };
}
