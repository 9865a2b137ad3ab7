import { afterAll, afterEach, beforeAll, beforeEach, describe, it } from 'vitest';
import { oxcart, oxcartBus } from '../benches/scoreboard/adapters/oxcart.mjs';
import { scenarios } from '../benches/scoreboard/scenarios/index.mjs';
import { World } from '../benches/scoreboard/world.mjs';
import { FlakyProxy } from './helpers/flaky-proxy.js';
import { RedisServer } from './helpers/redis-server.js';

let server: RedisServer;
let proxy: FlakyProxy;
let world: World | undefined;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());
beforeEach(async () => {
  proxy = await FlakyProxy.start({ port: server.port });
});
afterEach(async () => {
  await world?.close();
  await proxy.stop();
});

describe.each([
  { adapter: oxcart, part: () => true },
  // What the bus has a part in: the rest is the same.
  { adapter: oxcartBus, part: (needs: readonly string[]) => needs.includes('coherence') || needs.includes('tags') },
])('the scoreboard of caches (docs/parity/cache.md): $adapter.name', ({ adapter, part }) => {
  const { lacks, fails } = adapter;
  const played = scenarios.filter(
    ({ title, needs }) => !needs.some((feature) => lacks.includes(feature)) && !fails.includes(title) && part(needs),
  );
  for (const { title, play } of played) {
    it(title, { timeout: 60_000 }, () => {
      world = new World(adapter, server, proxy);
      return play(world);
    });
  }
});
