import { same } from '../until.mjs';

const falsy = [0, false, ''];

export const scenarios = [
  {
    title: 'falsy values (0, false, empty string) are values',
    needs: [],
    async play(world) {
      const here = await world.cache();
      for (const [n, value] of falsy.entries()) {
        await here.set(`set${n}`, value, { ttl: 60 });
        same(await here.get(`set${n}`), value, 'set and read');
        world.source.value = value;
        world.source.loads = 0;
        for (let turn = 0; turn < 3; turn++) {
          same(await here.getOrSet(`made${n}`, world.source.load, { ttl: 60 }), value, 'made and read');
        }
        same(world.source.loads, 1, `loads of ${JSON.stringify(value)}`);
      }
      const there = await world.other();
      for (const [n, value] of falsy.entries()) {
        same(await there.get(`set${n}`), value, 'read by another process');
      }
    },
  },
  {
    title: 'nested getOrSet',
    needs: [],
    async play(world) {
      const cache = await world.cache();
      const inner = (from) => () => cache.getOrSet('inner', () => world.source.load({ takesMs: 20 }), from);
      const outer = (key) => cache.getOrSet(key, inner({ ttl: 60 }), { ttl: 60 });
      const values = await Promise.all(['a', 'b', 'a', 'inner-too'].map(outer));
      same(values, ['v1', 'v1', 'v1', 'v1'], 'values');
      same(world.source.loads, 1, 'loads');
    },
  },
];
