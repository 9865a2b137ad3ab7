import { open } from './message-envelope.js';
import { isThenable } from './service-emitter.js';
import type { MessageHandler, PatternHandler } from './types/pubsub-types.js';

/** What a subscription needs of its service. */
export interface SubscriptionHost {
  /** A handler threw, or its promise rejected. */
  handlerFailed(error: unknown): void;
  /** So many messages, with so many bytes, have been handled. */
  acknowledge(subscription: number, messages: number, bytes: number): void;
}

/** Messages handled before the native side hears of it: it must learn long before its bound is reached. */
const ACKNOWLEDGE_EVERY = 64;

interface Pending {
  payload: string | Buffer;
  channel: string;
  bytes: number;
}

/** One channel or pattern with its handlers: hands messages over one after the other, to each handler in turn. */
export class PubSubSubscription {
  readonly handlers: (MessageHandler | PatternHandler)[] = [];
  readonly #pending: Pending[] = [];
  #running = false;
  #ended = false;
  #handled = 0;
  #handledBytes = 0;

  constructor(
    readonly number: number,
    readonly kind: 'channel' | 'pattern',
    readonly name: string,
    private readonly host: SubscriptionHost,
  ) {}

  /** Takes a message. Handlers that return no promise run before this returns. */
  deliver(payload: string | Buffer, channel: string, bytes: number): void {
    if (this.#ended) return;
    this.#pending.push({ payload, channel, bytes });
    if (!this.#running) void this.#run();
  }

  /** Nothing that waits is handed over any more. */
  end(): void {
    this.#ended = true;
    this.#pending.length = 0;
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
      const { message, metadata } = open(next.payload);
      // A copy: a handler may unsubscribe itself or others, which counts from the next message on.
      for (const handler of [...this.handlers]) {
        try {
          const outcome =
            this.kind === 'channel'
              ? (handler as MessageHandler)(message, metadata)
              : (handler as PatternHandler)(next.channel, message, metadata);
          // Awaiting what is no promise would put a turn of the microtask queue between messages.
          if (isThenable(outcome)) await outcome;
        } catch (error) {
          this.host.handlerFailed(error);
        }
      }
      this.#done(next.bytes);
    }
    this.#running = false;
  }

  #done(bytes: number): void {
    this.#handled++;
    this.#handledBytes += bytes;
    if (this.#ended) return;
    if (this.#handled >= ACKNOWLEDGE_EVERY || this.#pending.length === 0) {
      this.host.acknowledge(this.number, this.#handled, this.#handledBytes);
      this.#handled = 0;
      this.#handledBytes = 0;
    }
  }
}
