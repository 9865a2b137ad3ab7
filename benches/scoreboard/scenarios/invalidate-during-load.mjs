// A load has read the old value when the key is invalidated; what it stores afterwards must not bring the old value back.
import { same } from '../until.mjs';

const ways = [
  { by: 'delete', needs: [], act: (cache) => cache.delete('k') },
  { by: 'tag', needs: ['tags'], act: (cache) => cache.invalidateTag('t') },
  { by: 'pattern', needs: ['patterns'], act: (cache) => cache.deletePattern('k*') },
  { by: 'clear', needs: [], act: (cache) => cache.clear() },
];

async function play(world, here, invalidator, { by, act }) {
  const { load, begun, letGo } = world.source.stopped();
  const options = { ttl: 60, ...(by === 'tag' && { tags: ['t'] }) };
  const loading = here.getOrSet('k', load, options);
  await begun;
  world.source.value = 'v2';
  await act(invalidator);
  letGo();
  await loading;
  same(await here.getOrSet('k', world.source.load, options), 'v2', 'read after the load');
}

export const scenarios = [
  ...ways.map((way) => ({
    title: `${way.by} during a load`,
    needs: way.needs,
    async play(world) {
      const here = await world.cache();
      await play(world, here, here, way);
    },
  })),
  ...ways.map((way) => ({
    title: `${way.by} by another process during a load`,
    needs: way.needs,
    async play(world) {
      const here = await world.cache();
      await play(world, here, await world.other(), way);
    },
  })),
];
