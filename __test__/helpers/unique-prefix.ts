import { randomUUID } from 'node:crypto';

/** A key prefix, queue name or channel that no other test uses: `uniquePrefix('orders')` -> `orders-3f2a…`. */
export function uniquePrefix(name = 'test'): string {
  return `${name}-${randomUUID().slice(0, 8)}`;
}
