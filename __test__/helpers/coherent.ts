import type { CacheService } from '../../ts/index.js';
import { inMemory } from './redis-server.js';
import { waitFor } from './wait-for.js';

/**
 * Waits until the server tells of changes to what the caches of this process read: that it begins ends every copy, once.
 * The engine in this process tells of none.
 */
export async function coherent(cache: CacheService<any, any>): Promise<void> {
  if (inMemory) return;
  await waitFor(async () => (await cache.health()).coherent, { what: 'the server that tells of changes' });
}
