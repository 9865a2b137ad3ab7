import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CacheService } from '../ts/index.js';
import { coherent } from './helpers/coherent.js';
import { FlakyProxy } from './helpers/flaky-proxy.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let proxy: FlakyProxy;
let cache: CacheService;
beforeEach(async () => {
  server = await RedisServer.start();
  proxy = await FlakyProxy.start({ port: server.port });
  cache = new CacheService({ redis: { url: proxy.url }, prefix: `${uniquePrefix('silent')}:` });
  cache.on('error', () => undefined);
  await coherent(cache);
});
afterEach(async () => {
  await cache.close();
  await proxy.stop();
  await server.stop();
});

const PENDING = Symbol('pending');
/** Whether a call is answered without waiting for anything outside this thread. */
const atOnce = async (call: Promise<unknown>) => (await Promise.race([call, nextTurn(PENDING)])) !== PENDING;

describe('a Redis that is silent: connected, and answering nothing', () => {
  it('keeps no hit waiting, whatever the cold keys beside them wait for', async () => {
    const routes = Array.from({ length: 100 }, (_, n) => `route:${n}`);
    for (const route of routes) await cache.getOrSet(route, () => `page of ${route}`, 600);
    proxy.silence();
    const cold: Promise<unknown>[] = [];
    let waited = 0;
    for (let request = 0; request < 1_000; request++) {
      const route = routes[request % routes.length]!;
      if (request % 10 === 0) cold.push(cache.getOrSet(`cold:${request}`, () => request, 600));
      if (!(await atOnce(cache.getOrSet(route, () => 'from the source', 600)))) waited++;
    }
    expect(waited).toBe(0);
    expect(await cache.get(routes[0]!)).toBe(`page of ${routes[0]}`);
    const values = await Promise.all(cold);
    expect(values).toEqual(cold.map((_, at) => at * 10));
  });

  it('lets cold keys wait once, then sends them to the source at once', async () => {
    await cache.set('known', 1);
    proxy.silence();
    const started = performance.now();
    expect(await cache.getOrSet('first', () => 'made')).toBe('made');
    // The deadline of what can be done without, and what a busy machine adds.
    expect(performance.now() - started).toBeLessThan(4_000);
    const next = performance.now();
    for (let n = 0; n < 50; n++) expect(await cache.getOrSet(`next:${n}`, () => n)).toBe(n);
    expect(performance.now() - next).toBeLessThan(900);
  });

  it('is used again when it speaks, without a restart', async () => {
    proxy.silence();
    expect(await cache.getOrSet('during', () => 'made')).toBe('made');
    proxy.heal();
    await coherent(cache);
    await waitFor(
      async () => {
        await cache.set('after', 'stored');
        return (await cache.getRedis('after')) === 'stored';
      },
      { timeoutMs: 15_000, what: 'a value in Redis' },
    );
  });
});
