import { type Receiver, settleWith } from '../native.js';
import type { CollectedCommand } from './command-chain.js';
import type { PipelineResult } from './pipeline.js';

/** Collects the outcomes of commands that belong together. */
export class CommandReplies {
  readonly #results: PipelineResult[];
  readonly #failures: [index: number, error: () => unknown][] = [];
  #missing: number;

  constructor(
    private readonly commands: readonly CollectedCommand[],
    private readonly resolve: (results: PipelineResult[]) => void,
  ) {
    this.#results = new Array<PipelineResult>(commands.length);
    this.#missing = commands.length;
  }

  /** Takes the reply of one command. */
  receiver(index: number): Receiver {
    return {
      settled: (value) => {
        const { decode } = this.commands[index]!;
        this.#results[index] = [null, decode ? decode(value) : value];
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
