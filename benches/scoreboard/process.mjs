// A process with a cache of its own, which does what it is told.
import { variants } from './adapters/index.mjs';
import { Source } from './source.mjs';

const [name, port, prefix] = process.argv.slice(2);
const source = new Source();
process.on('disconnect', () => process.exit());
// A rival that breaks in the background has answered nothing wrong by that.
process.on('unhandledRejection', () => undefined);

try {
  const cache = await variants[name].open({ port: Number(port), prefix });
  const own = {
    loads: () => source.loads,
    getOrSet(key, { value, ...load }, options) {
      if (value !== undefined) source.value = value;
      return cache.getOrSet(key, () => source.load(load), options);
    },
    /** Many callers at once; resolves to the different values that they got. */
    async crowd(callers, key, load, options) {
      const asking = Array.from({ length: callers }, () => cache.getOrSet(key, () => source.load(load), options));
      return [...new Set(await Promise.all(asking))];
    },
  };
  process.on('message', async ({ id, name: method, args }) => {
    try {
      const value = await (own[method] ?? cache[method])(...args);
      process.send({ id, value });
    } catch (error) {
      process.send({ id, error: error.message });
    }
  });
  process.send({ id: 0, value: Date.now() });
} catch (error) {
  process.send({ id: 0, error: error.message });
}
