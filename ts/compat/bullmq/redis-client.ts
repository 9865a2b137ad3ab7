import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import { invalidArgument } from '../../errors.js';
import type { RedisArgument } from '../../redis/command-types.js';
import { RedisService } from '../../redis.js';
import type { ConnectionState, RedisConfig } from '../../types/redis-config.js';
import { RedisTransaction } from './redis-transaction.js';

/** What ioredis calls the states of a connection. */
const STATUS: Record<ConnectionState, string> = {
  CONNECTING: 'connecting',
  CONNECTED: 'connect',
  READY: 'ready',
  DISCONNECTING: 'close',
  DISCONNECTED: 'end',
  RECONNECTING: 'reconnecting',
  ERROR: 'end',
};

/** Between two looks of a command that waits: no connection is blocked for it. */
const LOOK_MS = 25;

interface DefinedCommand {
  numberOfKeys: number;
  lua: string;
}

/**
 * Commands to the queue's Redis by the methods of BullMQ's raw client, over the connection that everything here shares.
 * It connects when it is first used. A method that waits (`bzpopmin`, `xread` with `BLOCK`) looks again and again, so
 * that nobody else waits for it.
 */
export class RedisClient extends EventEmitter {
  readonly isCluster = false;
  readonly options: Record<string, any>;
  readonly #config: RedisConfig;
  readonly #commands = new Map<string, DefinedCommand>();
  #service: RedisService | undefined;
  #isEnded = false;

  constructor(config: RedisConfig) {
    super();
    this.#config = config;
    this.options = { ...config };
  }

