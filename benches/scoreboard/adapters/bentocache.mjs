const milliseconds = (seconds) => (seconds === undefined ? undefined : seconds * 1000);

export const bentocache = {
  name: 'bentocache',
  packages: ['bentocache', 'ioredis'],
  lacks: ['patterns', 'foreign writers', 'loads once across processes', 'abort'],
  tagMarkers: (keys) => keys.filter((key) => key.includes('__bc:t:')),
  async open({ port, prefix }) {
    const { BentoCache, bentostore } = await import('bentocache');
    const { memoryDriver } = await import('bentocache/drivers/memory');
    const { redisBusDriver, redisDriver } = await import('bentocache/drivers/redis');
    const connection = { host: '127.0.0.1', port };
    const bento = new BentoCache({
      default: 'store',
      prefix: prefix.replace(/:$/, ''),
      stores: {
        store: bentostore()
          .useL1Layer(memoryDriver({ maxItems: 10_000 }))
          .useL2Layer(redisDriver({ connection }))
          .useBus(redisBusDriver({ connection })),
      },
    });
    const entry = ({ ttl, tags, swr, grace = swr, softTimeout = swr && 0, hardTimeout } = {}) => ({
      ttl: milliseconds(ttl),
      tags,
      ...(grace !== undefined && { grace: milliseconds(grace) }),
      ...(softTimeout !== undefined && { timeout: milliseconds(softTimeout) }),
      ...(hardTimeout !== undefined && { hardTimeout: milliseconds(hardTimeout) }),
    });
    // The bus subscribes behind the constructor's back and tells nobody when it has.
    await new Promise((resolve) => setTimeout(resolve, 300));
    return {
      get: async (key) => (await bento.get({ key })) ?? null,
      set: (key, value, options) => bento.set({ key, value, ...entry(options) }),
      getOrSet: (key, factory, options) => bento.getOrSet({ key, factory, ...entry(options) }),
      delete: (key) => bento.delete({ key }),
      invalidateTag: (tag) => bento.deleteByTag({ tags: [tag] }),
      clear: () => bento.clear(),
      close: () => bento.disconnectAll(),
    };
  },
};
