import { invalidArgument, type OxcartError } from '../errors.js';
import type { Argument } from '../native.js';
import type { RedisArgument, SetOptions } from './command-types.js';
import { RedisDeserializationException, RedisSerializationException } from './redis-exceptions.js';

/** What an error says of a value that it does not repeat. */
function described(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'undefined';
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

export function wrongArgument(argument: string, value: unknown, allowed: string): OxcartError {
  return invalidArgument(argument, described(value), allowed);
}

/** A value as it is sent: text, a number or bytes. */
export function plainValue(argument: string, value: unknown): Argument {
  switch (typeof value) {
    case 'string':
    case 'bigint':
      return value;
    case 'number':
      if (!Number.isNaN(value)) return value;
      break;
    case 'object':
      if (value instanceof Uint8Array) return value;
  }
  throw wrongArgument(argument, value, 'text, a number or bytes');
}

/** A whole number, or its text. */
export function wholeNumber(argument: string, value: unknown): Argument {
  if (typeof value === 'number' && !Number.isInteger(value)) throw wrongArgument(argument, value, 'a whole number');
  // Beyond that, numbers have exponents.
  if (typeof value === 'number' && Math.abs(value) >= 1e21) return BigInt(value);
  return plainValue(argument, value);
}

/** A positive whole number, which times to live are. */
export function positive(argument: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw wrongArgument(argument, value, 'a positive integer');
  return value as number;
}

/** Appends values, of which each may be a list; returns how many they were. */
export function pushValues(into: Argument[], argument: string, values: readonly unknown[]): number {
  const before = into.length;
  for (const value of values) {
    if (typeof value === 'string') into.push(value);
    else if (Array.isArray(value)) for (const one of value) into.push(plainValue(argument, one));
    else into.push(plainValue(argument, value));
  }
  return into.length - before;
}

/** Appends names and values: of an object, of a Map, or as they are. */
export function pushPairs(into: Argument[], argument: string, values: readonly unknown[]): number {
  const [only] = values;
  if (
    values.length !== 1 ||
    typeof only !== 'object' ||
    only === null ||
    Array.isArray(only) ||
    ArrayBuffer.isView(only)
  ) {
    return pushValues(into, argument, values);
  }
  const entries = only instanceof Map ? only : Object.entries(only);
  const before = into.length;
  for (const [name, value] of entries) into.push(plainValue(argument, name), plainValue(`${argument}.${name}`, value));
  return into.length - before;
}

/** The arguments of SET. A third number is seconds to live; further words go as they are (`'EX', 10, 'NX'`). */
export function setArguments(
  key: string | Uint8Array,
  value: unknown,
  options: number | SetOptions | string | undefined,
  words: readonly (string | number)[],
): readonly Argument[] {
  const args: Argument[] = [plainValue('key', key), storedValue(value)];
  if (options === undefined) return args;
  if (typeof options === 'string') {
    args.push(options);
    pushValues(args, 'options', words);
    return args;
  }
  if (typeof options === 'number') {
    args.push('EX', positive('ttl', options));
    return args;
  }
  if (typeof options !== 'object' || options === null) {
    throw wrongArgument('options', options, 'seconds to live, or an object');
  }
  for (const option in options) {
    const given = options[option as keyof SetOptions];
    if (given === undefined) continue;
    switch (option) {
      case 'ttl':
      case 'ex':
        args.push('EX', positive(option, given));
        break;
      case 'px':
      case 'exat':
      case 'pxat':
        args.push(option.toUpperCase(), positive(option, given));
        break;
      case 'keepTtl':
      case 'nx':
      case 'xx':
      case 'get':
        if (typeof given !== 'boolean') throw wrongArgument(`options.${option}`, given, 'a boolean');
        if (given) args.push(option.toUpperCase());
        break;
      default:
        throw invalidArgument(`options.${option}`, 'unknown', 'ttl, ex, px, exat, pxat, keepTtl, nx, xx, get');
    }
  }
  return args;
}

/** A value of `set`: plain objects and lists become their JSON. */
function storedValue(value: unknown): Argument {
  if (!isJsonLike(value)) return plainValue('value', value);
  try {
    return JSON.stringify(value);
  } catch (cause) {
    const message = 'the value cannot be written as JSON';
    throw new RedisSerializationException({
      code: 'ERR_NOT_SERIALIZABLE',
      message,
      details: { argument: 'value' },
      cause,
    });
  }
}

/** Objects of classes are refused: what a `Date` or a `Map` becomes is rarely what was meant. */
function isJsonLike(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** What was stored as JSON. */
export function parsedValue(key: string | Uint8Array, text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = 'the stored value is not JSON';
    throw new RedisDeserializationException({
      code: 'ERR_NOT_SERIALIZABLE',
      message,
      details: { key: String(key) },
      cause,
    });
  }
}

/** Arguments of any command: lists among them are taken apart, one level deep. */
export function anyArguments(args: readonly (RedisArgument | readonly RedisArgument[])[]): Argument[] {
  const flat: Argument[] = [];
  for (const arg of args) {
    if (typeof arg === 'string') flat.push(arg);
    else if (Array.isArray(arg)) for (const one of arg) flat.push(plainValue(String(flat.length + 1), one));
    else flat.push(plainValue(String(flat.length + 1), arg));
  }
  return flat;
}
