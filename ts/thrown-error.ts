import { inspect } from 'node:util';

/** What was thrown, as an error; other values stand in its message and are its cause. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  const told = typeof thrown === 'string' ? thrown : inspect(thrown, { depth: 2, breakLength: Infinity });
  return new Error(told, { cause: thrown });
}
