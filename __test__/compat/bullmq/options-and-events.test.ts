// Options and events of `oxcart/bullmq` one by one, where they show beside the stock package or by their effect.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { BullmqBench } from '../../helpers/bullmq-bench.js';
import { RedisServer } from '../../helpers/redis-server.js';
import { uniquePrefix } from '../../helpers/unique-prefix.js';
import { waitFor } from '../../helpers/wait-for.js';

let server: RedisServer;
let bench: BullmqBench;
let name: string;

beforeAll(async () => {
  server = await RedisServer.start();
});

beforeEach(() => {
  bench = new BullmqBench(server);
  name = uniquePrefix('options');
});

afterEach(() => bench.close());

afterAll(() => server.stop());

test('the rarer events have the fields that stock readers get', async () => {
  const queue = bench.queue(name);
  const readers = [await bench.events(name, { lastEventId: '0' }), await bench.stockEvents(name)] as any[];
  const told = readers.map((reader) => {
    const heard: unknown[] = [];
    for (const event of ['duplicated', 'deduplicated', 'removed', 'cleaned', 'waiting-children', 'stalled']) {
      reader.on(event, (args: object) => heard.push([event, { ...args }]));
    }
    return heard;
  });
  await queue.add('a', {}, { jobId: 'own' });
  await queue.add('a', {}, { jobId: 'own' });
  await queue.add('a', {}, { deduplication: { id: 'd' } });
  await queue.add('a', {}, { deduplication: { id: 'd' } });
  await queue.remove('own');
  const client = queue.getBackend().client;
  // As a worker leaves it that died: active, without a lock, and seen without one before.
  const [lost] = await queue.getWaiting(0, 0);
  await client.call('RPOPLPUSH', queue.toKey('wait'), queue.toKey('active'));
  await client.call('SADD', queue.toKey('stalled'), lost!.id);
  bench.worker(name, async () => 1, { stalledInterval: 100 });
  await waitFor(async () => (await queue.getCompletedCount()) === 1);
  await queue.clean(0, 10, 'completed');
  await waitFor(() => told.every((heard) => heard.some(([event]: any) => event === 'cleaned')));
  expect(told[0]).toEqual(told[1]);
  expect(new Set(told[0]!.map(([event]: any) => event))).toEqual(
    new Set(['duplicated', 'deduplicated', 'removed', 'cleaned', 'stalled']),
  );
});

test('a worker tells which locks it renewed', async () => {
  const queue = bench.queue(name);
  let end = () => {};
  const held = new Promise<void>((resolve) => {
    end = resolve;
  });
  const worker = bench.worker(name, () => held, { lockDuration: 400, lockRenewTime: 200 });
  const renewed: { count: number; jobIds: string[] }[] = [];
  worker.on('locksRenewed', (one) => renewed.push(one));
  const job = await queue.add('a', {});
  await waitFor(() => renewed.length > 0);
  expect(renewed[0]).toEqual({ count: 1, jobIds: [job.id] });
  end();
});

test('a prefix of its own', async () => {
  const prefix = uniquePrefix('prefix');
  const [ours, theirs, elsewhere] = [
    bench.queue(name, { prefix }),
    bench.stockQueue(name, { prefix }),
    bench.queue(name),
  ];
  const job = await ours.add('a', { n: 1 });
  expect((await theirs.getJob(job.id))?.data).toEqual({ n: 1 });
  expect(await elsewhere.count()).toBe(0);
  const events = await bench.events(name, { prefix });
  bench.worker(name, async ({ data }) => data.n, { prefix });
  expect(await job.waitUntilFinished(events, 10_000)).toBe(1);
});

test('options without a counterpart change nothing', async () => {
  const common = { skipVersionCheck: true, skipWaitingForReady: true, blockingConnection: true };
  const queue = bench.queue(name, common as object);
  const events = await bench.events(name, { ...common, blockingTimeout: 5 } as object);
  bench.worker(name, async () => 1, common as object);
  const job = await queue.add('a', {});
  expect(await job.waitUntilFinished(events, 10_000)).toBe(1);
  await queue.obliterate({ force: true, count: 1 });
  expect(await queue.getCompletedCount()).toBe(0);
});

test('a job that was started too often fails', async () => {
  const queue = bench.queue(name);
  const worker = bench.worker(
    name,
    async (job, token) => {
      await job.moveToDelayed(Date.now() + 1, token);
      throw new (await import('../../../ts/compat/bullmq/index.js')).DelayedError();
    },
    { maxStartedAttempts: 2 },
  );
  const failed = new Promise<Error>((resolve) => worker.on('failed', (_job, error) => resolve(error)));
  await queue.add('a', {}, { attempts: 10 });
  expect((await failed).message).toContain('started more than allowable limit');
  await waitFor(async () => (await queue.getFailedCount()) === 1);
});

