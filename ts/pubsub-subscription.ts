import { open, type Serializer } from './message-envelope.js';
import { isThenable } from './service-emitter.js';
import type { SubscriptionKind } from './types/pubsub-types.js';

/** What a subscription needs of its service. */
export interface SubscriptionHost {
  readonly serializer: Serializer;
  /** A handler threw, or its promise rejected. */
  handlerFailed(error: unknown): void;
  /** So many messages, with so many bytes, have been handled. */
  acknowledge(subscription: number, messages: number, bytes: number): void;
}

/** A handler of any kind of subscription, as it is called here. */
export interface SubscriptionHandler {
  /** What the user gave, by which it is taken off. */
  readonly given: unknown;
  call(channel: string, message: unknown, metadata: unknown): unknown;
  /** The subscription is over, for this reason if it was not asked for. */
  ended?(error?: Error): void;
}

/** Messages handled before the native side hears of it: it must learn before its window is used up. */
const ACKNOWLEDGE_EVERY = 64;

interface Pending {
  payload: string | Buffer;
  channel: string;
  bytes: number;
}

/** One channel or pattern with its handlers: hands messages over in their order, each to one handler after the other. */
export class PubSubSubscription {
  readonly handlers: SubscriptionHandler[] = [];
  /** Messages that all handlers are done with. */
  handled = 0;
  /** Calls of handlers that failed. */
  failed = 0;
  readonly #pending: Pending[] = [];
  #running = 0;
  #ended = false;
  #done = 0;
  #doneBytes = 0;

  constructor(
    readonly number: number,
    readonly kind: SubscriptionKind,
    readonly name: string,
    /** Messages that are handed over before the first of them is done. */
    readonly concurrency: number,
    private readonly host: SubscriptionHost,
  ) {}

  /** Takes a message. Handlers that return no promise run before this returns. */
  deliver(payload: string | Buffer, channel: string, bytes: number): void {
    if (this.#ended) return;
    this.#pending.push({ payload, channel, bytes });
    this.#pump();
  }

  /** Nothing that waits is handed over any more. @returns How many messages waited. */
  end(error?: Error): number {
    if (this.#ended) return 0;
    this.#ended = true;
    const waited = this.#pending.length;
    this.#pending.length = 0;
    for (const handler of this.handlers) handler.ended?.(error);
    return waited;
  }

  #pump(): void {
    while (this.#running < this.concurrency) {
      const next = this.#pending.shift();
      if (next === undefined) return;
      this.#running++;
      const handling = this.#handle(next);
      // Awaiting what is no promise would put a turn of the microtask queue between messages.
      if (handling === undefined) this.#finish(next.bytes);
      else void handling.then(() => this.#finishLater(next.bytes));
    }
  }

  #handle({ payload, channel }: Pending): Promise<void> | undefined {
    const { message, metadata } = open(payload, this.host.serializer);
    // A copy: a handler may unsubscribe itself or others, which counts from the next message on.
    const handlers = [...this.handlers];
    for (const [at, handler] of handlers.entries()) {
      const outcome = this.#call(handler, channel, message, metadata);
      if (outcome) return this.#handleRest(outcome, handlers.slice(at + 1), channel, message, metadata);
    }
    return undefined;
  }

  async #handleRest(
    first: PromiseLike<unknown>,
    handlers: SubscriptionHandler[],
    channel: string,
    message: unknown,
    metadata: unknown,
  ): Promise<void> {
    await this.#settled(first);
    for (const handler of handlers) {
      const outcome = this.#call(handler, channel, message, metadata);
      if (outcome) await this.#settled(outcome);
    }
  }

  #call(
    handler: SubscriptionHandler,
    channel: string,
    message: unknown,
    metadata: unknown,
  ): PromiseLike<unknown> | undefined {
    try {
      const outcome = handler.call(channel, message, metadata);
      return isThenable(outcome) ? outcome : undefined;
    } catch (error) {
      this.#handlerFailed(error);
      return undefined;
    }
  }

  async #settled(outcome: PromiseLike<unknown>): Promise<void> {
    try {
      await outcome;
    } catch (error) {
      this.#handlerFailed(error);
    }
  }

  #handlerFailed(error: unknown): void {
    this.failed++;
    this.host.handlerFailed(error);
  }

  #finishLater(bytes: number): void {
    this.#finish(bytes);
    this.#pump();
  }

  #finish(bytes: number): void {
    this.#running--;
    this.handled++;
    this.#done++;
    this.#doneBytes += bytes;
    if (this.#ended) return;
    if (this.#done >= ACKNOWLEDGE_EVERY || this.#pending.length === 0) {
      this.host.acknowledge(this.number, this.#done, this.#doneBytes);
      this.#done = 0;
      this.#doneBytes = 0;
    }
  }
}
