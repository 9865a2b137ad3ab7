import type { OxcartError } from './errors.js';

interface Running<Held> {
  held: Held;
  controller: AbortController;
}

/** Work that runs while something is held for it, each under a number that the native core knows it by. */
export class KeptWork<Held extends { readonly signal: AbortSignal }> {
  readonly #running = new Map<number, Running<Held>>();
  #last = 0;

  nextNumber(): number {
    return ++this.#last;
  }

  /**
   * Runs `work`, then `letGo`.
   *
   * @returns What `work` returns.
   * @throws What `work` throws; else why what it held was lost meanwhile.
   */
  async run<T>(
    number: number,
    describe: (signal: AbortSignal) => Held,
    work: (held: Held) => T | PromiseLike<T>,
    letGo: () => Promise<void>,
  ): Promise<T> {
    const controller = new AbortController();
    const held = describe(controller.signal);
    this.#running.set(number, { held, controller });
    try {
      const result = await work(held);
      controller.signal.throwIfAborted();
      return result;
    } finally {
      this.#running.delete(number);
      await letGo();
    }
  }

  /** Aborts the signal of one; gives what it held, unless it was told already. */
  lose(number: number, error: OxcartError): Held | undefined {
    const running = this.#running.get(number);
    if (running === undefined || running.controller.signal.aborted) return undefined;
    running.controller.abort(error);
    return running.held;
  }

  /** What is held, by number. */
  get all(): [number: number, held: Held][] {
    return [...this.#running].map(([number, { held }]) => [number, held]);
  }
}
