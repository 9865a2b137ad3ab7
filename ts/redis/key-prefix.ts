import type { Decode } from '../native.js';
import { commandCode } from './command-method.js';

type Strip = (name: unknown) => unknown;

/** Replies that name keys, and where. A caller that uses a `keyPrefix` gets the names that it gave. */
const NAMING: Record<string, (reply: any, strip: Strip) => unknown> = {
  KEYS: all,
  RANDOMKEY: (name, strip) => strip(name),
  SCAN: (reply, strip) => [reply[0], all(reply[1], strip)],
};
for (const name of ['BLPOP', 'BRPOP', 'BLMPOP', 'LMPOP', 'BZPOPMIN', 'BZPOPMAX', 'BZMPOP', 'ZMPOP'])
  NAMING[name] = first;
for (const name of ['XREAD', 'XREADGROUP']) {
  NAMING[name] = (streams, strip) => streams.map((stream: unknown[]) => first(stream, strip));
}

function all(names: unknown[], strip: Strip): unknown[] {
  return names.map(strip);
}

function first([key, ...rest]: unknown[], strip: Strip): unknown[] {
  return [strip(key), ...rest];
}

/** Takes a `keyPrefix` off the names of keys in replies. */
export class KeyPrefix {
  readonly #text: string;
  readonly #bytes: Buffer;
  readonly #naming = new Map<number, (reply: any, strip: Strip) => unknown>();

  constructor(prefix: string) {
    this.#text = prefix;
    this.#bytes = Buffer.from(prefix);
    if (prefix === '') return;
    for (const [name, take] of Object.entries(NAMING)) this.#naming.set(commandCode(name), take);
  }

  get isEmpty(): boolean {
    return this.#text === '';
  }

  /** What takes the prefix off the reply of a command, before `decode`. */
  decode(code: number, decode: Decode | undefined): Decode | undefined {
    if (this.#naming.size === 0) return decode;
    const take = this.#naming.get(code & 0xffff);
    if (take === undefined) return decode;
    return (reply) => {
      const stripped = reply === null || typeof reply === 'number' ? reply : take(reply, this.strip);
      return decode ? decode(stripped) : stripped;
    };
  }

  /** The name of a key without the prefix, if it has it. */
  readonly strip = (name: unknown): unknown => {
    if (typeof name === 'string') return name.startsWith(this.#text) ? name.slice(this.#text.length) : name;
    const has = Buffer.isBuffer(name) && name.subarray(0, this.#bytes.length).equals(this.#bytes);
    return has ? (name as Buffer).subarray(this.#bytes.length) : name;
  };

  /** Whether the service's own keys have this name. */
  has(name: string | Buffer): boolean {
    return typeof name === 'string'
      ? name.startsWith(this.#text)
      : name.subarray(0, this.#bytes.length).equals(this.#bytes);
  }
}
