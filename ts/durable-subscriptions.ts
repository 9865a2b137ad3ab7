import { checkFunction, checkNumber, checkObject, checkOptionNames, checkText } from './arguments.js';
import { invalidArgument } from './errors.js';
import { open, type Serializer } from './message-envelope.js';
import { door } from './native.js';
import { isThenable } from './service-emitter.js';
import { startTimeout, stopTimeout } from './system-time.js';
import type {
  DeadMessage,
  DeadMessageEvent,
  DurableDelivery,
  DurableGroup,
  DurableHandler,
  SubscribeDurableParams,
} from './types/durable-types.js';
import type { MessageGap } from './types/pubsub-types.js';

/** Calls and events; the numbers are those of `src/node/durable_channels.rs`. */
const CALL = { append: 16, join: 17, settle: 18, leave: 19, replay: 20, deadMessages: 21, groups: 22 } as const;
const EVENT = { message: 16, dead: 17, trimmed: 18, reset: 19, failed: 20 } as const;

const DEFAULT_MAX_LENGTH = 100_000;
const DEFAULT_LISTED = 100;
/** How long handlers that run are waited for before their messages are left to others. */
const PATIENCE_MS = 5_000;
const OPTIONS = ['from', 'concurrency', 'maxDeliveries', 'claimAfter', 'retryDelay', 'maxDead'];

/** What durable subscriptions need of their service. */
export interface DurableHost {
  readonly target: number;
  readonly serializer: Serializer;
  failed(error: unknown): void;
  dead(event: DeadMessageEvent): void;
  gap(gap: MessageGap): void;
}

interface Waiting {
  id: string;
  deliveries: number;
  payload: string | Buffer;
}

/** The subscriptions of one service to channels that are kept. */
export class DurableSubscriptions {
  readonly #host: DurableHost;
  readonly #byName = new Map<string, DurableSubscription>();
  readonly #byNumber = new Map<number, DurableSubscription>();
  #last = 0;

  constructor(host: DurableHost) {
    this.#host = host;
  }

