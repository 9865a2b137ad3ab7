import { createRequire } from 'node:module';
import { until } from '../until.mjs';

const { CacheService } = createRequire(import.meta.url)('../../../index.js');

export const oxcart = {
  name: 'oxcart',
  packages: ['oxcart'],
  /** What the scenarios need and it does not offer. */
  lacks: [],
  /** Titles of scenarios that it is known to fail; the suite leaves them out. */
  fails: [],
  /** Of the keys in Redis, those that say which tags were invalidated. */
  tagMarkers: (keys) => keys.filter((key) => key.includes('#tag')),
  async open({ port, prefix, reachable = true, patienceMs }) {
    const redis = { host: '127.0.0.1', port, commandTimeout: patienceMs };
    const cache = new CacheService({ redis, prefix, coherence: this.coherence });
    cache.on('error', () => undefined);
    if (reachable) await until(async () => (await cache.health()).coherent, 'word of changes');
    return {
      get: (key) => cache.get(key),
      set: (key, value, options) => cache.set(key, value, options),
      getOrSet: (key, factory, options) => cache.getOrSet(key, factory, options),
      delete: (key) => cache.delete(key),
      invalidateTag: (tag) => cache.invalidateByTag(tag),
      deletePattern: (pattern) => cache.deletePattern(pattern),
      clear: () => cache.flush(),
      close: () => cache.close(),
    };
  },
};

/** The same where the server does not tell of changes. Its users need not choose it, so it has no column of its own. */
export const oxcartBus = { ...oxcart, name: 'oxcart-bus', lacks: ['foreign writers'], coherence: 'bus' };
