// What a queue tells about itself beside its jobs, and the keys that are not jobs.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { RedisService } from '../ts/redis.js';
import type { Telemetry } from '../ts/types/telemetry.js';
import { JobBench } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;
let redis: RedisService;

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
  redis = new RedisService({ url: server.url });
});

afterEach(() => bench.close());

afterAll(async () => {
  await redis.close();
  await server.stop();
});

const open = (options = {}) => bench.queue(uniquePrefix('inspect'), options);

describe('counts', () => {
  test('by priority, each asked once', async () => {
    const queue = open();
    await queue.addBulk([0, 1, 1, 5].map((priority) => ({ name: 'a', data: {}, opts: { priority } })));
    expect(await queue.getCountsPerPriority([1, 0, 1, 3, 5])).toEqual({ 0: 1, 1: 2, 3: 0, 5: 1 });
    expect(await queue.getCountsPerPriority([])).toEqual({});
  });

  test('of delayed jobs that are due before a time', async () => {
    const queue = open();
    const now = Date.now();
    await queue.addBulk([1000, 2000, 9000].map((delay) => ({ name: 'a', data: {}, opts: { delay, timestamp: now } })));
    expect(await queue.getDelayedCount()).toBe(3);
    expect(await queue.getDelayedCount(now + 2001)).toBe(2);
    expect(await queue.getDelayedCount(now + 2000)).toBe(1);
    await expect(queue.getDelayedCount(1.5)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });
});

describe('what is stored about a queue', () => {
  test('shows in getMeta, with numbers as numbers', async () => {
    const queue = open({ streams: { events: { maxLen: 55 } } });
    await queue.setGlobalConcurrency(3);
    await queue.setGlobalRateLimit(10, 500);
    await queue.pause();
    expect(await queue.getMeta()).toEqual({
      concurrency: 3,
      max: 10,
      duration: 500,
      maxLenEvents: 55,
      paused: true,
      version: expect.stringMatching(/^bullmq:6\.7\.0-oxcart-/),
    });
    expect(await queue.getVersion()).toMatch(/^bullmq:/);
    expect(await queue.getGlobalConcurrency()).toBe(3);
    expect(await queue.getGlobalRateLimit()).toEqual({ max: 10, duration: 500 });
    await queue.removeGlobalConcurrency();
    await queue.removeGlobalRateLimit();
    expect(await queue.getGlobalConcurrency()).toBeNull();
    expect(await queue.getGlobalRateLimit()).toBeNull();
  });

  test('is left as it is by workers, readers of events, and on demand', async () => {
    const queue = open({ streams: { events: { maxLen: 55 } } });
    await queue.ping();
    await bench.events(queue.name);
    const worker = bench.worker(queue.name, async () => undefined);
    await worker.waitUntilReady();
    await bench.queue(queue.name, { skipMetasUpdate: true }).ping();
    expect(await queue.getMeta()).toMatchObject({ maxLenEvents: 55 });
    await bench.queue(queue.name).ping();
    expect(await queue.getMeta()).toMatchObject({ maxLenEvents: 10_000 });
  });

  test('isMaxed says whether the global concurrency is used up', async () => {
    const queue = open();
    expect(await queue.isMaxed()).toBe(false);
    await queue.setGlobalConcurrency(1);
    expect(await queue.isMaxed()).toBe(false);
    let end = () => {};
    const running = new Promise<void>((resolve) => {
      end = resolve;
    });
    bench.worker(queue.name, () => running);
    await queue.add('a', {});
    await waitFor(() => queue.isMaxed());
    end();
    await waitFor(async () => !(await queue.isMaxed()));
  });
});

describe('rate limits', () => {
  test('are set, asked for and removed', async () => {
    const queue = open();
    expect(await queue.getRateLimitTtl()).toBe(0);
    await queue.rateLimit(60_000);
    expect(await queue.getRateLimitTtl()).toBeGreaterThan(50_000);
    expect(await queue.getRateLimitTtl(5)).toBeGreaterThan(50_000);
    expect(await queue.removeRateLimitKey()).toBe(1);
    expect(await queue.removeRateLimitKey()).toBe(0);
    expect(await queue.getRateLimitTtl(5)).toBe(0);
    await expect(queue.rateLimit(0)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });

  test('of the queue counts what a window has used', async () => {
    const queue = open();
    await queue.setGlobalRateLimit(2, 60_000);
    bench.worker(queue.name, async () => undefined);
    await queue.addBulk([1, 2, 3].map((data) => ({ name: 'a', data })));
    await waitFor(async () => (await queue.getCompletedCount()) === 2);
    expect(await queue.getRateLimitTtl()).toBeGreaterThan(0);
    expect(await queue.getRateLimitTtl(3)).toBe(0);
  });
});

test('metrics count finished jobs, and Prometheus text shows them', async () => {
  const queue = open();
  bench.worker(
    queue.name,
    async (job) => {
      if (job.data.fails) throw new Error('on purpose');
    },
    { metrics: { maxDataPoints: 10 } },
  );
  await queue.addBulk([{}, {}, { fails: true }].map((data) => ({ name: 'a', data })));
  await waitFor(async () => (await queue.getCompletedCount()) === 2 && (await queue.getFailedCount()) === 1);
  const completed = await queue.getMetrics('completed');
  expect(completed.meta).toMatchObject({ count: 2 });
  expect(completed.data.length).toBe(completed.count);
  expect((await queue.getMetrics('failed')).meta.count).toBe(1);
  const text = await queue.exportPrometheusMetrics({ app: 'a "b"' });
  expect(text).toContain(`bullmq_job_count{queue="${queue.name}", state="completed", app="a \\"b\\""} 2`);
  expect(text).toContain(`bullmq_job_completed_total{queue="${queue.name}", app="a \\"b\\""} 2`);
  expect(text).toContain(`bullmq_job_failed_total{queue="${queue.name}", app="a \\"b\\""} 1`);
});

test('counts are recorded with the meter of telemetry', async () => {
  const recorded: unknown[] = [];
  const meter = {
    createCounter: () => ({ add: () => undefined }),
    createHistogram: () => ({ record: () => undefined }),
    createGauge: (name: string) => ({
      record: (value: number, attributes: object) => recorded.push([name, value, attributes]),
    }),
  };
  const span = {
    setSpanOnContext: () => ({}),
    setAttribute() {},
    setAttributes() {},
    addEvent() {},
    recordException() {},
    end() {},
  };
  const telemetry = {
    tracer: { startSpan: () => span },
    contextManager: {
      with: (_context: unknown, fn: () => any) => fn(),
      active: () => ({}),
      getMetadata: () => '',
      fromMetadata: () => ({}),
    },
    meter,
  } as unknown as Telemetry;
  const queue = open({ telemetry });
  await queue.add('a', {});
  expect(await queue.recordJobCountsMetric('waiting', 'failed')).toEqual({ waiting: 1, failed: 0 });
  expect(recorded).toContainEqual([
    'bullmq.queue.jobs',
    1,
    { 'bullmq.queue.name': queue.name, 'bullmq.queue.jobs.state': 'waiting' },
  ]);
  expect(await open().recordJobCountsMetric('waiting')).toEqual({ waiting: 0 });
});

test('a deduplication id tells its job and can be let go', async () => {
  const queue = open();
  const job = await queue.add('a', {}, { deduplication: { id: 'once' } });
  expect(await queue.getDeduplicationJobId('once')).toBe(job.id);
  expect(await queue.removeDeduplicationKey('once')).toBe(1);
  expect(await queue.removeDeduplicationKey('once')).toBe(0);
  expect(await queue.getDeduplicationJobId('once')).toBeNull();
});

test('the event stream is cut on demand', async () => {
  const queue = open();
  await queue.addBulk(Array.from({ length: 500 }, (_, data) => ({ name: 'a', data })));
  const before = (await redis.call('XLEN', `bull:${queue.name}:events`)) as number;
  const removed = await queue.trimEvents(10);
  expect(removed).toBeGreaterThan(0);
  expect(await redis.call('XLEN', `bull:${queue.name}:events`)).toBe(before - removed);
  await expect(queue.trimEvents(-1)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
});

test('what is left of jobs in no state is removed, and nothing else', async () => {
  const queue = open();
  const job = await queue.add('a', {}, { delay: 60_000 });
  const key = (name: string) => `bull:${queue.name}:${name}`;
  await redis.call('HSET', key('lost'), 'name', 'a', 'data', '{}', 'timestamp', '5');
  await redis.call('RPUSH', key('lost:logs'), 'row');
  await redis.call('RPUSH', key('gone:logs'), 'row');
  await redis.call('SET', key('foreign'), 'not a job');
  expect(await queue.removeOrphanedJobs()).toBe(2);
  expect(await redis.exists(key('lost'), key('lost:logs'), key('gone:logs'))).toBe(0);
  expect(await redis.exists(key('foreign'), key('meta'), key('delayed'), key(job.id))).toBe(4);
});

test('logs are read from either end', async () => {
  const queue = open();
  const job = await queue.add('a', {});
  for (const row of ['1', '2', '3']) await queue.addJobLog(job.id, row);
  expect(await queue.getJobLogs(job.id, 0, 1)).toEqual({ logs: ['1', '2'], count: 3 });
  expect(await queue.getJobLogs(job.id, 0, 1, false)).toEqual({ logs: ['3', '2'], count: 3 });
});

describe('workers', () => {
  test('are listed one by one while they share their connections, until they close', async () => {
    const queue = open();
    expect(await queue.getWorkers()).toEqual([]);
    const workers = Array.from({ length: 5 }, (_, index) =>
      bench.worker(queue.name, async () => undefined, index === 0 ? { name: 'first' } : {}),
    );
    await Promise.all(workers.map((worker) => worker.waitUntilReady()));
    await waitFor(async () => (await queue.getWorkersCount()) === 5);
    const listed = await queue.getWorkers();
    const rawname = `bull:${Buffer.from(queue.name).toString('base64')}`;
    expect(listed.filter((one) => one.rawname === `${rawname}:w:first`)).toEqual([
      expect.objectContaining({ name: queue.name, pid: String(process.pid), age: expect.stringMatching(/^\d+$/) }),
    ]);
    expect(listed.filter((one) => one.rawname === rawname)).toHaveLength(4);
    await workers[0]?.close();
    await waitFor(async () => (await queue.getWorkersCount()) === 4);
  });
});

test('a queue that version 5 has paused refuses jobs until it is resumed', async () => {
  const queue = open();
  await queue.add('a', { n: 1 });
  // As version 5 pauses: what waits moves to a list of its own, over which its resume puts it back.
  await redis.call('RENAME', `bull:${queue.name}:wait`, `bull:${queue.name}:paused`);
  await redis.call('HSET', `bull:${queue.name}:meta`, 'paused', '1');
  await expect(queue.add('a', { n: 2 })).rejects.toMatchObject({
    code: 'ERR_INCOMPATIBLE_DATA',
    message: expect.stringContaining('BullMQ 5'),
  });
  const refused = { code: 'ERR_INCOMPATIBLE_DATA' };
  await expect(queue.pause()).rejects.toMatchObject(refused);
  await expect(queue.upsertJobScheduler('s', { every: 1000 })).rejects.toMatchObject(refused);
  const byHand = bench.worker(queue.name, null);
  await expect(byHand.getNextJob('token', { block: false })).rejects.toMatchObject(refused);
  const taken: unknown[] = [];
  const worker = bench.worker(queue.name, async (job) => void taken.push(job.data), { autorun: false });
  const told: Error[] = [];
  worker.on('error', (error) => told.push(error));
  void worker.run();
  await waitFor(() => told.length > 0);
  // A pause that failed of taking and one of looking for stalled jobs; not one for each time it tries again.
  expect(told.length).toBeLessThanOrEqual(2);
  expect(told[0]).toMatchObject(refused);
  expect(taken).toEqual([]);
  await worker.close();
  await queue.resume();
  await queue.add('a', { n: 2 });
  expect((await queue.getWaiting()).map((job) => job.data.n)).toEqual([1, 2]);
});
