// Stale values that help while the source fails, and only then.
import { failure, same, until, Wrong, within } from '../until.mjs';

const failing = (world) => () => world.source.load({ fails: true });

export const scenarios = [
  {
    title: 'grace: the stale value while the source fails',
    needs: ['grace'],
    async play(world) {
      const cache = await world.cache();
      const options = { ttl: 0.2, grace: 60 };
      same(await cache.getOrSet('k', world.source.load, options), 'v1', 'the first');
      await world.sleep(400);
      same(await cache.getOrSet('k', failing(world), options), 'v1', 'while the source fails');
      const there = await world.other();
      same(await there.getOrSet('k', { fails: true }, options), 'v1', 'in another process');
    },
  },
  {
    title: 'grace: a failing source is not asked by every read',
    needs: ['grace'],
    async play(world) {
      const cache = await world.cache();
      const options = { ttl: 0.2, grace: 60 };
      await cache.getOrSet('k', world.source.load, options);
      await world.sleep(900);
      world.source.loads = 0;
      for (let n = 0; n < 20; n++) same(await cache.getOrSet('k', failing(world), options), 'v1', 'while it fails');
      if (world.source.loads > 2) throw new Wrong(`20 reads asked the source ${world.source.loads} times`);
    },
  },
  {
    title: 'grace shorter than ttl: the ttl holds',
    needs: ['grace'],
    async play(world) {
      const cache = await world.cache();
      const options = { ttl: 60, grace: 0.1 };
      await cache.getOrSet('k', world.source.load, options);
      await world.sleep(500);
      same(await cache.getOrSet('k', world.source.load, options), 'v1', 'within its ttl');
      const there = await world.other();
      same(await there.get('k'), 'v1', 'in another process');
      same(world.source.loads, 1, 'loads');
    },
  },
  {
    title: 'grace: a deleted value never comes back',
    needs: ['grace'],
    async play(world) {
      const cache = await world.cache();
      const options = { ttl: 60, grace: 60 };
      await cache.getOrSet('k', world.source.load, options);
      await cache.delete('k');
      await failure(cache.getOrSet('k', failing(world), options), 'a read after the delete');
    },
  },
  {
    title: 'grace: a value that was invalidated by its tag never comes back',
    needs: ['grace', 'tags'],
    async play(world) {
      const cache = await world.cache();
      const options = { ttl: 60, grace: 60, tags: ['t'] };
      await cache.getOrSet('k', world.source.load, options);
      await cache.invalidateTag('t');
      await failure(cache.getOrSet('k', failing(world), options), 'a read after the invalidation');
    },
  },
  {
    title: 'stale-while-revalidate: the stale value at once, one refresh behind',
    needs: ['grace'],
    async play(world) {
      const cache = await world.cache();
      const options = { ttl: 0.2, swr: 60 };
      await cache.getOrSet('k', world.source.load, options);
      await world.sleep(400);
      world.source.value = 'v2';
      const slow = () => world.source.load({ takesMs: 1_500 });
      const reads = Array.from({ length: 20 }, () => cache.getOrSet('k', slow, { ttl: 60, swr: 60 }));
      same(await within(Promise.all(reads), 1_000, 'stale reads'), Array(20).fill('v1'), 'stale reads');
      await until(async () => (await cache.get('k')) === 'v2', 'the refreshed value', 5_000);
      same(world.source.loads, 2, 'loads');
    },
  },
];