  get status(): string {
    if (this.#isEnded) return 'end';
    return this.#service ? STATUS[this.#service.state] : 'wait';
  }

  async connect(): Promise<void> {
    await this.#redis.ping();
  }

  /** Lets the connection go. */
  disconnect(): void {
    void this.quit();
  }

  /** Waits for the replies of commands made before, then lets the connection go. */
  async quit(): Promise<string> {
    this.#isEnded = true;
    await this.#service?.close();
    return 'OK';
  }

  duplicate(): RedisClient {
    return new RedisClient(this.#config);
  }

  /** Gives a script a name, for {@link runCommand}. */
  defineCommand(name: string, definition: DefinedCommand): void {
    this.#commands.set(name, definition);
  }

  /** Runs a script by its name: its keys, then its arguments. */
  async runCommand(name: string, args: any[]): Promise<any> {
    const command = this.#commands.get(name);
    if (!command) throw invalidArgument('name', `\`${name}\``, 'the name of a command that defineCommand has defined');
    return this.call('EVAL', command.lua, command.numberOfKeys, ...args.map(plain));
  }

  /** Any command by name. */
  call(command: string, ...args: RedisArgument[]): Promise<any> {
    return this.#redis.call(command, ...args);
  }

  /** Commands that are sent together and run as one. */
  multi(): RedisTransaction {
    return new RedisTransaction((commands) => RedisTransaction.asOne(this, commands));
  }

  /** Commands that are sent together. */
  pipeline(): RedisTransaction {
    return new RedisTransaction(async (commands) => {
      const pipeline = this.#redis.pipeline();
      for (const [name, ...args] of commands) pipeline.call(name as string, ...args);
      return (await pipeline.exec()) as [Error | null, unknown][];
    });
  }

  async hgetall(key: string): Promise<Record<string, string>> {
    return RedisTransaction.object(await this.call('HGETALL', key));
  }

  hget(key: string, field: string): Promise<string | null> {
    return this.call('HGET', key, field);
  }

  hmget(key: string, ...fields: string[]): Promise<(string | null)[]> {
    return this.call('HMGET', key, ...fields);
  }

  hset(key: string, data: Record<string, string | number>): Promise<number> {
    return this.call('HSET', key, ...Object.entries(data).flat());
  }

  hdel(key: string, ...fields: string[]): Promise<number> {
    return this.call('HDEL', key, ...fields);
  }

  hexists(key: string, field: string): Promise<number> {
    return this.call('HEXISTS', key, field);
  }

  get(key: string): Promise<string | null> {
    return this.call('GET', key);
  }

  set(key: string, value: string | number, options: { PX?: number; EX?: number } = {}): Promise<string | null> {
    const life = Object.entries(options).flatMap(([unit, time]) => (time === undefined ? [] : [unit, time]));
    return this.call('SET', key, value, ...life);
  }

  del(...keys: string[]): Promise<number> {
    return this.call('DEL', ...keys);
  }

  zrange(key: string, start: number, end: number, options: { WITHSCORES?: boolean } = {}): Promise<string[]> {
    return this.call('ZRANGE', key, start, end, ...(options.WITHSCORES ? ['WITHSCORES'] : []));
  }

  zrevrange(key: string, start: number, end: number, options: { WITHSCORES?: boolean } = {}): Promise<string[]> {
    return this.call('ZREVRANGE', key, start, end, ...(options.WITHSCORES ? ['WITHSCORES'] : []));
  }

  zcard(key: string): Promise<number> {
    return this.call('ZCARD', key);
  }

  zscore(key: string, member: string): Promise<string | null> {
    return this.call('ZSCORE', key, member);
  }

  lrange(key: string, start: number, end: number): Promise<string[]> {
    return this.call('LRANGE', key, start, end);
  }

  llen(key: string): Promise<number> {
    return this.call('LLEN', key);
  }

  ltrim(key: string, start: number, end: number): Promise<string> {
    return this.call('LTRIM', key, start, end);
  }

  lpos(key: string, value: string): Promise<number | null> {
    return this.call('LPOS', key, value);
  }

  smembers(key: string): Promise<string[]> {
    return this.call('SMEMBERS', key);
  }

  xadd(
    key: string,
    id: string,
    fields: Record<string, string | number>,
    options: { MAXLEN?: number; approximate?: boolean } = {},
  ): Promise<string> {
    return this.call('XADD', key, ...bound(options.MAXLEN, options.approximate), id, ...Object.entries(fields).flat());
  }

  async xread(
    streams: { key: string; id: string }[],
    options: { BLOCK?: number; COUNT?: number } = {},
  ): Promise<[key: string, entries: [id: string, fields: string[]][]][] | null> {
    const count = options.COUNT === undefined ? [] : ['COUNT', options.COUNT];
    const ids = await Promise.all(streams.map(({ key, id }) => (id === '$' ? this.#lastId(key) : id)));
    const read = () => this.call('XREAD', ...count, 'STREAMS', ...streams.map(({ key }) => key), ...ids);
    if (options.BLOCK === undefined) return read();
    return this.#until(options.BLOCK, read);
  }

  xtrim(key: string, strategy: 'MAXLEN', threshold: number, options: { approximate?: boolean } = {}): Promise<number> {
    return this.call('XTRIM', key, strategy, ...(options.approximate ? ['~'] : []), threshold);
  }

  /** `timeout` in seconds; 0: until the client ends. */
  bzpopmin(key: string, timeout: number): Promise<[key: string, member: string, score: string] | null> {
    return this.#until(timeout * 1000, async () => {
      const [member, score] = (await this.call('ZPOPMIN', key)) as [string?, string?];
      return member === undefined ? null : [key, member, score as string];
    });
  }

  info(): Promise<string> {
    return this.call('INFO');
  }

  /** A connection that is shared keeps the name that it was opened with: refused. */
  async clientSetName(name: string): Promise<never> {
    throw invalidArgument('name', `\`${name}\``, 'the option `connectionName` of the connection');
  }

  clientList(): Promise<string> {
    return this.call('CLIENT', 'LIST');
  }

  clientInfo(): Promise<string> {
    return this.call('CLIENT', 'INFO');
  }

  scan(cursor: string | number, options: { MATCH?: string; COUNT?: number } = {}): Promise<[string, string[]]> {
    const words = Object.entries(options).flatMap(([word, value]) => (value === undefined ? [] : [word, value]));
    return this.call('SCAN', cursor, ...words);
  }

  /** The keys that match, some at a time. */
  scanStream(options: { match: string; count?: number }): Readable {
    return Readable.from(this.#pages(options), { objectMode: true });
  }

  async *#pages(options: { match: string; count?: number }): AsyncGenerator<string[]> {
    let cursor = '0';
    do {
      const [next, keys] = await this.scan(cursor, { MATCH: options.match, COUNT: options.count ?? 100 });
      cursor = next;
      yield keys;
    } while (cursor !== '0');
  }

  get #redis(): RedisService {
    if (!this.#service) {
      this.#service = new RedisService(this.#config);
      this.#service.on('state', (state) => void this.emit(STATUS[state]));
      this.#service.on('error', (error) => {
        if (this.listenerCount('error') > 0) this.emit('error', error);
      });
      if (this.#isEnded) void this.#service.close();
    }
    return this.#service;
  }

  async #lastId(key: string): Promise<string> {
    const [last] = (await this.call('XREVRANGE', key, '+', '-', 'COUNT', 1)) as [string, unknown][];
    return last?.[0] ?? '0-0';
  }

  async #until<T>(waitMs: number, look: () => Promise<T | null>): Promise<T | null> {
    const end = waitMs <= 0 ? Number.POSITIVE_INFINITY : performance.now() + waitMs;
    for (;;) {
      const found = await look();
      if (found !== null || this.#isEnded || performance.now() >= end) return found;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

function bound(max: number | undefined, approximate: boolean | undefined): (string | number)[] {
  return max === undefined ? [] : ['MAXLEN', ...(approximate ? ['~'] : []), max];
}

function plain(arg: unknown): RedisArgument {
  return typeof arg === 'number' || arg instanceof Uint8Array ? arg : String(arg);
}
