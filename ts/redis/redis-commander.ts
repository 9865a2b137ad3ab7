import { type Decode, door } from '../native.js';
import { ServiceEmitter } from '../service-emitter.js';
import type { ConnectionState } from '../types/redis-config.js';
import { parsedValue, plainValue, setArguments, wrongArgument } from './command-arguments.js';
import type { ChainSent } from './command-chain.js';
import { BUFFERS, byName, commandCode, installMethods, METHODS, toNumber } from './command-method.js';
import type { CommandMetrics, SlowCommand } from './command-monitor.js';
import type {
  Key,
  RedisArgument,
  RedisBufferReply,
  RedisReply,
  ScanKeysOptions,
  ScanOptions,
  SetOptions,
} from './command-types.js';
import type { RedisCommands } from './commands/redis-commands.js';
import { KeyPrefix } from './key-prefix.js';
import { Pipeline } from './pipeline.js';
import { RedisScript, type ScriptDefinition } from './redis-script.js';
import { Transaction } from './transaction.js';

/** What a `RedisService` reports. */
export interface RedisEvents {
  /** The connection failed, or the `retryStrategy` did. Without a listener it is one process warning for each code. */
  error: [error: Error];
  /** The connection changed its state. */
  state: [state: ConnectionState];
  /** A command took longer than `slowCommandThreshold`. Measured only while somebody listens. */
  slow: [command: SlowCommand];
  /** What commands did since the last time, every `metricsInterval`. Measured only while somebody listens. */
  metrics: [metrics: CommandMetrics];
}

/** What is walked through at a time. */
const PAGE = 100;
/** How often the server is asked for any key before one of ours is looked for. */
const RANDOM_TRIES = 16;

export interface RedisCommander extends RedisCommands {}

