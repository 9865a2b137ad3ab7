import { invalidArgument, invalidOption } from './errors.js';
import type { RateLimitDecision } from './types/rate-limit-types.js';

/** What the native core answers: see `told` in `src/node/rate_limit.rs`. */
export type DecisionRow = [allowed: boolean, remaining: number, now: number, resetAfter: number, retryAfter: number];

export function decisionOf(
  [allowed, remaining, now, resetAfter, retryAfter]: DecisionRow,
  limit: number,
): RateLimitDecision {
  return { allowed, limit, remaining, resetAt: now + resetAfter, resetAfter, retryAfter };
}

export function checkText(argument: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidArgument(argument, typeof value, 'a string');
  return value;
}

export function checkNumber(argument: string, value: unknown): number {
  if (typeof value !== 'number') throw invalidArgument(argument, typeof value, 'a number');
  return value;
}

export function checkObject<T extends object>(value: T): T {
  if (value === null || typeof value !== 'object') throw invalidOption('options', String(value), 'an object');
  return value;
}
