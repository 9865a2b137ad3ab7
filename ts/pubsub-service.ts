import {
  checkFunction,
  checkNumber,
  checkObject,
  checkOptionNames,
  checkServiceOptions,
  checkText,
} from './arguments.js';
import { openConnection, type ServiceConnection } from './connection.js';
import { DurableSubscriptions } from './durable-subscriptions.js';
import { createError, invalidArgument, invalidOption } from './errors.js';
import { closed } from './job-errors.js';
import { kindOf } from './kind-of.js';
import { type Serializer, seal } from './message-envelope.js';
import { MessageStream } from './message-stream.js';
import { door, NativePubSub } from './native.js';
import { PubSubSubscription, type SubscriptionHandler, type SubscriptionHost } from './pubsub-subscription.js';
import { ServiceEmitter } from './service-emitter.js';
import { onConnection } from './split-connection.js';
import type {
  DeadMessage,
  DeadMessageEvent,
  DurableGroup,
  PublishDurableParams,
  SubscribeDurableParams,
} from './types/durable-types.js';
import type {
  LostSubscription,
  MessageGap,
  MessageHandler,
  MessageMetadata,
  MessageSource,
  PatternHandler,
  PubSubOptions,
  PubSubStats,
  SubscribeOptions,
  SubscriptionKind,
} from './types/pubsub-types.js';
import type { ConnectionState } from './types/redis-config.js';

export interface PubSubEventMap {
  /** A handler failed, or the connection did. The service goes on. */
  error: [error: Error];
  /** The shared connection, by which messages are published, changed its state. */
  state: [state: ConnectionState];
  /** Messages were, or may have been, lost. */
  gap: [gap: MessageGap];
  /** A message that is kept was handed over too often, and is dead. */
  dead: [event: DeadMessageEvent];
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
  countPatterns: 7,
  stats: 8,
} as const;
const EVENT = { message: 0, overflow: 1, reconnected: 2, closed: 3 } as const;

/** In the order of their numbers. */
const KINDS: readonly SubscriptionKind[] = ['channel', 'pattern', 'shard'];
const FLOW_OPTIONS = ['concurrency', 'overflow', 'maxPendingMessages'] as const;
const SERIALIZERS: readonly Serializer[] = ['json', 'msgpack'];

interface PublishParams<Message> {
  channel: string;
  message: Message;
  metadata?: MessageMetadata;
  /** Milliseconds that this call may take, its wait for a connection and repetitions included. Default: `publishTimeout`. */
  timeout?: number;
}

