import type { CacheService } from '../../ts/index.js';
import { waitFor } from './wait-for.js';

/**
 * Waits until the server tells of changes to what the caches of this process read: that it begins ends every copy, once.
 */
export async function coherent(cache: CacheService<any, any>): Promise<void> {
  await waitFor(async () => (await cache.health()).coherent, { what: 'the server that tells of changes' });
}
