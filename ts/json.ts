import { notSerializable } from './job-errors.js';

/**
 * A value as JSON text. `undefined` is written as `absent`.
 *
 * @throws `ERR_NOT_SERIALIZABLE` for a cycle, a `BigInt`, a function or a symbol; `what` stands in its message.
 */
export function toJson(value: unknown, what: string, absent: string): string {
  if (value === undefined) return absent;
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw notSerializable(what, cause);
  }
  if (text === undefined) throw notSerializable(what, new TypeError(`a ${typeof value} has no JSON form`));
  return text;
}
