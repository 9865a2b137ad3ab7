import type { Argument, Decode } from '../native.js';
import { setArguments } from './command-arguments.js';
import { BUFFERS, byName, commandCode, installMethods, METHODS } from './command-method.js';
import { CollectedCommand } from './command-replies.js';
import type { Key, RedisArgument, SetOptions } from './command-types.js';
import type { ChainedCommands } from './commands/chained-commands.js';
import type { KeyPrefix } from './key-prefix.js';
import type { PipelineResult } from './pipeline.js';

/** Hears of commands that were sent together. */
export type ChainSent = (
  name: 'PIPELINE' | 'TRANSACTION',
  count: number,
  outcome: Promise<PipelineResult[] | null>,
) => void;

export interface CommandChain extends ChainedCommands {}

/**
 * Commands that are collected, to be sent by `exec`. Each gives what the method of `RedisService` gives.
 *
 * A wrong argument throws at the command that has it, before anything is sent.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the methods are installed from the table of commands
export abstract class CommandChain {
  #commands: CollectedCommand[] = [];
  readonly #prefix: KeyPrefix;

  static {
    const methods = [...METHODS.values()].filter(({ blocks }) => !blocks);
    installMethods(CommandChain.prototype, methods, (self, method, given, flags) =>
      self.#add(method.code | flags, method.args(given), method.decode),
    );
  }

  constructor(prefix: KeyPrefix) {
    this.#prefix = prefix;
  }

  /** How many commands wait for `exec`. */
  get length(): number {
    return this.#commands.length;
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

  /** The value of a key. */
  get(key: Key): this {
    return this.call('GET', key);
  }

  /** The bytes of a key. */
  getBuffer(key: Key): this {
    return this.callBuffer('GET', key);
  }

  /** Options as in `RedisService.set`. */
  set(
    key: Key,
    value: RedisArgument | object,
    options?: number | SetOptions | string,
    ...words: (string | number)[]
  ): this {
    return this.#add(commandCode('SET'), setArguments(key, value, options, words));
  }

  /** The commands, which are no longer in the chain then. */
  protected takeAll(): CollectedCommand[] {
    const commands = this.#commands;
    this.#commands = [];
    return commands;
  }

  #add(code: number, args: readonly Argument[], decode?: Decode): this {
    this.#commands.push(new CollectedCommand(code, args, this.#prefix.decode(code, decode)));
    return this;
  }
}
