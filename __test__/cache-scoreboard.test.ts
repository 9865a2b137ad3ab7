import { afterAll, afterEach, beforeAll, beforeEach, describe, it } from 'vitest';
import { oxcart } from '../benches/scoreboard/adapters/oxcart.mjs';
import { scenarios } from '../benches/scoreboard/scenarios/index.mjs';
import { World } from '../benches/scoreboard/world.mjs';
import { FlakyProxy } from './helpers/flaky-proxy.js';
import { RedisServer } from './helpers/redis-server.js';

let server: RedisServer;
let proxy: FlakyProxy;
let world: World;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());
beforeEach(async () => {
  proxy = await FlakyProxy.start({ port: server.port });
  world = new World(oxcart, server, proxy);
});
afterEach(async () => {
  await world.close();
  await proxy.stop();
});

describe('the scoreboard of caches (docs/parity/cache.md)', () => {
  const { lacks, fails } = oxcart;
  const played = scenarios.filter(
    ({ title, needs }) => !needs.some((feature) => lacks.includes(feature)) && !fails.includes(title),
  );
  for (const { title, play } of played) it(title, { timeout: 60_000 }, () => play(world));
});