  async publish(channel: unknown, payload: string | Buffer, maxLength: unknown = DEFAULT_MAX_LENGTH): Promise<string> {
    const args = [checkText('channel', channel), payload, checkNumber('maxLength', maxLength)];
    return (await door.call(this.#host.target, CALL.append, args)) as string;
  }

  async subscribe(params: SubscribeDurableParams): Promise<void> {
    const { channel, group, handler, ...options } = checkObject('params', params);
    checkText('channel', channel);
    checkText('group', group);
    checkFunction(handler, 'handler');
    checkOptionNames(options, OPTIONS);
    const key = keyOf(channel, group);
    if (this.#byName.has(key)) {
      throw invalidArgument('group', `\`${group}\`, which this service subscribes to already`, 'one handler for each');
    }
    const number = ++this.#last;
    const settle = (id: string, succeeded: boolean) => {
      door.call(this.#host.target, CALL.settle, [number, id, succeeded]).catch(() => undefined);
    };
    const subscription = new DurableSubscription(
      number,
      channel,
      group,
      handler,
      this.#host,
      settle,
      options.concurrency,
    );
    this.#byName.set(key, subscription);
    this.#byNumber.set(number, subscription);
    door.hold(this.#host.target);
    try {
      await door.call(this.#host.target, CALL.join, [number, channel, group, JSON.stringify(options)]);
    } catch (error) {
      this.#forget(subscription);
      throw error;
    }
  }

  async unsubscribe(channel: string, group: string): Promise<void> {
    const subscription = this.#byName.get(keyOf(checkText('channel', channel), checkText('group', group)));
    if (subscription) await this.#leave(subscription);
  }

  async replay(channel: unknown, group: unknown, from: unknown): Promise<void> {
    const args = [checkText('channel', channel), checkText('group', group), checkText('from', from)];
    await door.call(this.#host.target, CALL.replay, args);
  }

  async deadMessages(
    channel: unknown,
    group: unknown,
    { after = '', count = DEFAULT_LISTED }: { after?: string; count?: number },
  ): Promise<DeadMessage[]> {
    const names = [checkText('channel', channel), checkText('group', group)];
    const args = [...names, checkText('after', after), checkNumber('count', count)];
    const values = (await door.call(this.#host.target, CALL.deadMessages, args)) as any[];
    return rows(values, 4).map(([id, deliveries, payload, place]) => {
      const { message, metadata } = open(payload, this.#host.serializer);
      return { id, deliveries, message, ...(metadata && { metadata }), place };
    });
  }

  async groups(channel: unknown): Promise<DurableGroup[]> {
    const values = (await door.call(this.#host.target, CALL.groups, [checkText('channel', channel)])) as any[];
    return rows(values, 5).map(([name, consumers, pending, lastDelivered, lag]) => {
      return { name, consumers, pending, lag, lastDelivered };
    });
  }

  hear(event: number, number: number, count: number, values: unknown[]): void {
    const subscription = this.#byNumber.get(number);
    if (!subscription) return;
    const { channel, group } = subscription;
    const [first] = values;
    switch (event) {
      case EVENT.message:
        subscription.deliver({ id: first as string, deliveries: count, payload: values[1] as string | Buffer });
        break;
      case EVENT.dead:
        this.#host.dead({ id: first as string, channel, group, deliveries: count });
        break;
      case EVENT.trimmed:
        this.#host.gap({ reason: 'trimmed', channel, group, dropped: count });
        break;
      case EVENT.reset:
        this.#host.gap({ reason: 'reset', channel, group });
        break;
      case EVENT.failed:
        this.#host.failed(first);
        break;
      default:
    }
  }

  /** Leaves every group, after its running handlers. */
  async close(): Promise<void> {
    await Promise.all([...this.#byNumber.values()].map((subscription) => this.#leave(subscription)));
  }

  async #leave(subscription: DurableSubscription): Promise<void> {
    await subscription.end();
    this.#forget(subscription);
    await door.call(this.#host.target, CALL.leave, [subscription.number]);
  }

  #forget(subscription: DurableSubscription): void {
    if (!this.#byNumber.delete(subscription.number)) return;
    this.#byName.delete(keyOf(subscription.channel, subscription.group));
    door.release(this.#host.target);
  }
}

/** The handler of one group: takes messages in their order, so many at a time. */
class DurableSubscription {
  readonly #waiting: Waiting[] = [];
  #running = 0;
  #ended = false;
  #idle: (() => void) | undefined;

  constructor(
    readonly number: number,
    readonly channel: string,
    readonly group: string,
    private readonly handler: DurableHandler,
    private readonly host: DurableHost,
    private readonly settle: (id: string, succeeded: boolean) => void,
    private readonly concurrency = 1,
  ) {}

  deliver(message: Waiting): void {
    if (this.#ended) return;
    this.#waiting.push(message);
    this.#pump();
  }

  /** Resolves when no handler runs, or has run for too long to be waited for. What waits is left to others. */
  async end(): Promise<void> {
    this.#ended = true;
    this.#waiting.length = 0;
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      const timer = startTimeout(resolve, PATIENCE_MS);
      this.#idle = () => {
        stopTimeout(timer);
        resolve();
      };
    });
  }

  #pump(): void {
    while (this.#running < this.concurrency) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#running++;
      this.#handle(next);
    }
  }

  #handle({ id, deliveries, payload }: Waiting): void {
    const { message, metadata } = open(payload, this.host.serializer);
    const delivery: DurableDelivery = { id, channel: this.channel, group: this.group, deliveries };
    try {
      const outcome: unknown = this.handler(message, metadata, delivery);
      if (!isThenable(outcome)) {
        this.#finish(id, true);
        return;
      }
      outcome.then(
        () => this.#finishLater(id, true),
        (error: unknown) => {
          this.host.failed(error);
          this.#finishLater(id, false);
        },
      );
    } catch (error) {
      this.host.failed(error);
      this.#finish(id, false);
    }
  }

  #finishLater(id: string, succeeded: boolean): void {
    this.#finish(id, succeeded);
    this.#pump();
  }

  #finish(id: string, succeeded: boolean): void {
    this.#running--;
    this.settle(id, succeeded);
    if (this.#running === 0) this.#idle?.();
  }
}

function keyOf(channel: string, group: string): string {
  return JSON.stringify([channel, group]);
}

function rows(values: any[], width: number): any[][] {
  return Array.from({ length: values.length / width }, (_, at) => values.slice(at * width, (at + 1) * width));
}
