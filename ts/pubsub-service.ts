import { checkServiceOptions } from './arguments.js';
import { openConnection, type ServiceConnection } from './connection.js';
import { invalidArgument, invalidOption } from './errors.js';
import { closed } from './job-errors.js';
import { seal } from './message-envelope.js';
import { door, NativePubSub } from './native.js';
import { PubSubSubscription, type SubscriptionHost } from './pubsub-subscription.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection } from './split-connection.js';
import type {
  LostSubscription,
  MessageGap,
  MessageHandler,
  MessageMetadata,
  PatternHandler,
  PubSubOptions,
} from './types/pubsub-types.js';
import type { ConnectionState } from './types/redis-config.js';

export interface PubSubEventMap {
  /** A handler failed, or the connection did. The service goes on. */
  error: [error: Error];
  /** The shared connection, by which messages are published, changed its state. */
  state: [state: ConnectionState];
  /** Messages were, or may have been, lost. */
  gap: [gap: MessageGap];
}

/** Calls and events; the numbers are those of `src/node/pubsub.rs`. */
const CALL = {
  publish: 0,
  subscribe: 1,
  unsubscribe: 2,
  acknowledge: 3,
  countSubscribers: 4,
  ping: 5,
  close: 6,
} as const;
const EVENT = { message: 0, overflow: 1, reconnected: 2 } as const;

type Kind = 'channel' | 'pattern';

/**
 * Publishes messages and hands them to subscribers, in this and other processes.
 *
 * Delivery is that of Redis: at most once, to those who listen at the moment. Messages of one channel reach its handlers
 * in order; a handler that returns a promise is awaited before the next message. When handlers are slower than
 * messages come, `maxPendingMessages` wait for each channel or pattern and further ones are dropped, newest first, which
 * `gap` reports. After a lost connection subscriptions come back by themselves; `gap` tells when.
 *
 * All services of a process share one connection for subscriptions and one for commands.
 *
 * @example
 * const pubsub = new PubSubService({ redis, channelPrefix: 'shop' });
 * await pubsub.subscribe({ channel: 'orders', handler: async (order, metadata) => handle(order) });
 * await pubsub.publish({ channel: 'orders', message: { id: 1 }, metadata: { userId: '7' } });
 */
