import type { RedisConfig } from './redis-config.js';

/** What travels beside a message. */
export interface MessageMetadata {
  userId?: string;
  /** Default: the time of the call. */
  timestamp?: Date | string | number;
  correlationId?: string;
  [name: string]: unknown;
}

/** Metadata as it arrives: what the publisher gave, `timestamp` as ISO 8601 text. */
export interface ReceivedMetadata {
  userId?: string;
  timestamp?: string;
  correlationId?: string;
  /** `publishedBy` of the service that published. */
  publishedBy?: string;
  [name: string]: unknown;
}

/** Takes messages of a channel, in their order. With `concurrency` 1 the next one waits for its promise. */
export type MessageHandler<Message = any> = (message: Message, metadata?: ReceivedMetadata) => void | Promise<void>;

/** Takes messages of a pattern, in their order. */
export type PatternHandler<Message = any> = (
  channel: string,
  message: Message,
  metadata?: ReceivedMetadata,
) => void | Promise<void>;

/**
 * What happens when more waits for handlers than may wait:
 *
 * - `drop-newest`: what arrives is dropped;
 * - `drop-oldest`: what has waited longest is dropped, of what was not handed to this thread yet (at most a quarter of
 *   `maxPendingMessages`, or `concurrency` messages, are at one time);
 * - `close`: the subscription ends, and what waits with it, as Redis itself ends a client that does not read.
 */
export type OverflowPolicy = 'drop-newest' | 'drop-oldest' | 'close';

/** How the messages of one channel or pattern are handed over; all its handlers share it. */
export interface SubscribeOptions {
  /** Messages that are handed over before the first of them is done, 1 to 1,000: above 1 they end in any order. Default: the service's. */
  concurrency?: number;
  /** Default: the service's. */
  overflow?: OverflowPolicy;
  /** Default: the service's. */
  maxPendingMessages?: number;
}

export interface PubSubOptions {
  redis?: RedisConfig;
  /** In front of every channel and pattern, joined by `:`. Default: none. */
  channelPrefix?: string;
  /**
   * How messages are written: `json`, which everybody reads, or `msgpack`, which is smaller and gives `Date`, `Map`, `Set`,
   * `BigInt`, `Buffer` and typed arrays back as they were. Services read both. Default `json`.
   */
  serializer?: 'json' | 'msgpack';
  /** Repeats a publish that failed in a way that may pass. A message may then arrive twice. Default false. */
  retryOnError?: boolean;
  /** How often at most, with `retryOnError`. Default 3. */
  maxRetries?: number;
  /**
   * Milliseconds that a publish may take, its wait for a connection and repetitions included. Default: as long as
   * `commandTimeout` of the connection and the repetitions allow.
   */
  publishTimeout?: number;
  /** Stands in the metadata of what this service publishes. Default: nothing. */
  publishedBy?: string;
  /** Messages of one channel or pattern that are handed over before the first of them is done. Default 1. */
  concurrency?: number;
  /** What happens when more waits for handlers than may wait; `gap` tells. Default `drop-newest`. */
  overflow?: OverflowPolicy;
  /** Messages of one channel or pattern that may wait for their handlers. Default 10,000. */
  maxPendingMessages?: number;
  /** Bytes of messages that may wait likewise. Default 64 MiB. */
  maxPendingBytes?: number;
  /** Bytes of messages that may wait for all handlers of the service. Default 256 MiB. */
  maxTotalPendingBytes?: number;
}

/** A channel; a channel of a cluster's shard; a pattern. */
export type SubscriptionKind = 'channel' | 'shard' | 'pattern';

/** A subscription that the server refused to restore after a reconnection. */
export interface LostSubscription {
  kind: SubscriptionKind;
  name: string;
  error: Error;
}

/** Messages were, or may have been, lost. */
export type MessageGap =
  | {
      /** The connection broke and is back: what was published meanwhile did not arrive. */
      reason: 'reconnected';
      /** Subscriptions that are no longer active. */
      lost: LostSubscription[];
    }
  | {
      /** Handlers are too slow: so many messages of the subscription were dropped since the last report. */
      reason: 'overflow';
      kind: SubscriptionKind;
      name: string;
      dropped: number;
      /** Whether the subscription was ended for it (`overflow: 'close'`). */
      closed: boolean;
    }
  | {
      /** So many messages of a channel that is kept were removed, by newer ones, before a group was done with them. */
      reason: 'trimmed';
      channel: string;
      group: string;
      dropped: number;
    }
  | {
      /** A channel that is kept, or the group, was deleted: the group is there again, with what was published since. */
      reason: 'reset';
      channel: string;
      group: string;
    };

/** What {@link PubSubService.messages} reads. */
export type MessageSource = { channel: string; sharded?: boolean } | { pattern: string };

/** A message of {@link PubSubService.messages}. */
export interface ReceivedMessage<Message = any> {
  channel: string;
  message: Message;
  metadata?: ReceivedMetadata;
}

/** Counts of one subscription since it began. */
export interface SubscriptionStats {
  kind: SubscriptionKind;
  name: string;
  handlers: number;
  /** Messages that arrived. */
  received: number;
  /** Messages that all handlers are done with. */
  handled: number;
  /** Calls of handlers that failed. */
  failed: number;
  /** Messages that were dropped because too many waited. */
  dropped: number;
  /** Messages that wait or are being handled, and their bytes. */
  pending: number;
  pendingBytes: number;
}

export interface PubSubStats {
  /** Messages that this service has published. */
  published: number;
  /** How often subscriptions had to be restored. */
  reconnections: number;
  subscriptions: SubscriptionStats[];
}
