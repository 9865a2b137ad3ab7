import { invalidArgument } from './errors.js';
import { toJson } from './json.js';
import type { MessageMetadata, ReceivedMetadata } from './types/pubsub-types.js';

/** A message as handlers get it. */
export interface Opened {
  message: unknown;
  metadata: ReceivedMetadata | undefined;
}

/**
 * A message on the wire: `{"message": …, "metadata": {"timestamp": ISO 8601, "publishedBy"?, …}}`, which every reader
 * of JSON understands.
 *
 * @throws `ERR_NOT_SERIALIZABLE`; `ERR_INVALID_ARGUMENT` for a `timestamp` that is no time.
 */
export function seal(
  message: unknown,
  metadata: MessageMetadata | undefined,
  publishedBy: string | undefined,
  now: number,
): string {
  const full: Record<string, unknown> = publishedBy === undefined ? {} : { publishedBy };
  Object.assign(full, metadata);
  full['timestamp'] = isoTime(metadata?.timestamp ?? now);
  return `{"message":${toJson(message, 'the message', 'null')},"metadata":${toJson(full, 'the metadata', '{}')}}`;
}

/** A message of any publisher: of an envelope its content, otherwise what its JSON says, otherwise its text or bytes. */
export function open(payload: string | Buffer): Opened {
  if (typeof payload !== 'string') return { message: payload, metadata: undefined };
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    return { message: payload, metadata: undefined };
  }
  return isEnvelope(value) ? value : { message: value, metadata: undefined };
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
