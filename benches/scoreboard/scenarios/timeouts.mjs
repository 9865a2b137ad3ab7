// A factory that takes longer than its caller waits.
import { failure, same, until, within } from '../until.mjs';

const slow = (world) => () => world.source.load({ takesMs: 1_500 });

export const scenarios = [
  {
    title: 'soft timeout: the stale value in time, and the late result is stored',
    needs: ['grace', 'factory timeouts'],
    async play(world) {
      const cache = await world.cache();
      await cache.getOrSet('k', world.source.load, { ttl: 0.2, grace: 60 });
      await world.sleep(400);
      world.source.value = 'v2';
      const options = { ttl: 60, grace: 60, softTimeout: 0.1 };
      same(await within(cache.getOrSet('k', slow(world), options), 1_000, 'the caller'), 'v1', 'the caller');
      await until(async () => (await cache.get('k')) === 'v2', 'the late result', 5_000);
      same(world.source.loads, 2, 'loads');
    },
  },
  {
    title: 'hard timeout: an error in time, and the late result is stored',
    needs: ['factory timeouts'],
    async play(world) {
      const cache = await world.cache();
      const options = { ttl: 60, hardTimeout: 0.1 };
      await within(failure(cache.getOrSet('k', slow(world), options), 'the caller'), 1_000, 'the caller');
      await until(async () => (await cache.get('k')) === 'v1', 'the late result', 5_000);
    },
  },
  {
    title: 'hard timeout: impatient callers start no second load',
    needs: ['factory timeouts'],
    async play(world) {
      const cache = await world.cache();
      const options = { ttl: 60, hardTimeout: 0.05 };
      for (let n = 0; n < 5; n++) await failure(cache.getOrSet('k', slow(world), options), 'a caller');
      same(world.source.most, 1, 'loads at once');
    },
  },
  {
    title: 'hard timeout, then a delete: the late result is dropped',
    needs: ['factory timeouts'],
    async play(world) {
      const cache = await world.cache();
      await failure(cache.getOrSet('k', slow(world), { ttl: 60, hardTimeout: 0.05 }), 'the caller');
      world.source.value = 'v2';
      await cache.delete('k');
      await until(() => world.source.running === 0, 'the end of the load', 5_000);
      await world.sleep(200);
      same(await cache.getOrSet('k', world.source.load, { ttl: 60 }), 'v2', 'after the late result');
    },
  },
];
