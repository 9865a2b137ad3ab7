const milliseconds = (seconds) => (seconds === undefined ? undefined : seconds * 1000);

export const cacheable = {
  name: 'cacheable',
  packages: ['cacheable', '@keyv/redis', '@qified/redis'],
  lacks: ['patterns', 'foreign writers', 'loads once across processes', 'abort', 'grace', 'factory timeouts'],
  tagMarkers: (keys) => keys.filter((key) => key.includes(':tag:')),
  async open({ port, prefix }) {
    const { Cacheable } = await import('cacheable');
    const { default: KeyvRedis } = await import('@keyv/redis');
    const { RedisMessageProvider } = await import('@qified/redis');
    const sync = new RedisMessageProvider({ uri: `redis://127.0.0.1:${port}` });
    const cache = new Cacheable({
      namespace: prefix,
      secondary: new KeyvRedis(`redis://127.0.0.1:${port}`),
      tags: true,
      sync: { qified: sync },
    });
    cache.on('error', () => undefined);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const stored = ({ ttl, tags } = {}) => ({ ttl: milliseconds(ttl), ...(tags && { tags }) });
    return {
      get: async (key) => (await cache.get(key)) ?? null,
      set: (key, value, options) => cache.set(key, value, stored(options)),
      async getOrSet(key, factory, options = {}) {
        if (!options.tags) {
          return cache.getOrSet(key, async () => factory({}), {
            ttl: milliseconds(options.ttl),
            throwErrors: 'function',
          });
        }
        // Its getOrSet takes no tags: its users write the cache-aside step themselves.
        const found = await cache.get(key);
        if (found !== undefined) return found;
        const value = await factory({});
        await cache.set(key, value, stored(options));
        return value;
      },
      delete: (key) => cache.delete(key),
      invalidateTag: (tag) => cache.tags.invalidateTag(tag),
      clear: () => cache.clear(),
      close: () => cache.disconnect(),
    };
  },
};
