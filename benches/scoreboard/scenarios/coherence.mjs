// What other processes change, and what the bus between them misses.
import { same, until } from '../until.mjs';

export const scenarios = [
  {
    title: "another process's write is seen within a second",
    needs: ['coherence'],
    async play(world) {
      const here = await world.cache();
      const there = await world.other();
      await here.set('k', 'v1', { ttl: 60 });
      same(await here.get('k'), 'v1', 'before');
      await there.set('k', 'v2', { ttl: 60 });
      await until(async () => (await here.get('k')) === 'v2', 'the write', 1_000);
    },
  },
  {
    title: "a foreign writer's change is seen within a second",
    needs: ['foreign writers'],
    async play(world) {
      const here = await world.cache();
      await here.set('k', 'v1', { ttl: 60 });
      same(await here.get('k'), 'v1', 'before');
      await world.redis('SET', `${world.prefix}k`, '"v2"');
      await until(async () => (await here.get('k')) === 'v2', 'the write', 1_000);
    },
  },
  ...['set', 'delete', 'tag'].map((change) => ({
    title: `missed bus message (${change}): not stale after the connection is back`,
    needs: change === 'tag' ? ['coherence', 'tags'] : ['coherence'],
    async play(world) {
      const here = await world.cache({ proxied: true });
      const there = await world.other();
      await here.set('k', 'v1', { ttl: 600, tags: change === 'tag' ? ['t'] : undefined });
      same(await here.get('k'), 'v1', 'before');
      world.proxy.refuse();
      world.proxy.cut();
      if (change === 'set') await there.set('k', 'v2', { ttl: 600 });
      else if (change === 'delete') await there.delete('k');
      else await there.invalidateTag('t');
      world.proxy.heal();
      // Back: what this cache writes reaches the other one.
      let n = 0;
      await until(
        async () => {
          await Promise.race([here.set('back', ++n, { ttl: 60 }), world.sleep(500)]).catch(() => undefined);
          return (await there.get('back')) !== null;
        },
        'the connection',
        15_000,
      );
      const expected = change === 'set' ? 'v2' : null;
      await until(async () => (await here.get('k')) === expected, 'the change that was missed', 5_000);
    },
  })),
  {
    title: 'Redis is flushed: no copy outlives it, no value is lost that is set after',
    needs: ['foreign writers'],
    async play(world) {
      const here = await world.cache();
      const there = await world.other();
      await here.set('k', 'v1', { ttl: 600, tags: ['t'] });
      same(await there.get('k'), 'v1', 'the other process, before');
      await world.redis('FLUSHALL');
      await world.redis('SCRIPT', 'FLUSH');
      await until(async () => (await here.get('k')) === null, 'the flush', 1_000);
      await until(async () => (await there.get('k')) === null, 'the flush, in the other process', 1_000);
      await here.set('k', 'v2', { ttl: 600, tags: ['t'] });
      same(await there.get('k'), 'v2', 'set after the flush');
      await there.invalidateTag('t');
      await until(async () => (await here.get('k')) === null, 'an invalidation after the flush', 1_000);
    },
  },
];
