import { Queue as StockQueue, Worker as StockWorker } from 'bullmq';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { JobBench } from '../../helpers/job-bench.js';
import { RedisServer } from '../../helpers/redis-server.js';
import { uniquePrefix } from '../../helpers/unique-prefix.js';
import { waitFor } from '../../helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
});

afterEach(() => bench.close());

afterAll(() => server.stop());

test('a stock worker takes the ungrouped jobs of a queue and is kept off the groups', async () => {
  const name = uniquePrefix('queue');
  const connection = { host: '127.0.0.1', port: server.port };
  const queue = bench.queue(name);
  const stock = new StockQueue(name, { connection });
  const seen: string[] = [];
  const worker = new StockWorker(name, async (job) => void seen.push(job.name), { connection, concurrency: 5 });
  try {
    await queue.add('grouped', 1, { group: { id: 'g' } });
    await queue.add('grouped and late', 2, { group: { id: 'g' }, delay: 20 });
    await queue.add('plain', 3);
    await stock.add('theirs', 4);
    await waitFor(() => seen.length === 2);
    // The delayed one is due by now; a further round of the stock worker shows that it still sees neither.
    await new Promise((resolve) => setTimeout(resolve, 50));
    await stock.add('last', 5);
    await waitFor(() => seen.length === 3);
    expect(seen.sort()).toEqual(['last', 'plain', 'theirs']);
    expect(await stock.getJobCounts('waiting', 'delayed', 'active')).toEqual({ waiting: 0, delayed: 0, active: 0 });
    expect(await queue.getJobCountByTypes('waiting', 'delayed')).toBe(2);
    const ran: string[] = [];
    bench.worker(name, async (job) => void ran.push(job.name));
    await waitFor(() => ran.length === 2);
    expect(ran.sort()).toEqual(['grouped', 'grouped and late']);
    // Once finished they are jobs like any other.
    await waitFor(async () => (await stock.getCompletedCount()) === 5);
  } finally {
    await worker.close();
    await stock.close();
  }
});
