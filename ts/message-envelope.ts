import { invalidArgument } from './errors.js';
import { notSerializable } from './job-errors.js';
import { toJson } from './json.js';
import { packMessage, unpackMessage } from './message-pack.js';
import type { MessageMetadata, ReceivedMetadata } from './types/pubsub-types.js';

/** How messages are written. */
export type Serializer = 'json' | 'msgpack';

/** A message as handlers get it. */
export interface Opened {
  message: unknown;
  metadata: ReceivedMetadata | undefined;
}

/** What a message in MessagePack begins with: an object of two fields. No UTF-8 text begins so. */
const PACKED_ENVELOPE = 0x82;

/**
 * A message on the wire: `{"message": …, "metadata": {"timestamp": ISO 8601, "publishedBy"?, …}}` in JSON or MessagePack,
 * which every reader of these understands.
 *
 * @throws `ERR_NOT_SERIALIZABLE`; `ERR_INVALID_ARGUMENT` for a `timestamp` that is no time.
 */
export function seal(
  message: unknown,
  metadata: MessageMetadata | undefined,
  { publishedBy, serializer }: { publishedBy: string | undefined; serializer: Serializer },
  now: number,
): string | Buffer {
  const full: Record<string, unknown> = publishedBy === undefined ? {} : { publishedBy };
  Object.assign(full, metadata);
  full['timestamp'] = isoTime(metadata?.timestamp ?? now);
  if (serializer === 'json') {
    return `{"message":${toJson(message, 'the message', 'null')},"metadata":${toJson(full, 'the metadata', '{}')}}`;
  }
  try {
    return packMessage({ message, metadata: full });
  } catch (cause) {
    throw notSerializable('the message', cause);
  }
}

/**
 * A message of any publisher: of an envelope its content; otherwise what its JSON says, or to a reader of MessagePack its
 * MessagePack; otherwise its text or bytes.
 */
export function open(payload: string | Buffer, serializer: Serializer): Opened {
  let value: unknown;
  try {
    value = typeof payload === 'string' ? JSON.parse(payload) : unpack(payload, serializer);
  } catch {
    return { message: payload, metadata: undefined };
  }
  return isEnvelope(value) ? value : { message: value, metadata: undefined };
}

function unpack(payload: Buffer, serializer: Serializer): unknown {
  if (serializer === 'msgpack') return unpackMessage(payload);
  if (payload[0] !== PACKED_ENVELOPE) return payload;
  const value = unpackMessage(payload);
  return isEnvelope(value) ? value : payload;
}

function isoTime(time: NonNullable<MessageMetadata['timestamp']>): string {
  if (typeof time === 'string') return time;
  const date = time instanceof Date ? time : new Date(time);
  // JSON would silently make it null.
  if (Number.isNaN(date.getTime())) throw invalidArgument('metadata.timestamp', 'an invalid date', 'a time');
  return date.toISOString();
}

/** Exactly a message and its metadata: an application's own object with such fields has others too. */
function isEnvelope(value: unknown): value is { message: unknown; metadata: ReceivedMetadata } {
  if (value === null || typeof value !== 'object') return false;
  const { metadata } = value as { metadata?: unknown };
  return 'message' in value && metadata !== null && typeof metadata === 'object' && Object.keys(value).length === 2;
}
