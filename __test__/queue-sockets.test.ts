// How many connections queues, workers and event readers of one process need, and who sees which worker.

import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { JobBench } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

const QUEUES = 50;

let server: RedisServer;
let redis: Redis;
let bench: JobBench;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.port);
});

afterEach(() => bench.close());

afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

/** Connections of the server but the one that asks. */
async function sockets(): Promise<string[]> {
  const own = await redis.client('ID');
  const clients = String(await redis.client('LIST'))
    .trim()
    .split('\n');
  return clients.filter((client) => !client.startsWith(`id=${own} `));
}

test('50 queues with a worker and an event reader each use at most four sockets, and every worker is listed', {
  timeout: 120_000,
}, async () => {
  bench = new JobBench({ url: server.url });
  const names = Array.from({ length: QUEUES }, () => uniquePrefix('sockets'));
  const queues = names.map((name) => bench.queue(name));
  const done = new Set<string>();
  for (const name of names) bench.worker(name, async () => name, { name: `worker-of-${name}`, concurrency: 2 });
  for (const name of names) (await bench.events(name)).on('completed', () => done.add(name));

  await Promise.all(queues.map((queue) => queue.add('n', { padding: randomBytes(8).toString('hex') })));
  await waitFor(() => done.size === QUEUES, { timeoutMs: 60_000 });
  const open = await sockets();
  expect(open.length, open.join('\n')).toBeLessThanOrEqual(4);

  for (const queue of queues) {
    await waitFor(async () => (await queue.getWorkers()).length === 1, { timeoutMs: 60_000 });
  }
});

test('a worker with visibleToBullmq bears the name by which BullMQ finds it, on one more socket', async () => {
  bench = new JobBench({ url: server.url });
  const name = uniquePrefix('visible');
  const worker = bench.worker(name, async () => undefined, { name: 'w1', visibleToBullmq: true });
  await worker.waitUntilReady();
  const shown = `name=bull:${Buffer.from(name).toString('base64')}:w:w1 `;
  await waitFor(async () => (await sockets()).some((client) => client.includes(shown)));
  await worker.close();
  await waitFor(async () => !(await sockets()).some((client) => client.includes(shown)));
});
