import { same, until, Wrong } from '../until.mjs';

export const scenarios = [
  {
    title: 'set right after a tag invalidation, 1,000 times',
    needs: ['tags'],
    async play(world) {
      const cache = await world.cache();
      let lost = 0;
      for (let n = 0; n < 1000; n++) {
        await cache.invalidateTag('t');
        await cache.set('k', n, { ttl: 60, tags: ['t'] });
        if ((await cache.get('k')) !== n) lost++;
      }
      if (lost > 0) throw new Wrong(`${lost} of 1,000 values were lost`);
    },
  },
  {
    title: 'two processes invalidate a tag at once, 200 times',
    needs: ['tags'],
    async play(world) {
      const here = await world.cache();
      const there = await world.other();
      let stale = 0;
      for (let n = 0; n < 200; n++) {
        await here.set('k', n, { ttl: 60, tags: ['t'] });
        await Promise.all([here.invalidateTag('t'), there.invalidateTag('t')]);
        if ((await here.get('k')) !== null) stale++;
      }
      if (stale > 0) throw new Wrong(`${stale} of 200 values survived`);
    },
  },
  {
    title: "a tag's marker is lost (evicted)",
    needs: ['tags'],
    async play(world) {
      const cache = await world.cache();
      await cache.set('k', 'v1', { ttl: 60, tags: ['t'] });
      await cache.invalidateTag('t');
      await world.loseTagMarkers();
      const fresh = await world.other();
      same(await fresh.get('k'), null, 'an invalidated value');
    },
  },
  {
    title: 'a clock that is a minute behind: its values are there',
    needs: ['tags'],
    async play(world) {
      const here = await world.cache();
      const behind = await world.other({ skewSeconds: -60 });
      await here.invalidateTag('t');
      await behind.set('k', 'v2', { ttl: 50, tags: ['t'] });
      same(await here.get('k'), 'v2', 'what the other process set');
    },
  },
  {
    title: 'a clock that is a minute ahead: its values die by their tag',
    needs: ['tags'],
    async play(world) {
      const here = await world.cache();
      const ahead = await world.other({ skewSeconds: 60 });
      await ahead.set('k', 'v1', { ttl: 600, tags: ['t'] });
      same(await here.get('k'), 'v1', 'what the other process set');
      await here.invalidateTag('t');
      same(await here.get('k'), null, 'after the invalidation');
      await until(async () => (await ahead.get('k')) === null, 'the invalidation in the other process', 2_000);
    },
  },
];
