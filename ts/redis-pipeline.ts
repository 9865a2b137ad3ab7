import type { Argument, Receiver } from './native.js';
import { door, settleWith } from './native.js';
import {
  BUFFERS,
  byName,
  commandCode,
  keyList,
  type RedisArgument,
  type SetOptions,
  setArguments,
  whole,
} from './redis-commands.js';

type Key = string | Uint8Array;

/** The outcome of one command of a pipeline. The value is the server's reply: `expire` gives 1 or 0 here. */
export type PipelineResult = [error: Error | null, value: unknown];

/**
 * Commands that are sent together by {@link exec}, without waiting for each other's replies. It is not a transaction:
 * commands of others may run in between, and one that fails does not keep the next from running.
 *
 * A wrong argument throws at the command that has it, before anything is sent.
 */
export class Pipeline {
  readonly #target: number;
  #codes: number[] = [];
  #args: (readonly Argument[])[] = [];

  /** @internal Made by `RedisService.pipeline()`. */
  constructor(target: number) {
    this.#target = target;
  }

  /** How many commands wait for `exec`. */
  get length(): number {
    return this.#codes.length;
  }

  /** Any command by name. */
  call(command: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this {
    const { code, args: given } = byName(command, args);
    return this.#add(code, given);
  }

  /** Any command by name; strings of its reply are Buffers. */
  callBuffer(command: string, ...args: (RedisArgument | readonly RedisArgument[])[]): this {
    const { code, args: given } = byName(command, args);
    return this.#add(code | BUFFERS, given);
  }

  get(key: Key): this {
    return this.#add(commandCode('GET'), [key]);
  }

  getBuffer(key: Key): this {
    return this.#add(commandCode('GET') | BUFFERS, [key]);
  }

  /** Options as in `RedisService.set`. */
  set(key: Key, value: RedisArgument, options?: number | SetOptions | string, ...words: (string | number)[]): this {
    return this.#add(commandCode('SET'), setArguments(key, value, options, words));
  }

  del(...keys: (Key | readonly Key[])[]): this {
    return this.#add(commandCode('DEL'), keyList(keys));
  }

  exists(...keys: (Key | readonly Key[])[]): this {
    return this.#add(commandCode('EXISTS'), keyList(keys));
  }

  incr(key: Key): this {
    return this.#add(commandCode('INCR'), [key]);
  }

  incrby(key: Key, by: number | bigint): this {
    return this.#add(commandCode('INCRBY'), [key, by]);
  }

  expire(key: Key, seconds: number): this {
    return this.#add(commandCode('EXPIRE'), [key, whole('seconds', seconds)]);
  }

  ttl(key: Key): this {
    return this.#add(commandCode('TTL'), [key]);
  }

  mget(...keys: (Key | readonly Key[])[]): this {
    return this.#add(commandCode('MGET'), keyList(keys));
  }

  ping(): this {
    return this.#add(commandCode('PING'), []);
  }

  /**
   * Sends the commands and resolves, when all have their replies, to an array of `[error, value]` in their order. It does
   * not reject for commands that fail. The pipeline is empty afterwards.
   */
  exec(): Promise<PipelineResult[]> {
    const [codes, args] = [this.#codes, this.#args];
    [this.#codes, this.#args] = [[], []];
    if (codes.length === 0) return Promise.resolve([]);
    return new Promise((resolve) => {
      const replies = new Replies(codes.length, resolve);
      for (let index = 0; index < codes.length; index++) {
        door.callFor(replies.receiver(index), this.#target, codes[index]!, args[index]!);
      }
    });
  }

  #add(code: number, args: readonly Argument[]): this {
    this.#codes.push(code);
    this.#args.push(args);
    return this;
  }
}

class Replies {
  readonly #results: PipelineResult[];
  readonly #failures: [index: number, error: () => unknown][] = [];
  #missing: number;

  constructor(
    count: number,
    private readonly resolve: (results: PipelineResult[]) => void,
  ) {
    this.#results = new Array<PipelineResult>(count);
    this.#missing = count;
  }

  receiver(index: number): Receiver {
    return {
      settled: (value) => {
        this.#results[index] = [null, value];
        this.#answered();
      },
      failed: (error) => {
        this.#failures.push([index, error]);
        this.#answered();
      },
    };
  }

  #answered(): void {
    if (--this.#missing > 0) return;
    if (this.#failures.length === 0) {
      this.resolve(this.#results);
      return;
    }
    settleWith(this.resolve, () => {
      for (const [index, error] of this.#failures) this.#results[index] = [error() as Error, null];
      return this.#results;
    });
  }
}