/**
 * Publishes messages and hands them to subscribers, in this and other processes.
 *
 * Delivery is that of Redis: at most once, to those who listen at the moment. Messages of one channel reach its handlers
 * in order; a handler that returns a promise is awaited before the next message, unless `concurrency` says otherwise. When
 * handlers are slower than messages come, `maxPendingMessages` wait for each channel or pattern; `overflow` says what becomes
 * of further ones, and `gap` reports them. After a lost connection subscriptions come back by themselves; `gap` tells when.
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
  readonly #sealing: { publishedBy: string | undefined; serializer: Serializer };
  readonly #concurrency: number;
  /** What was said of a channel or pattern when it was subscribed to. */
  readonly #options = new Map<PubSubSubscription, SubscribeOptions>();
  readonly #byName = new Map<string, PubSubSubscription>();
  readonly #byNumber = new Map<number, PubSubSubscription>();
  /** The last change of each name under way: the server must hear of changes in the order in which they were made. */
  readonly #changes = new Map<string, Promise<unknown>>();
  readonly #host: SubscriptionHost;
  readonly #durable: DurableSubscriptions;
  #last = 0;
  #published = 0;
  #reconnections = 0;
  #closing: Promise<void> | undefined;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(options: PubSubOptions = {}) {
    super();
    const { redis, publishedBy, ...engine } = checkServiceOptions(options);
    if (publishedBy !== undefined && typeof publishedBy !== 'string') {
      throw invalidOption('publishedBy', typeof publishedBy, 'a string');
    }
    const { serializer = 'json', concurrency = 1 } = engine;
    if (!SERIALIZERS.includes(serializer)) {
      throw invalidOption('serializer', `\`${serializer}\``, SERIALIZERS.map((one) => `\`${one}\``).join(', '));
    }
    this.#sealing = { publishedBy, serializer };
    this.#concurrency = concurrency;
    const connection = openConnection(redis ?? {}, {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    });
    this.#connection = connection;
    this.#native = onConnection(
      connection,
      () => new NativePubSub(door.native, connection.json, JSON.stringify(engine)),
    );
    const failed = (error: unknown) => this.fire('error', error instanceof Error ? error : new Error(String(error)));
    this.#durable = new DurableSubscriptions({
      target: this.#native.id,
      serializer,
      failed,
      dead: (event) => this.fire('dead', event),
      gap: (gap) => this.fire('gap', gap),
    });
    this.#host = {
      serializer,
      handlerFailed: failed,
      acknowledge: (subscription, messages, bytes) => {
        if (this.#closing) return;
        door.call(this.#native.id, CALL.acknowledge, [subscription, messages, bytes]).catch(() => undefined);
      },
    };
    connection.listen(this.#native.id, (event, a, b, values) => this.#hear(event, a, b, values));
  }

  /**
   * Publishes a message. Without a connection it waits for one, within its deadline.
   *
   * @returns How many subscribers the server gave it to.
   * @throws `ERR_INVALID_ARGUMENT`, `ERR_NOT_SERIALIZABLE`, and what the connection gives: `ERR_COMMAND_TIMED_OUT` when the
   *   deadline passed, with `maybeExecuted`.
   */
  async publish<Message = unknown>(params: PublishParams<Message>): Promise<number> {
    return this.#publish(params, false);
  }

  /**
   * The same on a sharded channel, which a cluster keeps to one of its shards. Only {@link ssubscribe} hears it.
   *
   * @throws Besides, `ERR_UNSUPPORTED_COMMAND` on a server older than Redis 7.
   */
  async spublish<Message = unknown>(params: PublishParams<Message>): Promise<number> {
    return this.#publish(params, true);
  }

  /**
   * Hands messages of a channel to `handler`, beside the handlers that it already has; the same handler twice gets each
   * message twice. Resolves when the server has confirmed.
   *
   * A message that this package, or anybody else as `{message, metadata}`, has published is taken apart; any other
   * arrives whole, as its JSON or MessagePack says, or as text or bytes.
   *
   * @throws `ERR_INVALID_OPTION` for options that are wrong, or other than those that the channel's first handler gave.
   */
  async subscribe<Message = any>(
    params: { channel: string; handler: MessageHandler<Message> } & SubscribeOptions,
  ): Promise<void> {
    await this.#subscribeHandler('channel', params);
  }

  /** The same for a sharded channel. @throws Besides, `ERR_UNSUPPORTED_COMMAND` on a server older than Redis 7. */
  async ssubscribe<Message = any>(
    params: { channel: string; handler: MessageHandler<Message> } & SubscribeOptions,
  ): Promise<void> {
    await this.#subscribeHandler('shard', params);
  }

  /** The same for every channel that matches a pattern (`*`, `?`, `[ab]`). */
  async psubscribe<Message = any>(
    params: { pattern: string; handler: PatternHandler<Message> } & SubscribeOptions,
  ): Promise<void> {
    const { pattern, handler, ...options } = checkObject('params', params);
    checkFunction(handler, 'handler');
    const call = (channel: string, message: any, metadata: any) => handler(channel, message, metadata);
    await this.#subscribe('pattern', checkName('pattern', pattern), { given: handler, call }, options);
  }

  /** Takes one handler off a channel, all of them by default. Nothing that waits for a handler taken off is handed over. */
  async unsubscribe(channel: string, handler?: MessageHandler): Promise<void> {
    await this.#unsubscribe('channel', checkName('channel', channel), handler);
  }

  /** Takes one handler off a sharded channel, all of them by default. */
  async sunsubscribe(channel: string, handler?: MessageHandler): Promise<void> {
    await this.#unsubscribe('shard', checkName('channel', channel), handler);
  }

  /** Takes one handler off a pattern, all of them by default. */
  async punsubscribe(pattern: string, handler?: PatternHandler): Promise<void> {
    await this.#unsubscribe('pattern', checkName('pattern', pattern), handler);
  }

  /**
   * Messages for `for await`, until the loop is left. It subscribes at once; `ready` says when the server has confirmed.
   *
   * @throws `ERR_INVALID_ARGUMENT`, `ERR_INVALID_OPTION`. The loop throws what ended the subscription.
   *
   * @example
   * for await (const { channel, message } of pubsub.messages({ pattern: 'user:*' })) await audit(channel, message);
   */
  messages<Message = any>(source: MessageSource & SubscribeOptions & { signal?: AbortSignal }): MessageStream<Message> {
    this.#mustBeOpen();
    const { signal, ...named } = checkObject('source', source);
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw invalidArgument('signal', kindOf(signal), 'an AbortSignal');
    }
    const { channel, pattern, sharded, ...options } = named as {
      channel?: string;
      pattern?: string;
      sharded?: boolean;
    };
    if ((channel === undefined) === (pattern === undefined)) {
      throw invalidArgument('source', 'both or neither of them', '`channel` or `pattern`');
    }
    const kind = pattern !== undefined ? 'pattern' : sharded ? 'shard' : 'channel';
    const name = checkName(kind === 'pattern' ? 'pattern' : 'channel', pattern ?? channel);
    return new MessageStream<Message>({
      signal,
      subscribe: (handler) => this.#subscribe(kind, name, handler, options),
      unsubscribe: async (stream) => {
        if (!this.#closing) await this.#unsubscribe(kind, name, stream);
      },
    });
  }

  /**
   * Publishes a message that is kept until `maxLength` newer ones are there: groups of {@link subscribeDurable} get it at
   * least once, whether they are there now or later. Subscribers of {@link subscribe} do not.
   *
   * @returns The id of the message in its channel.
   * @throws `ERR_INVALID_ARGUMENT`, `ERR_NOT_SERIALIZABLE`, and what the connection gives. A message whose answer did not
   *   come may have been published (`maybeExecuted`).
   */
  async publishDurable<Message = unknown>(params: PublishDurableParams<Message>): Promise<string> {
    this.#mustBeOpen();
    const { channel, message, metadata, maxLength } = checkObject('params', params);
    const id = await this.#durable.publish(channel, this.#seal(message, metadata), maxLength);
    this.#published++;
    return id;
  }

  /**
   * Hands the messages of a channel that are kept to one handler of each group, at least once each: what a handler failed at
   * comes again, what a process had when it died is taken over by others of its group, and what was handed over
   * `maxDeliveries` times is moved to the dead ones. Resolves when the group is there. Needs Redis 6.2.
   *
   * @throws `ERR_INVALID_ARGUMENT`, `ERR_INVALID_OPTION`, and what the connection gives.
   *
   * @example
   * await pubsub.subscribeDurable({ channel: 'orders', group: 'mail', from: 'start', handler: (order) => send(order) });
   */
  async subscribeDurable<Message = any>(params: SubscribeDurableParams<Message>): Promise<void> {
    this.#mustBeOpen();
    await this.#durable.subscribe(params);
  }

  /**
   * Leaves a group. Running handlers are waited for, five seconds at most; what they and others did not finish goes to the rest
   * of the group at once.
   */
  async unsubscribeDurable(channel: string, group: string): Promise<void> {
    this.#mustBeOpen();
    await this.#durable.unsubscribe(channel, group);
  }

  /** Lets a group begin again: `start`, `new`, or after the message of an id. @throws `ERR_REPLY` when there is no such group. */
  async replay(params: { channel: string; group: string; from: string }): Promise<void> {
    this.#mustBeOpen();
    const { channel, group, from } = checkObject('params', params);
    await this.#durable.replay(channel, group, from);
  }

  /** Dead messages of a group, the oldest first: `count` (100; up to 1,000) of them, after the one at a `place`. */
  async getDeadMessages<Message = any>(params: {
    channel: string;
    group: string;
    after?: string;
    count?: number;
  }): Promise<DeadMessage<Message>[]> {
    this.#mustBeOpen();
    const { channel, group, ...page } = checkObject('params', params);
    return this.#durable.deadMessages(channel, group, page);
  }

  /** The groups of a channel that is kept, and how far behind each is. */
  async getGroups(channel: string): Promise<DurableGroup[]> {
    this.#mustBeOpen();
    return this.#durable.groups(channel);
  }

  /** Channels and patterns that have handlers here. */
  async getSubscriptions(): Promise<string[]> {
    return [...this.#byName.values()].map(({ name }) => name);
  }

  /** How many subscribers a channel has on the server, those of patterns not counted. */
  async countSubscribers(channel: string, options: { sharded?: boolean } = {}): Promise<number> {
    checkOptionNames(checkObject('options', options), ['sharded']);
    const args = [checkName('channel', channel), options.sharded === true];
    return (await this.#call(CALL.countSubscribers, args)) as number;
  }

  /** How many patterns are subscribed to on the server, whosever they are. */
  async countPatterns(): Promise<number> {
    return (await this.#call(CALL.countPatterns, [])) as number;
  }

  /** What was published, handled and dropped by this service. */
  async getStats(): Promise<PubSubStats> {
    const numbers = (await this.#call(CALL.stats, [])) as number[];
    const subscriptions: PubSubStats['subscriptions'] = [];
    for (let at = 0; at < numbers.length; at += 5) {
      const [number, received, dropped, pending, pendingBytes] = numbers.slice(at, at + 5) as [number, ...any[]];
      const subscription = this.#byNumber.get(number);
      if (!subscription) continue;
      const { kind, name, handlers, handled, failed } = subscription;
      const counts = { received, handled, failed, dropped, pending, pendingBytes };
      subscriptions.push({ kind, name, handlers: handlers.length, ...counts });
    }
    return { published: this.#published, reconnections: this.#reconnections, subscriptions };
  }

  /** Round trip to the server. */
  async ping(): Promise<string> {
    return (await this.#call(CALL.ping, [])) as string;
  }

  /** Ends every subscription; handlers that run are waited for only where messages are kept. Twice is safe. */
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
      await this.#durable.close();
      await door.call(this.#native.id, CALL.close, []);
    } catch (error) {
      // The connection is gone, and the subscriptions with it: nothing is left to end.
      if (!(error as { retryable?: boolean }).retryable) throw error;
    } finally {
      this.#native.close();
      this.#connection.close();
    }
  }

  async #publish<Message>(params: PublishParams<Message>, sharded: boolean): Promise<number> {
    this.#mustBeOpen();
    const { channel, message, metadata, timeout } = checkObject('params', params);
    checkName('channel', channel);
    const payload = this.#seal(message, metadata);
    const deadline = timeout === undefined ? null : checkNumber('timeout', timeout, 'a number of milliseconds');
    const received = await door.call(this.#native.id, CALL.publish, [channel, payload, sharded, deadline]);
    this.#published++;
    return received as number;
  }

  #seal(message: unknown, metadata: MessageMetadata | undefined): string | Buffer {
    if (message === undefined) throw invalidArgument('message', 'undefined', 'any other value');
    if (metadata !== undefined) checkObject('metadata', metadata);
    return seal(message, metadata, this.#sealing, this.#connection.now());
  }

  #subscribeHandler(
    kind: SubscriptionKind,
    params: { channel: string; handler: MessageHandler } & SubscribeOptions,
  ): Promise<void> {
    const { channel, handler, ...options } = checkObject('params', params);
    checkFunction(handler, 'handler');
    const call = (_: string, message: any, metadata: any) => handler(message, metadata);
    return this.#subscribe(kind, checkName('channel', channel), { given: handler, call }, options);
  }

  async #subscribe(
    kind: SubscriptionKind,
    name: string,
    handler: SubscriptionHandler,
    options: SubscribeOptions,
  ): Promise<void> {
    this.#mustBeOpen();
    checkOptionNames(options, FLOW_OPTIONS);
    const key = keyOf(kind, name);
    const known = this.#byName.get(key);
    if (known) {
      this.#mustAgree(known, options);
      known.handlers.push(handler);
      // Whoever joins a subscription that is being made fails with it.
      await this.#changes.get(key);
      return;
    }
    const concurrency = options.concurrency ?? this.#concurrency;
    const subscription = new PubSubSubscription(++this.#last, kind, name, concurrency, this.#host);
    subscription.handlers.push(handler);
    this.#byName.set(key, subscription);
    this.#byNumber.set(subscription.number, subscription);
    this.#options.set(subscription, options);
    door.hold(this.#native.id);
    try {
      const args = [KINDS.indexOf(kind), name, subscription.number, JSON.stringify(options)];
      await this.#change(key, CALL.subscribe, args);
    } catch (error) {
      this.#forget(subscription, error as Error);
      throw error;
    }
  }

  /** The handlers of one subscription share its buffer. */
  #mustAgree(subscription: PubSubSubscription, options: SubscribeOptions): void {
    const known = this.#options.get(subscription) ?? {};
    for (const option of FLOW_OPTIONS) {
      if (options[option] === undefined || options[option] === known[option]) continue;
      const allowed = `\`${known[option] ?? 'the default'}\`, as its first handler said`;
      throw invalidOption(option, `\`${options[option]}\``, allowed);
    }
  }

  async #unsubscribe(kind: SubscriptionKind, name: string, given?: unknown): Promise<void> {
    this.#mustBeOpen();
    const key = keyOf(kind, name);
    const subscription = this.#byName.get(key);
    if (!subscription) return;
    if (given !== undefined) {
      const at = subscription.handlers.findIndex((handler) => handler.given === given);
      if (at === -1) return;
      subscription.handlers.splice(at, 1);
      if (subscription.handlers.length > 0) return;
    }
    this.#forget(subscription);
    await this.#change(key, CALL.unsubscribe, [KINDS.indexOf(kind), name]);
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

  /** @returns How many messages waited on this side. */
  #forget(subscription: PubSubSubscription, error?: Error): number {
    if (!this.#byNumber.delete(subscription.number)) return 0;
    this.#byName.delete(keyOf(subscription.kind, subscription.name));
    this.#options.delete(subscription);
    door.release(this.#native.id);
    return subscription.end(error);
  }

  #hear(event: number, a: number, b: number, values: unknown[]): void {
    switch (event) {
      case EVENT.message:
        this.#byNumber.get(a)?.deliver(values[0] as string | Buffer, values[1] as string, b);
        break;
      case EVENT.overflow:
      case EVENT.closed:
        this.#overflowed(this.#byNumber.get(a), b, event === EVENT.closed);
        break;
      case EVENT.reconnected:
        this.#reconnected(values);
        break;
      default:
        this.#durable.hear(event, a, b, values);
    }
  }

  #overflowed(subscription: PubSubSubscription | undefined, dropped: number, isOver: boolean): void {
    if (!subscription) return;
    const { kind, name } = subscription;
    const waited = isOver ? this.#forget(subscription, tooSlow(kind, name)) : 0;
    this.fire('gap', { reason: 'overflow', kind, name, dropped: dropped + waited, closed: isOver });
  }

  #reconnected(values: unknown[]): void {
    this.#reconnections++;
    const lost: LostSubscription[] = [];
    for (let at = 0; at + 1 < values.length; at += 2) {
      const subscription = this.#byNumber.get(values[at] as number);
      if (!subscription) continue;
      const error = values[at + 1] as Error;
      this.#forget(subscription, error);
      lost.push({ kind: subscription.kind, name: subscription.name, error });
    }
    this.fire('gap', { reason: 'reconnected', lost });
  }

  async #call(code: number, args: (string | number | boolean)[]): Promise<unknown> {
    this.#mustBeOpen();
    return door.call(this.#native.id, code, args);
  }

  #mustBeOpen(): void {
    if (this.#closing) throw closed(this.describe());
  }
}

function keyOf(kind: SubscriptionKind, name: string): string {
  return `${kind} ${name}`;
}

function checkName(argument: string, value: unknown): string {
  if (checkText(argument, value) === '') throw invalidArgument(argument, 'empty', 'a name');
  return value as string;
}

function tooSlow(kind: SubscriptionKind, name: string): Error {
  return createError({
    code: 'ERR_OVERLOADED',
    message: `the subscription to the ${kind} \`${name}\` is ended: more messages waited for its handlers than may wait`,
    details: { [kind]: name },
  });
}
