// Redis is down, silent or slow. A caller gets its answer all the same.
import { same, until, Wrong, within } from '../until.mjs';

/** What a cold read may take while Redis does not answer, in milliseconds. */
const COLD = 4_000;

async function hits(cache, what) {
  await cache.get('known');
  for (let n = 0; n < 20; n++) same(await within(cache.get('known'), 500, `a hit, ${what}`), 'v1', `a hit, ${what}`);
}

async function outage(world, begin, what) {
  const here = await world.cache({ proxied: true });
  await here.set('known', 'v1', { ttl: 600 });
  same(await here.get('known'), 'v1', 'before');
  begin(world.proxy);
  await world.sleep(50);
  await hits(here, what);
  for (let n = 0; n < 5; n++) {
    const value = here.getOrSet(`cold${n}`, world.source.load, { ttl: 60 });
    same(await within(value, COLD, `a cold read, ${what}`), 'v1', 'the source');
  }
  world.proxy.heal();
  const there = await world.other();
  let n = 0;
  await until(
    async () => {
      await Promise.race([here.set('back', ++n, { ttl: 60 }), world.sleep(500)]).catch(() => undefined);
      return (await there.get('back')) !== null;
    },
    'recovery without a restart',
    20_000,
  );
}

export const scenarios = [
  {
    title: 'Redis down: hits at once, cold keys from the source, recovery without a restart',
    needs: [],
    play: (world) =>
      outage(
        world,
        (proxy) => {
          proxy.refuse();
          proxy.cut();
        },
        'Redis down',
      ),
  },
  {
    title: 'Redis silent (half-open): hits at once, cold keys from the source, recovery without a restart',
    needs: [],
    play: (world) => outage(world, (proxy) => proxy.silence(), 'Redis silent'),
  },
  {
    title: 'Redis slow (100 ms each way): hits at once, nothing wrong',
    needs: [],
    async play(world) {
      const here = await world.cache({ proxied: true });
      await here.set('known', 'v1', { ttl: 600 });
      world.proxy.delay(100);
      await hits(here, 'Redis slow');
      same(await within(here.getOrSet('cold', world.source.load, { ttl: 60 }), COLD, 'a cold read'), 'v1', 'cold');
      const there = await world.other();
      await until(async () => (await there.get('cold')) === 'v1', 'the value in Redis', 5_000);
      await within(here.delete('cold'), COLD, 'a delete');
      same(await here.get('cold'), null, 'after the delete');
    },
  },
  {
    title: 'a delete while Redis is down: the old value does not come back',
    needs: [],
    async play(world) {
      const here = await world.cache({ proxied: true, patienceMs: 500 });
      const there = await world.other();
      await here.set('k', 'v1', { ttl: 600 });
      same(await there.get('k'), 'v1', 'before');
      world.proxy.refuse();
      world.proxy.cut();
      const deleting = Promise.resolve(here.delete('k')).catch(() => undefined);
      await world.sleep(1_500);
      world.proxy.heal();
      await until(async () => (await there.get('k')) === null, 'the delete, in another process', 15_000);
      await within(deleting, 5_000, 'the delete');
      same(await here.get('k'), null, 'here');
    },
  },
  {
    title: 'Redis never was there: nothing hangs',
    needs: [],
    async play(world) {
      world.proxy.refuse();
      const here = await within(world.cache({ proxied: true, reachable: false }), COLD, 'opening');
      const value = here.getOrSet('k', world.source.load, { ttl: 60 });
      same(await within(value, COLD, 'the first read'), 'v1', 'the first read');
      await here.get('k');
      if (world.source.loads !== 1) throw new Wrong(`${world.source.loads} loads`);
    },
  },
];
