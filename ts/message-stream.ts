import type { SubscriptionHandler } from './pubsub-subscription.js';
import type { ReceivedMessage, ReceivedMetadata } from './types/pubsub-types.js';

/** What ends a stream from its side. */
interface Source<Message> {
  subscribe(handler: SubscriptionHandler): Promise<void>;
  unsubscribe(stream: MessageStream<Message>): Promise<void>;
  signal: AbortSignal | undefined;
}

interface Offered<Message> {
  message: ReceivedMessage<Message>;
  /** Lets the subscription go on. */
  taken(): void;
}

interface Reader<Message> {
  resolve(result: IteratorResult<ReceivedMessage<Message>, undefined>): void;
  reject(error: unknown): void;
}

/**
 * Messages of a channel or pattern for `for await`. While the loop works on one, the next ones wait as they would for a
 * handler, under the bounds of the subscription.
 *
 * It ends when the loop is left, its subscription is taken off, or the service is closed; it throws when the server did not
 * restore the subscription, or ended it because too much waited, and when its `signal` is aborted.
 */
export class MessageStream<Message = any> implements AsyncIterableIterator<ReceivedMessage<Message>, undefined> {
  /** Resolves when the server has confirmed: what is published from then on arrives. Rejects when it refused. */
  readonly ready: Promise<void>;
  readonly #source: Source<Message>;
  readonly #offered: Offered<Message>[] = [];
  readonly #readers: Reader<Message>[] = [];
  #inWork: Offered<Message> | undefined;
  #ended = false;
  #error: unknown;
  readonly #abort = () => void this.#leave(this.#source.signal?.reason);

  /** @internal */
  constructor(source: Source<Message>) {
    this.#source = source;
    this.ready = source.subscribe({
      given: this,
      call: (channel, message, metadata) => this.#offer(channel, message as Message, metadata as ReceivedMetadata),
      ended: (error) => this.#end(error),
    });
    this.ready.catch((error: unknown) => this.#end(error));
    source.signal?.addEventListener('abort', this.#abort, { once: true });
    if (source.signal?.aborted) this.#abort();
  }

  next(): Promise<IteratorResult<ReceivedMessage<Message>, undefined>> {
    this.#inWork?.taken();
    this.#inWork = this.#offered.shift();
    if (this.#inWork) return Promise.resolve({ value: this.#inWork.message, done: false });
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  async return(): Promise<IteratorResult<ReceivedMessage<Message>, undefined>> {
    await this.#leave(undefined);
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #offer(channel: string, message: Message, metadata: ReceivedMetadata | undefined): Promise<void> | undefined {
    if (this.#ended) return undefined;
    const received = metadata === undefined ? { channel, message } : { channel, message, metadata };
    const reader = this.#readers.shift();
    reader?.resolve({ value: received, done: false });
    // Whoever reads ahead does not wait for the end of the work on this one.
    if (this.#readers.length > 0) return undefined;
    return new Promise((taken) => {
      const offered = { message: received, taken };
      if (!reader) this.#offered.push(offered);
      else {
        this.#inWork?.taken();
        this.#inWork = offered;
      }
    });
  }

  /** Ends it from this side. */
  async #leave(error: unknown): Promise<void> {
    if (this.#ended) return;
    for (const { taken } of this.#offered.splice(0)) taken();
    this.#end(error);
    await this.#source.unsubscribe(this);
  }

  /** What was offered is still read, then the end. */
  #end(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#source.signal?.removeEventListener('abort', this.#abort);
    this.#inWork?.taken();
    this.#inWork = undefined;
    for (const { taken } of this.#offered) taken();
    const readers = this.#readers.splice(0);
    if (error !== undefined && readers.length > 0) readers.shift()!.reject(error);
    else this.#error = error;
    for (const reader of readers) reader.resolve({ value: undefined, done: true });
  }
}
