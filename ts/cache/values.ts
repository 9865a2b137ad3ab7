import { packMessage, unpackMessage } from '../message-pack.js';
import { notStorable } from './exceptions.js';

/** How values are written. */
export type Serializer = 'json' | 'msgpack';

/** The first character of a text that stands for bytes, one a character: `BINARY` of `src/cache/format.rs`. */
const BINARY = '\u0002';

/** The text of a value: JSON, or what stands for its MessagePack. `undefined` and `null` have no place in a cache and never come here. */
export function encode(key: string, value: unknown, serializer: Serializer = 'json'): string {
  let text: string | undefined;
  let cause: unknown;
  try {
    text = serializer === 'msgpack' ? BINARY + packMessage(value).toString('latin1') : JSON.stringify(value);
  } catch (error) {
    cause = error;
  }
  if (text !== undefined) return text;
  const form = serializer === 'msgpack' ? 'MessagePack' : 'JSON';
  throw notStorable(key, form, cause instanceof Error ? cause.message : `JSON has no ${typeof value}`, cause);
}

/** The value of a stored text; throws for broken MessagePack. What is no JSON was written by someone else, and is a string. */
export function decode(text: string): unknown {
  if (isBinary(text)) return unpackMessage(Buffer.from(text.slice(BINARY.length), 'latin1'));
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Whether a text stands for MessagePack, which has no text to show. */
export function isBinary(text: string): boolean {
  return text.startsWith(BINARY);
}

/** Objects that one value may have before the rest stays unfrozen: freezing must not cost what the cache saves. */
const MOST_FROZEN = 10_000;

/** Makes a decoded value unchangeable, all the way down; `Map`, `Set`, `Date` and typed arrays cannot be, and stay as they are. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  const pending: object[] = [value];
  for (let frozen = 0; pending.length > 0 && frozen < MOST_FROZEN; frozen++) {
    const next = pending.pop()!;
    if (ArrayBuffer.isView(next)) continue;
    Object.freeze(next);
    for (const inner of Object.values(next)) if (typeof inner === 'object' && inner !== null) pending.push(inner);
  }
  return value;
}

/** A copy that shares nothing; keeps what structured clones turn into something else, such as a `Buffer`. */
export function copy(value: unknown, serializer: Serializer): unknown {
  return serializer === 'msgpack' ? unpackMessage(packMessage(value)) : structuredClone(value);
}
