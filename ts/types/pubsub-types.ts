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

/** Takes messages of a channel, one after the other: the next one waits for its promise. */
export type MessageHandler<Message = any> = (message: Message, metadata?: ReceivedMetadata) => void | Promise<void>;

/** Takes messages of a pattern, one after the other. */
export type PatternHandler<Message = any> = (
  channel: string,
  message: Message,
  metadata?: ReceivedMetadata,
) => void | Promise<void>;

export interface PubSubOptions {
  redis?: RedisConfig;
  /** In front of every channel and pattern, joined by `:`. Default: none. */
  channelPrefix?: string;
  /** How messages are written. Default, and the only one: `json`. */
  serializer?: 'json';
  /** Repeats a publish that failed in a way that may pass. A message may then arrive twice. Default false. */
  retryOnError?: boolean;
  /** How often at most, with `retryOnError`. Default 3. */
  maxRetries?: number;
  /** Stands in the metadata of what this service publishes. Default: nothing. */
  publishedBy?: string;
  /** Messages of one channel or pattern that may wait for their handlers; further ones are dropped and reported. Default 10,000. */
  maxPendingMessages?: number;
  /** Bytes of messages that may wait likewise. Default 64 MiB. */
  maxPendingBytes?: number;
}

/** A subscription that the server refused to restore after a reconnection. */
export interface LostSubscription {
  kind: 'channel' | 'pattern';
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
      kind: 'channel' | 'pattern';
      name: string;
      dropped: number;
    };
