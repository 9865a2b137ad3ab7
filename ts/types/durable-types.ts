import type { MessageMetadata, ReceivedMetadata } from './pubsub-types.js';

/** What a handler learns of a message that is kept, besides its content. */
export interface DurableDelivery {
  /** Id of the message in its channel; ids grow. */
  id: string;
  channel: string;
  group: string;
  /** How often the message was handed over, this time included. Above 1, it may have been handled already. */
  deliveries: number;
}

/** Takes messages that are kept. When it returns, or its promise resolves, the message is done; when it fails, it comes again. */
export type DurableHandler<Message = any> = (
  message: Message,
  metadata: ReceivedMetadata | undefined,
  delivery: DurableDelivery,
) => void | Promise<void>;

export interface PublishDurableParams<Message = unknown> {
  channel: string;
  message: Message;
  metadata?: MessageMetadata;
  /** About so many messages of the channel are kept, the newest. Default 100,000; up to 1,000,000,000. */
  maxLength?: number;
}

export interface SubscribeDurableParams<Message = any> {
  channel: string;
  /** Each group gets every message; within a group, one subscriber does. */
  group: string;
  handler: DurableHandler<Message>;
  /**
   * Where the group begins when it is made now: `new`, with what is published from now on; `start`, with the oldest
   * message that is kept; or after the message of an id. Default `new`. A group that is there goes on where it was.
   */
  from?: string;
  /** Messages that are handled at one time, 1 to 1,000. Default 1: one after the other, in their order. */
  concurrency?: number;
  /** How often a message is handed over before it is dead, 1 to 1,000. Default 5. */
  maxDeliveries?: number;
  /** Milliseconds without a sign of life of a process after which its messages are taken over, 100 to 3,600,000. Default 30,000. */
  claimAfter?: number;
  /** Milliseconds before a message whose handler failed comes again; doubles each time, up to `claimAfter`. Default 1,000. */
  retryDelay?: number;
  /** Dead messages that are kept, about. Default 10,000. */
  maxDead?: number;
}

/** A message that was handed over too often. */
export interface DeadMessage<Message = any> {
  id: string;
  deliveries: number;
  message: Message;
  metadata?: ReceivedMetadata;
  /** For `after`, to go on from here. */
  place: string;
}

/** A message is dead: its handlers failed, or their processes died, `maxDeliveries` times. */
export interface DeadMessageEvent {
  id: string;
  channel: string;
  group: string;
  deliveries: number;
}

/** A group of subscribers of a channel. */
export interface DurableGroup {
  name: string;
  /** Members, those that are gone for less than an hour with them. */
  consumers: number;
  /** Messages that were handed over and are not done. */
  pending: number;
  /** Messages that were not handed over yet; `null` where the server does not know (before Redis 7). */
  lag: number | null;
  /** Id of the newest message that was handed over. */
  lastDelivered: string;
}
