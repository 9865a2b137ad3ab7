import { EventEmitter } from 'node:events';

/**
 * Base of everything that emits events. Its events cannot end the process:
 *
 * - An `error` that nobody listens to becomes one process warning (`OxcartWarning`) for each error code of the object,
 *   where a plain `EventEmitter` would throw it.
 * - A listener that throws, or whose promise rejects, does not keep other listeners from running; its error is emitted
 *   as `error`.
 */
export abstract class ServiceEmitter<Events extends Record<keyof Events, unknown[]>> extends EventEmitter {
  #warned = new Set<string>();

  override on<E extends keyof Events & string>(event: E, listener: (...args: Events[E]) => unknown): this {
    return super.on(event, listener as (...args: any[]) => void);
  }

  override once<E extends keyof Events & string>(event: E, listener: (...args: Events[E]) => unknown): this {
    return super.once(event, listener as (...args: any[]) => void);
  }

  override off<E extends keyof Events & string>(event: E, listener: (...args: Events[E]) => unknown): this {
    return super.off(event, listener as (...args: any[]) => void);
  }

  /** What the warning about an unheard error names: ``worker of queue `mail` ``. */
  protected abstract describe(): string;

  /** Calls every listener of `event`; never throws. */
  protected fire<E extends keyof Events & string>(event: E, ...args: Events[E]): void {
    if (this.listenerCount(event) === 0) {
      if (event === 'error') this.#warn(args[0]);
      return;
    }
    for (const listener of this.rawListeners(event)) {
      try {
        const outcome: unknown = listener.apply(this, args);
        if (isThenable(outcome)) outcome.then(undefined, (error: unknown) => this.#listenerFailed(event, error));
      } catch (error) {
        this.#listenerFailed(event, error);
      }
    }
  }

  #listenerFailed(event: string, error: unknown): void {
    // A failing `error` listener must not call itself for ever.
    if (event === 'error') this.#warn(error);
    else this.fire('error' as keyof Events & string, ...([error] as Events[keyof Events & string]));
  }

  #warn(error: unknown): void {
    const { code = 'ERR_UNKNOWN' } = (error ?? {}) as { code?: unknown };
    const key = String(code);
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    const message = error instanceof Error ? error.message : String(error);
    process.emitWarning(`${this.describe()}: ${message} (no 'error' listener; further ${key} are not shown)`, {
      type: 'OxcartWarning',
      code: key,
    });
  }
}

/** Whether a value is a promise or behaves like one. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return value !== null && typeof value === 'object' && typeof (value as PromiseLike<unknown>).then === 'function';
}
