import { same } from '../until.mjs';

export const scenarios = [
  {
    title: 'two processes ask for one cold key at once: one load',
    needs: ['loads once across processes'],
    async play(world) {
      const others = await Promise.all([world.other(), world.other()]);
      const options = { ttl: 60, lock: 'distributed' };
      const values = await Promise.all(others.map((one) => one.getOrSet('k', { takesMs: 500 }, options)));
      same(values, ['v1', 'v1'], 'values');
      const loads = await Promise.all(others.map((one) => one.loads()));
      same(loads[0] + loads[1], 1, 'loads');
    },
  },
];