/** Commands over one connection. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the methods are installed from the table of commands
export abstract class RedisCommander extends ServiceEmitter<RedisEvents> {
  readonly #target: number;
  readonly #prefix: KeyPrefix;
  readonly #batchSize: number;

  static {
    installMethods(RedisCommander.prototype, METHODS.values(), (self, method, given, flags) => {
      try {
        const code = method.code | flags;
        return self.send(code, method.args(given), self.#prefix.decode(code, method.decode));
      } catch (error) {
        // Methods that return promises do not throw.
        return Promise.reject(error);
      }
    });
  }

  constructor(target: number, prefix: string, batchSize: number) {
    super();
    this.#target = target;
    this.#prefix = new KeyPrefix(prefix);
    this.#batchSize = batchSize;
  }

  /** Any command by name: `call('HSET', 'key', 'field', 'value')`. Lists among the arguments are taken apart. */
  async call(command: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisReply> {
    const { code, args: given } = byName(command, args);
    return await this.send(code, given, this.#prefix.decode(code, undefined));
  }

  /** The same; strings of the reply are Buffers. */
  async callBuffer(command: string, ...args: (RedisArgument | readonly RedisArgument[])[]): Promise<RedisBufferReply> {
    const { code, args: given } = byName(command, args);
    return await this.send(code | BUFFERS, given, this.#prefix.decode(code, undefined));
  }

  /** The value of a key, `null` without one. With `parse` it is read as JSON, which {@link set} makes of objects. */
  get(key: Key): Promise<string | null>;
  get<T = unknown>(key: Key, options: { parse: true }): Promise<T | null>;
  get(key: Key, options?: { parse?: boolean }): Promise<string | null>;
  get(key: Key, options?: { parse?: boolean }): Promise<any> {
    if (options === undefined && typeof key === 'string') return this.send(GET, [key]);
    return attempt(() => {
      if (options === undefined) return this.send(GET, [plainValue('key', key)]);
      if (typeof options !== 'object' || options === null) throw wrongArgument('options', options, 'an object');
      const decode = options.parse ? (text: string | null) => parsedValue(key, text) : undefined;
      return this.send(GET, [plainValue('key', key)], decode);
    });
  }

  /** The bytes of a key, `null` without one. */
  getBuffer(key: Key): Promise<Buffer | null> {
    return attempt(() => this.send(GET | BUFFERS, [plainValue('key', key)]));
  }

  /**
   * Writes a value; a plain object or a list as its JSON. Options are seconds to live (`set(key, value, 60)`), an object
   * (`{ ttl: 60, nx: true }`), or the words of the command (`'EX', 60, 'NX'`). Resolves to `OK`, or to `null` when `nx` or
   * `xx` kept it from writing; with `get`, to the value before.
   */
  set(key: Key, value: RedisArgument | object): Promise<'OK'>;
  set(key: Key, value: RedisArgument | object, ttlSeconds: number): Promise<'OK'>;
  set(key: Key, value: RedisArgument | object, options: SetOptions & { get: true }): Promise<string | null>;
  set(key: Key, value: RedisArgument | object, options: SetOptions): Promise<'OK' | null>;
  set(key: Key, value: RedisArgument | object, ttlSeconds?: number): Promise<void>;
  set(key: Key, value: RedisArgument | object, word: string, ...words: (string | number)[]): Promise<string | null>;
  set(
    key: Key,
    value: RedisArgument | object,
    options?: number | SetOptions | string,
    ...words: (string | number)[]
  ): Promise<any> {
    return attempt(() => this.send(SET, setArguments(key, value, options, words)));
  }

  /**
   * The keys that match a pattern, found by `SCAN` in steps that let others in between (never by `KEYS`), each once. The
   * names are without the `keyPrefix`. For many keys, {@link scanIterator} needs less memory.
   */
  async keys(pattern: string): Promise<string[]> {
    if (typeof pattern !== 'string') throw wrongArgument('pattern', pattern, 'a pattern, such as `user:*`');
    const found = new Set<string>();
    for await (const page of this.#pages('SCAN', [], { match: pattern, count: 1000 })) {
      for (const key of page) found.add(key);
    }
    return [...found];
  }

  /** A key at random, `null` when there is none; with a `keyPrefix` one that has it, named without. */
  async randomkey(): Promise<string | null> {
    // Without a decoder of the prefix: whether a key is ours shows in its full name.
    for (let attempt = 0; attempt < RANDOM_TRIES; attempt++) {
      const key: string | null = await this.send(RANDOMKEY, []);
      if (key === null || this.#prefix.has(key)) return this.#prefix.strip(key) as string | null;
    }
    for await (const page of this.#pages('SCAN', [], { count: 1000 })) {
      if (page.length > 0) return page[Math.floor(Math.random() * page.length)]!;
    }
    return null;
  }

  /**
   * All keys, some at a time while they are asked for. A key that is there all along is given at least once; one that
   * comes, goes or moves meanwhile may be given, left out, or given twice.
   *
   * @example
   * for await (const key of redis.scanIterator({ match: 'session:*' })) await redis.expire(key, 60);
   */
  async *scanIterator(options: ScanKeysOptions = {}): AsyncGenerator<string, void, undefined> {
    for await (const page of this.#pages('SCAN', [], options)) yield* page;
  }

  /** All members of a set, in the same way. */
  async *sscanIterator(key: Key, options: ScanOptions = {}): AsyncGenerator<string, void, undefined> {
    for await (const page of this.#pages('SSCAN', [key], options)) yield* page;
  }

  /** All fields of a hash with their values, in the same way. */
  async *hscanIterator(
    key: Key,
    options: ScanOptions = {},
  ): AsyncGenerator<[field: string, value: string], void, undefined> {
    for await (const page of this.#pages('HSCAN', [key], options)) {
      for (let at = 0; at + 1 < page.length; at += 2) yield [page[at]!, page[at + 1]!];
    }
  }

  /** All members of a sorted set with their scores, in the same way. */
  async *zscanIterator(
    key: Key,
    options: ScanOptions = {},
  ): AsyncGenerator<[member: string, score: number], void, undefined> {
    for await (const page of this.#pages('ZSCAN', [key], options)) {
      for (let at = 0; at + 1 < page.length; at += 2) yield [page[at]!, toNumber(page[at + 1]) as number];
    }
  }

  /**
   * Removes the keys that match a pattern, found as by {@link keys}, some at a time; their memory is freed in the
   * background. Resolves to how many were removed.
   */
  async deleteByPattern(pattern: string): Promise<number> {
    if (typeof pattern !== 'string') throw wrongArgument('pattern', pattern, 'a pattern, such as `user:*`');
    let removed = 0;
    for await (const page of this.#pages('SCAN', [], { match: pattern, count: 1000 })) {
      if (page.length > 0) removed += await this.unlink(page);
    }
    return removed;
  }

  /** Collects commands to send together. */
  pipeline(): Pipeline {
    return new Pipeline(this.#target, this.#prefix, this.#batchSize, (...sent) => this.sentTogether(...sent));
  }

  /** Collects commands to run as one. */
  multi(): Transaction {
    return new Transaction(this.#target, this.#prefix, (...sent) => this.sentTogether(...sent));
  }

  /**
   * A script to run by its digest.
   *
   * @example
   * const take = redis.defineScript({ numberOfKeys: 1, lua: "return redis.call('LPOP', KEYS[1])" });
   * const first = await take.run(['jobs']);
   */
  defineScript(definition: ScriptDefinition): RedisScript {
    return new RedisScript(definition, (command, args, asBuffers) =>
      this.send(commandCode(command) | (asBuffers ? BUFFERS : 0), args),
    );
  }

  /** @internal Hears of a pipeline or transaction. */
  protected sentTogether(..._sent: Parameters<ChainSent>): void {}

  /** @internal Sends a command. */
  protected send(code: number, args: readonly any[], decode?: Decode): Promise<any> {
    return door.call(this.#target, code, args, decode);
  }

  async *#pages(command: string, key: readonly Key[], options: ScanKeysOptions): AsyncGenerator<string[]> {
    if (typeof options !== 'object' || options === null) throw wrongArgument('options', options, 'an object');
    const { match, count = PAGE, type } = options;
    const words: RedisArgument[] = [];
    if (match !== undefined) words.push('MATCH', plainValue('options.match', match) as RedisArgument);
    if (!Number.isSafeInteger(count) || count < 1) throw wrongArgument('options.count', count, 'a positive integer');
    words.push('COUNT', count);
    if (type !== undefined) words.push('TYPE', plainValue('options.type', type) as RedisArgument);
    let cursor = '0';
    do {
      const [next, page] = (await this.call(command, ...key, cursor, ...words)) as [string, string[]];
      cursor = next;
      yield page;
    } while (cursor !== '0');
  }
}

const GET = commandCode('GET');
const SET = commandCode('SET');
const RANDOMKEY = commandCode('RANDOMKEY');

function attempt<T>(start: () => Promise<T>): Promise<T> {
  try {
    return start();
  } catch (error) {
    return Promise.reject(error);
  }
}
