// Threads that end in the middle of everything must not take the process, or another thread, with them.

import { Worker as Thread } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { collect, JobBench } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

test('fifteen threads terminated while their services work', { timeout: 60_000 }, async () => {
  const bench = new JobBench({ url: server.url });
  for (let round = 0; round < 15; round++) {
    const thread = new Thread(new URL('./fixtures/worker-thread.mjs', import.meta.url), {
      workerData: { url: server.url, queue: uniquePrefix('thread') },
    });
    await new Promise((resolve, reject) => {
      thread.once('message', resolve);
      thread.once('error', reject);
    });
    await new Promise((resolve) => setTimeout(resolve, round % 5));
    await thread.terminate();
  }
  // This thread, on the same I/O thread and connections, works as before.
  const queue = bench.queue();
  const worker = bench.worker(queue.name, async (job) => job.data);
  const done = collect<[unknown, unknown]>(worker, 'completed', 1);
  await queue.add('a', 'still here');
  expect((await done)[0]?.[1]).toBe('still here');
  await bench.close();
});
