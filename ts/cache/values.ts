import { createError } from '../errors.js';

/** The JSON text of a value. `undefined` and `null` have no place in a cache and never come here. */
export function encode(key: string, value: unknown): string {
  let text: string | undefined;
  let cause: unknown;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    cause = error;
  }
  if (text !== undefined) return text;
  const why = cause instanceof Error ? cause.message : `JSON has no ${typeof value}`;
  throw createError({
    code: 'ERR_NOT_SERIALIZABLE',
    message: `the value of cache key \`${key.slice(0, 64)}\` cannot be written as JSON: ${why}`,
    details: { key: key.slice(0, 512) },
    cause,
  });
}

/** The value of a stored text. What is no JSON was written by someone else, and is a string. */
export function decode(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Objects that one value may have before the rest stays unfrozen: freezing must not cost what the cache saves. */
const MOST_FROZEN = 10_000;

/** Makes a decoded JSON value unchangeable, all the way down. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  const pending: object[] = [value];
  for (let frozen = 0; pending.length > 0 && frozen < MOST_FROZEN; frozen++) {
    const next = pending.pop()!;
    Object.freeze(next);
    for (const inner of Object.values(next)) if (typeof inner === 'object' && inner !== null) pending.push(inner);
  }
  return value;
}
