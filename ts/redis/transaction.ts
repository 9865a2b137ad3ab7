import { createError, type OxcartError } from '../errors.js';
import { door } from '../native.js';
import { type ChainSent, CommandChain } from './command-chain.js';
import { EXEC, IN_TRANSACTION } from './command-method.js';
import { type CollectedCommand, CommandReplies } from './command-replies.js';
import type { KeyPrefix } from './key-prefix.js';
import type { PipelineResult } from './pipeline.js';

/**
 * Commands that run one after the other with nothing of others in between (`MULTI` … `EXEC`). One that fails does not undo
 * the others.
 *
 * A wrong argument throws at the command that has it, before anything is sent.
 */
export class Transaction extends CommandChain {
  readonly #target: number;
  readonly #sent: ChainSent;

  /** @internal Made by `RedisService.multi()`. */
  constructor(target: number, prefix: KeyPrefix, sent: ChainSent) {
    super(prefix);
    this.#target = target;
    this.#sent = sent;
  }

  /**
   * Sends the commands in one piece and resolves to an array of `[error, value]` in their order, or to `null` when a key
   * that was watched (`RedisService.watch`) has changed, so that none ran. The transaction is empty afterwards.
   *
   * @throws `ERR_REPLY` (`details.reply` is `EXECABORT`) when the server refused a command, so that none ran (`cause` is
   * why), and the errors of any command.
   */
  exec(): Promise<PipelineResult[] | null> {
    const commands = this.takeAll();
    const outcome = this.#send(commands);
    this.#sent('TRANSACTION', commands.length, outcome);
    return outcome;
  }

  async #send(commands: readonly CollectedCommand[]): Promise<PipelineResult[] | null> {
    if (commands.length === 0) return [];
    const replies = new Promise<PipelineResult[]>((resolve) => {
      const collected = new CommandReplies(commands.length, resolve);
      for (let index = 0; index < commands.length; index++) {
        const command = commands[index]!.expect(collected, index);
        door.callFor(command, this.#target, command.code | IN_TRANSACTION, command.args);
      }
    });
    try {
      const outcome: unknown = await door.call(this.#target, EXEC, [commands.length]);
      return outcome === null ? null : await replies;
    } catch (error) {
      const { code, message, details, retryable } = error as OxcartError;
      if (details?.['reply'] !== 'EXECABORT') throw error;
      // The others are told of the abort, too.
      const aborted = (failure: Error | null) => (failure as OxcartError | null)?.details['reply'] === 'EXECABORT';
      const refused = (await replies).find(([failure]) => failure !== null && !aborted(failure))?.[0];
      throw createError({ code, message, details, retryable, cause: refused });
    }
  }
}