test('finished jobs are kept as worker and job say', async () => {
  const queue = bench.queue(name);
  bench.worker(
    name,
    async ({ data }) => {
      if (data.fails) throw new Error('on purpose');
    },
    { removeOnComplete: { count: 2 }, removeOnFail: { count: 1 } },
  );
  await queue.addBulk([1, 2, 3, 4].map((n) => ({ name: 'a', data: { n } })));
  await queue.addBulk([5, 6].map((n) => ({ name: 'a', data: { n, fails: true } })));
  await queue.add('kept', { n: 7 }, { removeOnComplete: false });
  await waitFor(async () => (await queue.getJobs(['completed'])).some((job) => job.data.n === 7));
  expect(await queue.getFailedCount()).toBe(1);
  expect((await queue.getCompleted()).map((job) => job.data.n)).toEqual([7, 4, 3]);
  await queue.add('gone', { n: 8 }, { removeOnComplete: true });
  await waitFor(async () => (await queue.count()) === 0 && (await queue.getActiveCount()) === 0);
  expect((await queue.getCompleted()).map((job) => job.data.n)).not.toContain(8);
});

test('a worker may leave locks and stalled jobs alone', async () => {
  const queue = bench.queue(name);
  const client = queue.getBackend().client;
  const idle = bench.worker(name, async () => 1, { skipStalledCheck: true, stalledInterval: 50 });
  await idle.waitUntilReady();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(await client.get(queue.toKey('stalled-check'))).toBeNull();
  await idle.close();
  let end = () => {};
  const held = new Promise<void>((resolve) => {
    end = resolve;
  });
  const worker = bench.worker(name, () => held, { skipLockRenewal: true, skipStalledCheck: true, lockDuration: 300 });
  worker.on('error', () => undefined);
  const job = await queue.add('a', {});
  await waitFor(async () => (await queue.getActiveCount()) === 1);
  await waitFor(async () => (await client.get(queue.toKey(`${job.id}:lock`))) === null);
  end();
});

test('options of a job mean the same to both', async () => {
  const [ours, theirs] = [bench.queue(`${name}-mine`), bench.stockQueue(`${name}-stock`)] as any[];
  const seen = async (queue: any) => {
    await queue.add('a', { n: 1 });
    await queue.add('a', { n: 2 });
    await queue.add('a', { n: 3 }, { lifo: true });
    const job = await queue.add('a', { n: 4 }, { keepLogs: 2, timestamp: 1_700_000_000_000 });
    for (const row of ['1', '2', '3']) await job.log(row);
    const { timestamp } = await queue.getJob(job.id);
    return [(await queue.getWaiting()).map((one: any) => one.data.n), timestamp, await queue.getJobLogs(job.id)];
  };
  expect(await seen(ours)).toEqual(await seen(theirs));
});

test('a window is extended, a delayed job rescheduled, as by stock', async () => {
  const [ours, theirs] = [bench.queue(`${name}-mine`), bench.stockQueue(`${name}-stock`)] as any[];
  const seen = async (queue: any) => {
    const client = await queue.getBackend().client;
    const first = await queue.add('a', { n: 1 }, { deduplication: { id: 'e', ttl: 60_000 } });
    await client.hset(queue.toKey('unused'), { a: 1 });
    const again = await queue.add('a', { n: 2 }, { deduplication: { id: 'e', ttl: 120_000, extend: true } });
    const kept = await queue.add('a', { n: 3 }, { delay: 60_000, deduplication: { id: 'r' } });
    const moved = await queue.add('a', { n: 4 }, { delay: 600_000, deduplication: { id: 'r', reschedule: true } });
    const delayed = await queue.getJob(kept.id);
    return [again.id === first.id, moved.id === kept.id, delayed.data, delayed.delay];
  };
  expect(await seen(ours)).toEqual(await seen(theirs));
  const life = (await ours.getBackend().client.call('PTTL', ours.toKey('de:e'))) as number;
  expect(life).toBeGreaterThan(60_000);
});

test('schedules begin at once, or at their offset, as by stock', async () => {
  const [ours, theirs] = [bench.queue(`${name}-mine`), bench.stockQueue(`${name}-stock`)] as any[];
  for (const queue of [ours, theirs]) {
    const before = Date.now();
    await queue.upsertJobScheduler('now', { pattern: '0 0 1 1 *', immediately: true }, { name: 'a' });
    expect((await queue.getJobScheduler('now')).next - before).toBeLessThan(5_000);
    await queue.upsertJobScheduler('offset', { every: 3_600_000, offset: 900_000 }, { name: 'a' });
    const { next, offset } = await queue.getJobScheduler('offset');
    expect(next % 3_600_000).toBe(900_000);
    expect(offset).toBe(900_000);
  }
  const [job] = await ours.getJobs(['waiting']);
  expect(job.opts.repeat).toMatchObject({ pattern: '0 0 1 1 *', count: 1 });
  expect(job.opts.prevMillis).toBe(Number(job.id.split(':').at(-1)));
});
