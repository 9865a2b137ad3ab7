const milliseconds = (seconds) => (seconds === undefined ? undefined : seconds * 1000);

export const cacheManager = {
  name: 'cache-manager',
  packages: ['cache-manager', 'keyv', '@keyv/redis'],
  lacks: [
    'tags',
    'patterns',
    'coherence',
    'foreign writers',
    'loads once across processes',
    'abort',
    'grace',
    'factory timeouts',
  ],
  tagMarkers: () => [],
  async open({ port, prefix }) {
    const { createCache } = await import('cache-manager');
    const { Keyv } = await import('keyv');
    const { default: KeyvRedis } = await import('@keyv/redis');
    const remote = new Keyv({ store: new KeyvRedis(`redis://127.0.0.1:${port}`), namespace: prefix });
    remote.on('error', () => undefined);
    const cache = createCache({ stores: [new Keyv(), remote] });
    cache.on('error', () => undefined);
    return {
      get: async (key) => (await cache.get(key)) ?? null,
      set: (key, value, { ttl } = {}) => cache.set(key, value, milliseconds(ttl)),
      getOrSet: (key, factory, { ttl } = {}) => cache.wrap(key, async () => factory({}), milliseconds(ttl)),
      delete: (key) => cache.del(key),
      clear: () => cache.clear(),
      close: () => cache.disconnect(),
    };
  },
};
