import { invalidArgument } from '../errors.js';
import { type Argument, type Decode, commandCode as nativeCommandCode } from '../native.js';
import { anyArguments, plainValue, pushPairs, pushValues, wholeNumber, wrongArgument } from './command-arguments.js';
import type { RedisArgument } from './command-types.js';
import { COMMAND_ROWS, type CommandRow, type Decoder } from './commands/rows.js';

/** In the upper half of a code, as in `src/node/redis.rs`: strings of the reply become Buffers. */
export const BUFFERS = 1 << 16;
/** The command must not wait on the server. */
export const AT_ONCE = 1 << 17;
/** The command waits for {@link EXEC}. */
export const IN_TRANSACTION = 1 << 18;
/** Nobody else uses the connection. */
export const OWN_CONNECTION = 1 << 19;

/** Not commands. Ends the target once the commands before it are answered. */
export const CLOSE = 0xfffe;
/** Sends the commands of a transaction, whose number is the argument. */
export const EXEC = 0xfffd;
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

let names: Map<number, string> | undefined;

/** The name of a command by its code, whatever its flags; nothing for one that is called by its name. */
export function commandName(code: number): string | undefined {
  const plain = code & 0xffff;
  if (plain === UNKNOWN) return undefined;
  const known = names?.get(plain);
  if (known !== undefined) return known;
  names = new Map([...codes].map(([name, known]) => [known, name.toUpperCase()]));
  return names.get(plain);
}

/** A command as the door takes it. */
export interface DoorCommand {
  code: number;
  args: readonly Argument[];
}

/** A command by name. */
export function byName(name: string, given: readonly (RedisArgument | readonly RedisArgument[])[]): DoorCommand {
  const code = commandCode(name);
  const args = anyArguments(given);
  if (code === UNKNOWN) args.unshift(name);
  return { code, args };
}

/** A number that the server sent as text. */
export const toNumber = (value: unknown): unknown => {
  if (value === null || typeof value === 'number') return value;
  const text = String(value);
  return text.endsWith('inf') ? (text[0] === '-' ? -Infinity : Infinity) : Number(text);
};

const toBoolean = (value: unknown): boolean => value === 1;

/** Names and values in turn, as an object. Names that are special to objects (`__proto__`) are fields like others. */
function toObject(flat: unknown): unknown {
  if (!Array.isArray(flat)) return flat;
  const object: Record<string, unknown> = {};
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = typeof flat[at] === 'string' ? (flat[at] as string) : String(flat[at]);
    if (name === '__proto__')
      Object.defineProperty(object, name, {
        value: flat[at + 1],
        enumerable: true,
        configurable: true,
        writable: true,
      });
    else object[name] = flat[at + 1];
  }
  return object;
}

const each = (decode: Decode) => (list: unknown) => (Array.isArray(list) ? list.map(decode) : list);

const DECODERS: Record<Decoder, Decode | undefined> = {
  '': undefined,
  bool: toBoolean,
  bools: each(toBoolean),
  number: toNumber,
  numbers: each(toNumber),
  map: toObject,
};

interface Parameter {
  name: string;
  kind: string;
  /** The word that stands for true. */
  word: string;
}

/** A method that is a command: makes arguments of what it was given. */
export class CommandMethod {
  readonly name: string;
  /** Makes the result of the reply. */
  readonly decode: Decode | undefined;
  readonly hasBuffers: boolean;
  /** Whether it waits on the server, on a connection of its own. */
  readonly blocks: boolean;
  readonly #text: string;
  readonly #required: number;
  #parameters: readonly Parameter[] | undefined;
  #code: number | undefined;
  /** How many arguments it has when that is always the same, and each is one word; -1 otherwise. */
  #simple = -1;

  constructor([name, parameters, required, decoder, hasBuffers, , blocks]: CommandRow) {
    this.name = name;
    this.#text = parameters;
    this.#required = required;
    this.decode = DECODERS[decoder];
    this.hasBuffers = hasBuffers;
    this.blocks = blocks;
  }

  get code(): number {
    return (this.#code ??= commandCode(this.name.toUpperCase()));
  }

  /** The arguments of the command. */
  args(given: readonly unknown[]): readonly Argument[] {
    const parameters = this.#parameters ?? this.#parse();
    if (given.length === this.#simple && given.every((one) => typeof one === 'string')) {
      return given as readonly string[];
    }
    const args: Argument[] = [];
    let at = 0;
    for (let index = 0; index < parameters.length; index++) {
      const { name, kind, word } = parameters[index]!;
      if (isRest(kind)) {
        const end = Math.max(at, given.length - (parameters.length - index - 1));
        const values = given.slice(at, end);
        const count = kind === 'P' ? pushPairs(args, name, values) : pushValues(args, name, values);
        if (count === 0 && !kind.endsWith('*')) throw invalidArgument(name, 'empty', 'at least one');
        at = end;
        continue;
      }
      const value = given[at];
      if (kind === 'f') {
        // Without a boolean the options begin here.
        if (typeof value === 'boolean' || value === undefined) {
          if (value === true) args.push(word);
          at++;
        }
        continue;
      }
      at++;
      if (value === undefined && index >= this.#required) continue;
      args.push(one(name, kind, value));
    }
    if (at < given.length) {
      const names = parameters.map(({ name }) => name).join(', ');
      throw invalidArgument(String(at + 1), 'one too many', names === '' ? 'none' : names);
    }
    return args;
  }

  #parse(): readonly Parameter[] {
    const parameters = this.#text
      .split(' ')
      .filter((word) => word !== '')
      .map((word) => {
        const [name, kind] = word.split(':') as [string, string];
        return kind[0] === 'f' ? { name, kind: 'f', word: kind.slice(1) } : { name, kind, word: '' };
      });
    const isSimple = parameters.length === this.#required && parameters.every(({ kind }) => 'kvt'.includes(kind));
    if (isSimple) this.#simple = parameters.length;
    this.#parameters = parameters;
    return parameters;
  }
}

function isRest(kind: string): boolean {
  return kind[0] === 'K' || kind[0] === 'V' || kind === 'P';
}

function one(name: string, kind: string, value: unknown): Argument {
  if (typeof value === 'string') return value;
  if (kind === 'i') return wholeNumber(name, value);
  if (kind === 't') throw wrongArgument(name, value, 'text');
  return plainValue(name, value);
}

/** Every method that is a command, by its name; those written by hand are not among them. */
export const METHODS: ReadonlyMap<string, CommandMethod> = new Map(
  COMMAND_ROWS.filter(([, , , , , byHand]) => !byHand).map((row) => [row[0], new CommandMethod(row)]),
);

/** Gives a class the methods, each of which calls `run` with itself, what it was given, and flags of the code. */
export function installMethods<T extends object>(
  prototype: T,
  methods: Iterable<CommandMethod>,
  run: (self: T, method: CommandMethod, given: readonly unknown[], flags: number) => unknown,
): void {
  for (const method of methods) {
    const { name } = method;
    define(prototype, name, function (this: T, ...given: unknown[]) {
      return run(this, method, given, 0);
    });
    if (!method.hasBuffers) continue;
    define(prototype, `${name}Buffer`, function (this: T, ...given: unknown[]) {
      return run(this, method, given, BUFFERS);
    });
  }
}

function define(prototype: object, name: string, value: (...given: unknown[]) => unknown): void {
  Object.defineProperty(value, 'name', { value: name });
  Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
}
