// getOrSet hits of one contender, so many in flight. Prints nanoseconds per hit as JSON.
import { createRequire } from 'node:module';
import { measure } from '../harness/cpu.mjs';

const require = createRequire(import.meta.url);
const { contender, port, hits, keys, inFlight } = JSON.parse(process.argv[2]);

const user = (id) => ({
  id,
  name: `User ${id}`,
  email: `user${id}@example.org`,
  roles: ['reader', 'author'],
  settings: { theme: 'dark', language: 'en', notifications: true },
  createdAt: '2026-02-07T10:00:00.000Z',
});

const caches = {
  async oxcart() {
    const { CacheService } = require('../../index.js');
    const cache = new CacheService({ redis: { host: '127.0.0.1', port }, prefix: 'bench:' });
    return { getOrSet: (key, factory) => cache.getOrSet(key, factory, 3600), close: () => cache.close() };
  },
  async 'lru-cache'() {
    const { LRUCache } = require('lru-cache');
    const cache = new LRUCache({ max: 10_000, ttl: 3_600_000 });
    // Its users write the cache-aside step themselves.
    const getOrSet = async (key, factory) => {
      const found = cache.get(key);
      if (found !== undefined) return found;
      const value = await factory();
      cache.set(key, value);
      return value;
    };
    return { getOrSet, close() {} };
  },
  async 'lru-cache fetch()'() {
    const { LRUCache } = require('lru-cache');
    const cache = new LRUCache({ max: 10_000, ttl: 3_600_000, fetchMethod: (_key, _stale, { context }) => context() });
    return { getOrSet: (key, factory) => cache.fetch(key, { context: factory }), close() {} };
  },
  async 'oxcart, Redis only'() {
    const { CacheService } = require('../../index.js');
    const redis = { host: '127.0.0.1', port };
    const cache = new CacheService({ redis, prefix: 'bench:', level1: { enabled: false } });
    return { getOrSet: (key, factory) => cache.getOrSet(key, factory, 3600), close: () => cache.close() };
  },
  async 'bentocache, Redis only'() {
    const { BentoCache, bentostore } = await import('bentocache');
    const { redisDriver } = await import('bentocache/drivers/redis');
    const store = bentostore().useL2Layer(redisDriver({ connection: { host: '127.0.0.1', port } }));
    const bento = new BentoCache({ default: 'store', stores: { store } });
    return {
      getOrSet: (key, factory) => bento.getOrSet({ key, factory, ttl: '1h' }),
      close: () => bento.disconnectAll(),
    };
  },
  async cacheable() {
    const { Cacheable } = await import('cacheable');
    const { default: KeyvRedis } = await import('@keyv/redis');
    const cache = new Cacheable({ secondary: new KeyvRedis(`redis://127.0.0.1:${port}`) });
    return {
      getOrSet: (key, factory) => cache.getOrSet(key, factory, { ttl: 3_600_000 }),
      close: () => cache.disconnect(),
    };
  },
  async 'cache-manager'() {
    const { createCache } = await import('cache-manager');
    const { Keyv } = await import('keyv');
    const { default: KeyvRedis } = await import('@keyv/redis');
    const stores = [new Keyv(), new Keyv({ store: new KeyvRedis(`redis://127.0.0.1:${port}`) })];
    const cache = createCache({ stores });
    return {
      getOrSet: (key, factory) => cache.wrap(key, factory, 3_600_000),
      close: () => cache.disconnect(),
    };
  },
  bentocache: () => bentocache(port, true),
  'bentocache, memory only, not serialized': () => bentocache(port, false),
};

async function bentocache(redisPort, serialize) {
  const { BentoCache, bentostore } = await import('bentocache');
  const { memoryDriver } = await import('bentocache/drivers/memory');
  const { redisDriver } = await import('bentocache/drivers/redis');
  const memory = bentostore().useL1Layer(memoryDriver({ maxItems: 10_000, serialize }));
  // Values that were never serialized cannot be shared through Redis: bentocache then has the memory layer alone.
  const store = serialize
    ? memory.useL2Layer(redisDriver({ connection: { host: '127.0.0.1', port: redisPort } }))
    : memory;
  const bento = new BentoCache({ default: 'store', stores: { store } });
  return {
    getOrSet: (key, factory) => bento.getOrSet({ key, factory, ttl: '1h' }),
    close: () => bento.disconnectAll(),
  };
}

const cache = await caches[contender]();
const names = Array.from({ length: keys }, (_, id) => `user:profile:${id}`);
for (const [id, name] of names.entries()) await cache.getOrSet(name, async () => user(id));

let missed = 0;
const factory = async () => {
  missed += 1;
  return null;
};
/** Hits one after the other: every `inFlight`th key from `start` on. */
async function lane(start, count) {
  let sum = 0;
  for (let turn = start; turn < count; turn += inFlight) {
    const value = await cache.getOrSet(names[turn % keys], factory);
    sum += value.id;
  }
  return sum;
}

async function hit(count) {
  if (inFlight === 1) return lane(0, count);
  const sums = await Promise.all(Array.from({ length: inFlight }, (_, start) => lane(start, count)));
  return sums.reduce((all, sum) => all + sum, 0);
}

await hit(hits / 5);
globalThis.gc?.();
const end = measure();
const sum = await hit(hits);
const { mainMicros, totalMicros, seconds } = end();
if (missed > 0 || sum === 0) throw new Error(`${missed} of the hits were misses`);
console.log(
  JSON.stringify({
    nanos: (seconds * 1e9) / hits,
    mainNanos: (mainMicros * 1000) / hits,
    totalNanos: (totalMicros * 1000) / hits,
  }),
);
await cache.close();
process.exit(0);
