import { failure, same, until, Wrong, within } from '../until.mjs';

export const scenarios = [
  {
    title: 'abort: its caller rejects at once, the others get the value',
    needs: ['abort'],
    async play(world) {
      const cache = await world.cache();
      const { load, begun, letGo } = world.source.stopped();
      const abort = new AbortController();
      const aborted = failure(cache.getOrSet('k', load, { ttl: 60, signal: abort.signal }), 'the aborted caller');
      const patient = cache.getOrSet('k', load, { ttl: 60 });
      await begun;
      abort.abort();
      const error = await within(aborted, 1_000, 'the aborted caller');
      if (error.name !== 'AbortError') throw new Wrong(`the aborted caller got ${error.name}: ${error.message}`);
      letGo();
      same(await patient, 'v1', 'the other caller');
      same(world.source.loads, 1, 'loads');
    },
  },
  {
    title: 'abort by all callers: the factory is told, nothing is stored, the next caller loads',
    needs: ['abort'],
    async play(world) {
      const cache = await world.cache();
      let told;
      const load = (context) =>
        new Promise((_, reject) => {
          told = context.signal;
          context.signal.addEventListener('abort', () => reject(context.signal.reason));
        });
      const aborts = [new AbortController(), new AbortController()];
      const callers = aborts.map(({ signal }) => failure(cache.getOrSet('k', load, { ttl: 60, signal }), 'a caller'));
      await until(() => told !== undefined, 'the load', 3_000);
      aborts[0].abort();
      await callers[0];
      if (told.aborted) throw new Wrong('one caller aborted the load of the other');
      aborts[1].abort();
      await within(callers[1], 1_000, 'the last caller');
      await until(() => told.aborted, 'the signal of the factory', 1_000);
      same(await cache.getOrSet('k', world.source.load, { ttl: 60 }), 'v1', 'the next caller');
    },
  },
];
