import { failure, same, Wrong } from '../until.mjs';

const crowd = (cache, load, options = { ttl: 60 }) =>
  Array.from({ length: 100 }, () => cache.getOrSet('k', load, options));

export const scenarios = [
  {
    title: '100 callers of a cold key: one load',
    needs: [],
    async play(world) {
      const cache = await world.cache();
      const values = await Promise.all(crowd(cache, () => world.source.load({ takesMs: 20 })));
      same(values, Array(100).fill('v1'), 'values');
      same(world.source.loads, 1, 'loads');
    },
  },
  {
    title: 'a failing factory with 100 waiters: asked once, all get its error',
    needs: [],
    async play(world) {
      const cache = await world.cache();
      const errors = await Promise.all(
        crowd(cache, () => world.source.load({ takesMs: 20, fails: true })).map((one) => failure(one, 'a waiter')),
      );
      const strange = errors.find((error) => ![error.message, error.cause?.message].includes('the source is down'));
      if (strange) throw new Wrong(`a waiter got another error: ${strange.message}`);
      same(world.source.loads, 1, 'loads');
    },
  },
  {
    title: 'a factory that failed is asked again by the next caller, and its value is stored',
    needs: [],
    async play(world) {
      const cache = await world.cache();
      await failure(
        cache.getOrSet('k', () => world.source.load({ fails: true }), { ttl: 60 }),
        'the first',
      );
      same(await cache.getOrSet('k', world.source.load, { ttl: 60 }), 'v1', 'the second');
      same(await cache.getOrSet('k', world.source.load, { ttl: 60 }), 'v1', 'the third');
      same(world.source.loads, 2, 'loads');
    },
  },
];
