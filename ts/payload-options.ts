import { invalidOption } from './errors.js';
import type { PayloadOptions } from './types/payload-types.js';

/** Options as the native side reads them: keys are base64. */
export function nativePayload(payload: PayloadOptions | undefined): PayloadOptions | undefined {
  const encryption = payload?.encryption;
  if (!encryption || typeof encryption !== 'object') return payload;
  const { keys } = encryption;
  if (keys === null || typeof keys !== 'object') {
    throw invalidOption('payload.encryption.keys', typeof keys, 'an object of ids and keys');
  }
  const texts = Object.entries(keys).map(([id, key]) => [
    id,
    key instanceof Uint8Array ? Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('base64') : key,
  ]);
  return { ...payload, encryption: { ...encryption, keys: Object.fromEntries(texts) as Record<string, string> } };
}

/** Whether a stored value is an envelope that nobody has opened. */
export function isSealed(value: unknown): boolean {
  return (
    value !== null && typeof value === 'object' && (value as { $oxcart?: unknown }).$oxcart === 1 && 'data' in value
  );
}
