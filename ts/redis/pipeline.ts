import { door } from '../native.js';
import { type ChainSent, CommandChain } from './command-chain.js';
import { AT_ONCE } from './command-method.js';
import { type CollectedCommand, CommandReplies } from './command-replies.js';
import type { KeyPrefix } from './key-prefix.js';

/** The outcome of one command of a pipeline or transaction: an error, or what the method of `RedisService` gives. */
export type PipelineResult = [error: Error | null, value: unknown];

/**
 * Commands that are sent together by {@link exec}, without waiting for each other's replies. It is not a transaction:
 * commands of others may run in between, and one that fails does not keep the next from running.
 *
 * A wrong argument throws at the command that has it, before anything is sent.
 */
export class Pipeline extends CommandChain {
  readonly #target: number;
  readonly #batchSize: number;
  readonly #sent: ChainSent;

  /** @internal Made by `RedisService.pipeline()`. */
  constructor(target: number, prefix: KeyPrefix, batchSize: number, sent: ChainSent) {
    super(prefix);
    this.#target = target;
    this.#batchSize = batchSize;
    this.#sent = sent;
  }

  /**
   * Sends the commands and resolves, when all have their replies, to an array of `[error, value]` in their order. It does
   * not reject for commands that fail. The pipeline is empty afterwards.
   */
  exec(): Promise<PipelineResult[]> {
    const commands = this.takeAll();
    const outcome = commands.length <= this.#batchSize ? this.#send(commands) : this.#sendInBatches(commands);
    this.#sent('PIPELINE', commands.length, outcome);
    return outcome;
  }

  async #sendInBatches(commands: readonly CollectedCommand[]): Promise<PipelineResult[]> {
    const results: PipelineResult[] = [];
    for (let at = 0; at < commands.length; at += this.#batchSize) {
      results.push(...(await this.#send(commands.slice(at, at + this.#batchSize))));
    }
    return results;
  }

  #send(commands: readonly CollectedCommand[]): Promise<PipelineResult[]> {
    if (commands.length === 0) return Promise.resolve([]);
    return new Promise((resolve) => {
      const replies = new CommandReplies(commands.length, resolve);
      for (let index = 0; index < commands.length; index++) {
        const command = commands[index]!.expect(replies, index);
        door.callFor(command, this.#target, command.code | AT_ONCE, command.args);
      }
    });
  }
}