export class PubSubService extends ServiceEmitter<PubSubEventMap> {
  readonly #native: NativePubSub;
  readonly #connection: ServiceConnection;
  readonly #publishedBy: string | undefined;
  readonly #byName = new Map<string, PubSubSubscription>();
  readonly #byNumber = new Map<number, PubSubSubscription>();
  /** The last change of each name under way: the server must hear of changes in the order in which they were made. */
  readonly #changes = new Map<string, Promise<unknown>>();
  readonly #host: SubscriptionHost;
  #last = 0;
  #closing: Promise<void> | undefined;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(options: PubSubOptions = {}) {
    super();
    const { redis, publishedBy, ...engine } = checkServiceOptions(options);
    if (publishedBy !== undefined && typeof publishedBy !== 'string') {
      throw invalidOption('publishedBy', typeof publishedBy, 'a string');
    }
    this.#publishedBy = publishedBy;
    const connection = openConnection(redis ?? {}, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#connection = connection;
    this.#native = onConnection(
      connection,
      () => new NativePubSub(door.native, connection.json, JSON.stringify(engine)),
    );
    this.#host = {
      handlerFailed: (error) => this.fire('error', error instanceof Error ? error : new Error(String(error))),
      acknowledge: (subscription, messages, bytes) => {
        if (this.#closing) return;
        door.call(this.#native.id, CALL.acknowledge, [subscription, messages, bytes]).catch(() => undefined);
      },
    };
    connection.listen(this.#native.id, (event, a, b, values) => this.#hear(event, a, b, values));
  }

  /**
   * Publishes a message.
   *
   * @returns How many subscribers the server gave it to.
   * @throws `ERR_INVALID_ARGUMENT`, `ERR_NOT_SERIALIZABLE`, and what the connection gives.
   */
  async publish<Message = unknown>(params: {
    channel: string;
    message: Message;
    metadata?: MessageMetadata;
  }): Promise<number> {
    this.#mustBeOpen();
    const { channel, message, metadata } = object(params);
    text('channel', channel);
    if (message === undefined) throw invalidArgument('message', 'undefined', 'any JSON value');
    if (metadata !== undefined && (metadata === null || typeof metadata !== 'object')) {
      throw invalidArgument('metadata', String(metadata), 'an object');
    }
    return (await door.call(this.#native.id, CALL.publish, [
      channel,
      seal(message, metadata, this.#publishedBy, this.#connection.now()),
    ])) as number;
  }

  /**
   * Hands messages of a channel to `handler`, beside the handlers that it already has; the same handler twice gets each
   * message twice. Resolves when the server has confirmed.
   *
   * A message that this package, or anybody else as `{message, metadata}`, has published is taken apart; any other
   * arrives whole, as its JSON says, or as text.
   */
  async subscribe<Message = any>(params: { channel: string; handler: MessageHandler<Message> }): Promise<void> {
    const { channel, handler } = object(params);
    await this.#subscribe('channel', text('channel', channel), fn(handler));
  }

  /** The same for every channel that matches a pattern (`*`, `?`, `[ab]`). */
  async psubscribe<Message = any>(params: { pattern: string; handler: PatternHandler<Message> }): Promise<void> {
    const { pattern, handler } = object(params);
    await this.#subscribe('pattern', text('pattern', pattern), fn(handler));
  }

  /** Takes one handler off a channel, all of them by default. Nothing that waits for a handler taken off is handed over. */
  async unsubscribe(channel: string, handler?: MessageHandler): Promise<void> {
    await this.#unsubscribe('channel', text('channel', channel), handler);
  }

  /** Takes one handler off a pattern, all of them by default. */
  async punsubscribe(pattern: string, handler?: PatternHandler): Promise<void> {
    await this.#unsubscribe('pattern', text('pattern', pattern), handler);
  }

  /** Channels and patterns that have handlers here. */
  async getSubscriptions(): Promise<string[]> {
    return [...this.#byName.values()].map(({ name }) => name);
  }

  /** How many subscribers a channel has on the server, those of patterns not counted. */
  async countSubscribers(channel: string): Promise<number> {
    this.#mustBeOpen();
    return (await door.call(this.#native.id, CALL.countSubscribers, [text('channel', channel)])) as number;
  }

  /** Round trip to the server. */
  async ping(): Promise<string> {
    this.#mustBeOpen();
    return (await door.call(this.#native.id, CALL.ping, [])) as string;
  }

  /** Ends every subscription; handlers that run are not waited for. Twice is safe. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected describe(): string {
    return 'pub/sub service';
  }

  async #close(): Promise<void> {
    for (const subscription of [...this.#byName.values()]) this.#forget(subscription);
    try {
      await door.call(this.#native.id, CALL.close, []);
    } catch (error) {
      // The connection is gone, and the subscriptions with it: nothing is left to end.
      if (!(error as { retryable?: boolean }).retryable) throw error;
    } finally {
      this.#native.close();
      this.#connection.close();
    }
  }

  async #subscribe(kind: Kind, name: string, handler: MessageHandler | PatternHandler): Promise<void> {
    this.#mustBeOpen();
    const key = keyOf(kind, name);
    const known = this.#byName.get(key);
    if (known) {
      known.handlers.push(handler);
      // Whoever joins a subscription that is being made fails with it.
      await this.#changes.get(key);
      return;
    }
    const subscription = new PubSubSubscription(++this.#last, kind, name, this.#host);
    subscription.handlers.push(handler);
    this.#byName.set(key, subscription);
    this.#byNumber.set(subscription.number, subscription);
    door.hold(this.#native.id);
    try {
      await this.#change(key, CALL.subscribe, [kind === 'pattern', name, subscription.number]);
    } catch (error) {
      this.#forget(subscription);
      throw error;
    }
  }

  async #unsubscribe(kind: Kind, name: string, handler?: MessageHandler | PatternHandler): Promise<void> {
    this.#mustBeOpen();
    const key = keyOf(kind, name);
    const subscription = this.#byName.get(key);
    if (!subscription) return;
    if (handler !== undefined) {
      const at = subscription.handlers.indexOf(handler);
      if (at === -1) return;
      subscription.handlers.splice(at, 1);
      if (subscription.handlers.length > 0) return;
    }
    this.#forget(subscription);
    await this.#change(key, CALL.unsubscribe, [kind === 'pattern', name]);
  }

  /** Calls after the last change of the same name has ended, however it did. */
  #change(key: string, code: number, args: (string | number | boolean)[]): Promise<unknown> {
    const before = this.#changes.get(key);
    const call = () => door.call(this.#native.id, code, args);
    const change = before ? before.then(call, call) : call();
    this.#changes.set(key, change);
    const ended = () => {
      if (this.#changes.get(key) === change) this.#changes.delete(key);
    };
    change.then(ended, ended);
    return change;
  }

  #forget(subscription: PubSubSubscription): void {
    if (!this.#byNumber.delete(subscription.number)) return;
    this.#byName.delete(keyOf(subscription.kind, subscription.name));
    subscription.end();
    door.release(this.#native.id);
  }

  #hear(event: number, a: number, b: number, values: unknown[]): void {
    switch (event) {
      case EVENT.message:
        this.#byNumber.get(a)?.deliver(values[0] as string | Buffer, values[1] as string, b);
        break;
      case EVENT.overflow: {
        const subscription = this.#byNumber.get(a);
        if (!subscription) break;
        this.fire('gap', { reason: 'overflow', kind: subscription.kind, name: subscription.name, dropped: b });
        break;
      }
      case EVENT.reconnected:
        this.#reconnected(values);
        break;
      default:
    }
  }

  #reconnected(values: unknown[]): void {
    const lost: LostSubscription[] = [];
    for (let at = 0; at + 1 < values.length; at += 2) {
      const subscription = this.#byNumber.get(values[at] as number);
      if (!subscription) continue;
      this.#forget(subscription);
      lost.push({ kind: subscription.kind, name: subscription.name, error: values[at + 1] as Error });
    }
    this.fire('gap', { reason: 'reconnected', lost });
  }

  #mustBeOpen(): void {
    if (this.#closing) throw closed(this.describe());
  }
}

function keyOf(kind: Kind, name: string): string {
  return `${kind} ${name}`;
}

function object<T extends object>(params: T): T {
  if (params === null || typeof params !== 'object') throw invalidArgument('params', String(params), 'an object');
  return params;
}

function text(argument: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidArgument(argument, typeof value, 'a string');
  if (value === '') throw invalidArgument(argument, 'empty', 'a name');
  return value;
}

function fn<T>(handler: T): T {
  if (typeof handler !== 'function') throw invalidArgument('handler', typeof handler, 'a function');
  return handler;
}
