import { same, until, within } from '../until.mjs';

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
  {
    title: '10,000 callers in four processes ask for one cold key: one load',
    needs: ['loads once across processes'],
    async play(world) {
      const others = await Promise.all([1, 2, 3, 4].map(() => world.other()));
      const options = { ttl: 60, lock: 'distributed' };
      const values = await Promise.all(others.map((one) => one.crowd(2_500, 'k', { takesMs: 500 }, options)));
      same(values, Array(4).fill(['v1']), 'values');
      const loads = await Promise.all(others.map((one) => one.loads()));
      same(
        loads.reduce((sum, one) => sum + one),
        1,
        'loads',
      );
    },
  },
  {
    title: 'the process that loads a key is killed: another takes over',
    needs: ['loads once across processes'],
    async play(world) {
      const [doomed, other] = await Promise.all([world.other(), world.other()]);
      const options = { ttl: 60, lock: 'distributed' };
      doomed.getOrSet('k', { takesMs: 60_000 }, options).catch(() => undefined);
      await until(async () => (await doomed.loads()) === 1, 'the load', 5_000);
      doomed.kill();
      const value = other.getOrSet('k', { value: 'v2', takesMs: 10 }, options);
      same(await within(value, 10_000, 'the other process'), 'v2', 'the other process');
    },
  },
];
