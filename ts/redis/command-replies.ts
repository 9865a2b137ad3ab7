import { type Argument, type Decode, type Receiver, settleWith } from '../native.js';
import type { PipelineResult } from './pipeline.js';

/** A command that is collected, and takes its reply once it is sent. */
export class CollectedCommand implements Receiver {
  readonly receiver: Receiver = this;
  #replies: CommandReplies | undefined;
  #index = 0;

  constructor(
    readonly code: number,
    readonly args: readonly Argument[],
    /** Makes the result of the reply. */
    readonly result: Decode | undefined,
  ) {}

  /** The outcome will be that of number `index` of `replies`. */
  expect(replies: CommandReplies, index: number): this {
    this.#replies = replies;
    this.#index = index;
    return this;
  }

  settled(value: unknown): void {
    let result = value;
    // Replies to a transaction that did not run are no replies of its commands.
    if (this.result !== undefined && value !== null) {
      try {
        result = this.result(value);
      } catch (error) {
        // A reply of another shape is the failure of this command alone.
        this.failed(() => error);
        return;
      }
    }
    this.#replies!.settled(this.#index, result);
  }

  failed(error: () => unknown): void {
    this.#replies!.failed(this.#index, error);
  }
}

/** Collects the outcomes of commands that belong together. */
export class CommandReplies {
  readonly #results: PipelineResult[];
  readonly #failures: [index: number, error: () => unknown][] = [];
  readonly #resolve: (results: PipelineResult[]) => void;
  #missing: number;

  constructor(count: number, resolve: (results: PipelineResult[]) => void) {
    this.#results = new Array<PipelineResult>(count);
    this.#missing = count;
    this.#resolve = resolve;
  }

  settled(index: number, value: unknown): void {
    this.#results[index] = [null, value];
    this.#answered();
  }

  failed(index: number, error: () => unknown): void {
    this.#failures.push([index, error]);
    this.#answered();
  }

  #answered(): void {
    if (--this.#missing > 0) return;
    if (this.#failures.length === 0) {
      this.#resolve(this.#results);
      return;
    }
    settleWith(this.#resolve, () => {
      for (const [index, error] of this.#failures) this.#results[index] = [error() as Error, null];
      return this.#results;
    });
  }
}
