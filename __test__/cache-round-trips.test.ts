import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CacheService } from '../ts/index.js';
import { coherent } from './helpers/coherent.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { TripCounter } from './helpers/trip-counter.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

const COUNT = 100;
/** Longer than it takes to send a call on a machine that is busy. */
const DELAY_MS = 250;

describe.skipIf(inMemory)(`bulk calls with ${COUNT} keys`, () => {
  let server: RedisServer;
  let counter: TripCounter;
  let cache: CacheService;
  beforeAll(async () => {
    server = await RedisServer.start();
    counter = await TripCounter.start(server.port, DELAY_MS);
    const redis = { host: '127.0.0.1', port: counter.port };
    cache = new CacheService({ redis, prefix: `${uniquePrefix('trips')}:`, onError: 'throw' });
    await coherent(cache);
    // From here on the server knows the scripts.
    await cache.getOrSetMany(['warm'], () => [1], { tags: ['t'] });
  });
  afterAll(async () => {
    await cache.close();
    await counter.stop();
    await server.stop();
  });

  const keys = (start: string) => Array.from({ length: COUNT }, (_, n) => `${start}${n}`);
  const load = (missing: readonly string[]) => missing.map((key) => `made ${key}`);

  it.each([{ tags: [] }, { tags: ['t'] }])(
    'getOrSetMany takes two round trips to load all of them: %o',
    async (more) => {
      const wanted = keys(`load-${more.tags.length}-`);
      const loaded: (readonly string[])[] = [];
      const loader = (missing: readonly string[]) => {
        loaded.push(missing);
        return load(missing);
      };
      expect(await counter.during(() => cache.getOrSetMany(wanted, loader, more))).toBeLessThanOrEqual(2);
      expect(loaded).toEqual([wanted]);
      expect(await cache.mget(wanted)).toEqual(load(wanted));
    },
  );

  it('a set with tags takes one, and the read after it none', async () => {
    const set = () => cache.set('tagged', 1, { tags: ['t', 'a new one'] });
    // The first one teaches the server the script.
    await set();
    expect(await counter.during(set)).toBe(1);
    expect(await counter.during(async () => expect(await cache.get('tagged')).toBe(1))).toBe(0);
    await cache.invalidateByTag('t');
    expect(await cache.get('tagged')).toBeNull();
  });

  it('mset, mget and mdel take one, and getOrSetMany one for what is in Redis', async () => {
    const wanted = keys('set-');
    const entries = wanted.map((key) => ({ key, value: `made ${key}` }));
    expect(await counter.during(() => cache.mset(entries))).toBe(1);
    const fresh = new CacheService({
      redis: { host: '127.0.0.1', port: counter.port },
      prefix: `${uniquePrefix('trips')}:`,
      level1: { enabled: false },
      // What is told without waiting would share a trip with the next call.
      coherence: 'none',
    });
    await fresh.mset(entries);
    const values = load(wanted);
    expect(await counter.during(async () => expect(await fresh.mget(wanted)).toEqual(values))).toBe(1);
    const never = () => Promise.reject(new Error('it was asked'));
    const making = async () => expect(await fresh.getOrSetMany(wanted, never)).toEqual(values);
    expect(await counter.during(making)).toBe(1);
    await fresh.close();
    expect(await counter.during(async () => expect(await cache.mdel(wanted)).toBe(COUNT))).toBe(1);
  });
});
