import { invalidArgument } from './errors.js';
import { type Argument, commandCode as nativeCommandCode } from './native.js';

/** What a command takes: text, numbers (sent as their decimal text) and bytes. */
export type RedisArgument = string | number | bigint | Uint8Array;

/** What `call` answers: shapes of RESP2, whatever the connection speaks. */
export type RedisReply = string | number | null | Error | RedisReply[];

/** The same with `Buffer`s in place of strings. */
export type RedisBufferReply = Buffer | number | null | Error | RedisBufferReply[];

/** When and how `set` writes. */
export interface SetOptions {
  /** Seconds to live; the same as `ex`. */
  ttl?: number;
  /** Seconds to live. */
  ex?: number;
  /** Milliseconds to live. */
  px?: number;
  /** Time of death, in seconds since 1970. */
  exat?: number;
  /** Time of death, in milliseconds since 1970. */
  pxat?: number;
  /** Keep the time to live that the key has. */
  keepTtl?: boolean;
  /** Only when the key does not exist. */
  nx?: boolean;
  /** Only when the key exists. */
  xx?: boolean;
  /** Answer the value that the key had, `null` without one, in place of `OK`. */
  get?: boolean;
}

/** In the upper half of a code: strings of the reply become Buffers. */
export const BUFFERS = 1 << 16;
/** A command that the native core does not know: its name is the first argument. */
const UNKNOWN = 0xffff;
/** Names come from programs, so they are few; text that comes from outside must not fill the memory. */
const MOST_NAMES = 4_096;
const LONGEST_NAME = 256;

const codes = new Map<string, number>();

/** The code of a command by its name, in any case. */
export function commandCode(name: string): number {
  const known = codes.get(name);
  if (known !== undefined) return known;
  if (typeof name !== 'string' || name.length > LONGEST_NAME || !/^[\x21-\x7e]+$/.test(name)) {
    const got = typeof name === 'string' ? (name === '' ? 'empty' : 'not the name of a command') : `a ${typeof name}`;
    throw invalidArgument('command', got, 'one word, such as GET; its arguments follow');
  }
  const code = nativeCommandCode(name) ?? UNKNOWN;
  if (codes.size < MOST_NAMES) codes.set(name, code);
  return code;
}

/** A command as the door takes it. */
export interface DoorCommand {
  code: number;
  args: readonly Argument[];
}

/** A command by name. Arrays among the arguments are taken apart, one level deep, as ioredis does. */
export function byName(name: string, args: readonly (RedisArgument | readonly RedisArgument[])[]): DoorCommand {
  const code = commandCode(name);
  const flat = args.some(Array.isArray) ? (args.flat() as RedisArgument[]) : (args as readonly RedisArgument[]);
  for (let index = 0; index < flat.length; index++) {
    // The door takes booleans for our own calls; for Redis there is no right text for them.
    if (typeof flat[index] === 'boolean')
      throw invalidArgument(String(index + 1), 'a boolean', 'text, a number or bytes');
  }
  return { code, args: code === UNKNOWN ? [name, ...flat] : flat };
}

/** The arguments of SET. A third number is seconds to live; further words go as they are (`'EX', 10, 'NX'`). */
export function setArguments(
  key: string | Uint8Array,
  value: RedisArgument,
  options: number | SetOptions | string | undefined,
  words: readonly (string | number)[],
): readonly Argument[] {
  if (typeof value === 'boolean') throw invalidArgument('value', 'a boolean', 'text, a number or bytes');
  if (options === undefined) return [key, value];
  if (typeof options === 'string') return [key, value, options, ...words];
  if (typeof options === 'number') return [key, value, 'EX', whole('ttl', options)];
  if (typeof options !== 'object' || options === null) {
    throw invalidArgument('options', `a ${typeof options}`, 'seconds to live, or an object');
  }
  const args: Argument[] = [key, value];
  for (const option in options) {
    const given = options[option as keyof SetOptions];
    if (given === undefined) continue;
    switch (option) {
      case 'ttl':
      case 'ex':
        args.push('EX', whole(option, given));
        break;
      case 'px':
      case 'exat':
      case 'pxat':
        args.push(option.toUpperCase(), whole(option, given));
        break;
      case 'keepTtl':
      case 'nx':
      case 'xx':
      case 'get':
        if (typeof given !== 'boolean') throw invalidArgument(`options.${option}`, `a ${typeof given}`, 'a boolean');
        if (given) args.push(option.toUpperCase());
        break;
      default:
        throw invalidArgument(`options.${option}`, 'unknown', 'ttl, ex, px, exat, pxat, keepTtl, nx, xx, get');
    }
  }
  return args;
}

/** A positive whole number, which times to live are. */
export function whole(argument: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw invalidArgument(
      argument,
      typeof value === 'number' ? String(value) : `a ${typeof value}`,
      'a positive integer',
    );
  }
  return value as number;
}

/** The keys of a variadic command: `del('a', 'b')` and `del(['a', 'b'])`. At least one. */
export function keyList(
  keys: readonly (string | Uint8Array | readonly (string | Uint8Array)[])[],
): readonly Argument[] {
  const flat = keys.length === 1 && Array.isArray(keys[0]) ? (keys[0] as Argument[]) : (keys as readonly Argument[]);
  if (flat.length === 0) throw invalidArgument('keys', 'empty', 'at least one key');
  return flat;
}
