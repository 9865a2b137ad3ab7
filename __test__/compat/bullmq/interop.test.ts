// The stock package from the registry beside ours on one Redis, in both directions.

import * as stock from 'bullmq';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../../../ts/job.js';
import { collect, JobBench } from '../../helpers/job-bench.js';
import { RedisServer } from '../../helpers/redis-server.js';
import { uniquePrefix } from '../../helpers/unique-prefix.js';
import { waitFor } from '../../helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;
let connection: { host: string; port: number };
const stocks: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
  connection = { host: server.host, port: server.port };
});

afterEach(async () => {
  await Promise.all([bench.close(), ...stocks.splice(0).map((one) => one.close())]);
});

afterAll(() => server.stop());

function keep<T extends { close(): Promise<void> }>(one: T): T {
  stocks.push(one);
  return one;
}

const stockQueue = (name: string) => keep(new stock.Queue(name, { connection }));
const stockWorker = (name: string, run: (job: stock.Job) => Promise<unknown>, options: object = {}) =>
  keep(new stock.Worker(name, run, { connection, ...options }));

async function stockEvents(name: string): Promise<stock.QueueEvents> {
  // From the start: a stock reader is ready before it has its position, and would miss what comes between.
  const events = keep(new stock.QueueEvents(name, { connection, lastEventId: '0' }));
  await events.waitUntilReady();
  return events;
}

describe('a stock worker', () => {
  test('finishes jobs that we added, by priority and after their delays, and we see how', async () => {
    const queue = bench.queue(uniquePrefix('to-stock'));
    const events = await bench.events(queue.name);
    const completed: unknown[] = [];
    events.on('completed', ({ jobId, returnvalue }) => completed.push([jobId, returnvalue]));
    const addedAt = Date.now();
    const jobs = await queue.addBulk([
      { name: 'a', data: { n: 1 }, opts: { priority: 9 } },
      { name: 'a', data: { n: 2 }, opts: { priority: 2 } },
      { name: 'a', data: { n: 3 } },
      { name: 'a', data: { n: 4 }, opts: { delay: 200 } },
    ]);
    const order: unknown[] = [];
    let startedAt = 0;
    stockWorker(queue.name, async (job) => {
      order.push(job.data.n);
      if (job.data.n === 4) startedAt = Date.now();
      await job.updateProgress(50);
      await job.log('from stock');
      return { twice: job.data.n * 2 };
    });
    expect(await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 10_000)))).toEqual(
      [1, 2, 3, 4].map((n) => ({ twice: n * 2 })),
    );
    // The delayed one comes when it is due, on a slow machine before others.
    expect(order.filter((n) => n !== 4)).toEqual([3, 2, 1]);
    expect(startedAt - addedAt).toBeGreaterThanOrEqual(200);
    await waitFor(() => completed.length === 4);
    const stored = await queue.getJob(jobs[0]!.id);
    expect(stored).toMatchObject({ returnvalue: { twice: 2 }, attemptsMade: 1 });
    expect(stored?.progress()).toBe(50);
    expect((await queue.getJobLogs(jobs[0]!.id)).logs).toEqual(['from stock']);
  });

  test('retries jobs that we added as we said, and fails them for good', async () => {
    const queue = bench.queue(uniquePrefix('to-stock'));
    const events = await bench.events(queue.name);
    let runs = 0;
    stockWorker(queue.name, async () => {
      runs++;
      throw new Error(`stock failure ${runs}`);
    });
    const job = await queue.add('a', {}, { attempts: 3, backoff: { type: 'fixed', delay: 20 }, stackTraceLimit: 2 });
    await expect(job.waitUntilFinished(events, 10_000)).rejects.toThrow('stock failure 3');
    const stored = await queue.getJob(job.id);
    expect(stored).toMatchObject({ attemptsMade: 3, failedReason: 'stock failure 3' });
    expect(stored?.stacktrace).toHaveLength(2);
    await job.retry();
    await waitFor(() => runs === 4);
  });

  test('runs the jobs of schedulers that we made', async () => {
    const queue = bench.queue(uniquePrefix('to-stock'));
    await queue.upsertJobScheduler('tick', { every: 100 }, { name: 'tick', data: { a: 1 } });
    let runs = 0;
    stockWorker(queue.name, async (job) => {
      expect(job.data).toEqual({ a: 1 });
      runs++;
    });
    await waitFor(() => runs >= 3);
    expect(await queue.removeJobScheduler('tick')).toBe(true);
  });
});

describe('our worker', () => {
  test('finishes jobs that a stock queue added, and stock events tell it', async () => {
    const name = uniquePrefix('from-stock');
    const queue = stockQueue(name);
    const events = await stockEvents(name);
    const told: unknown[] = [];
    events.on('progress', ({ jobId, data }) => told.push(['progress', jobId, data]));
    events.on('active', ({ jobId }) => told.push(['active', jobId]));
    const order: unknown[] = [];
    let startedAt = 0;
    const addedAt = Date.now();
    const jobs = await queue.addBulk([
      { name: 'a', data: { n: 1 }, opts: { priority: 9 } },
      { name: 'a', data: { n: 2 }, opts: { priority: 2 } },
      { name: 'a', data: { n: 3 } },
      { name: 'a', data: { n: 4 }, opts: { delay: 200 } },
    ]);
    bench.worker(name, async (job) => {
      order.push(job.data.n);
      if (job.data.n === 4) startedAt = Date.now();
      await job.updateProgress({ at: job.data.n });
      await job.log('from us');
      return { twice: job.data.n * 2 };
    });
    expect(await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 10_000)))).toEqual(
      [1, 2, 3, 4].map((n) => ({ twice: n * 2 })),
    );
    // The delayed one comes when it is due, on a slow machine before others.
    expect(order.filter((n) => n !== 4)).toEqual([3, 2, 1]);
    expect(startedAt - addedAt).toBeGreaterThanOrEqual(200);
    expect(told).toContainEqual(['active', jobs[2]!.id]);
    expect(told).toContainEqual(['progress', jobs[2]!.id, { at: 3 }]);
    const stored = (await queue.getJob(jobs[0]!.id!))!;
    expect(stored).toMatchObject({ returnvalue: { twice: 2 }, attemptsMade: 1, progress: { at: 1 } });
    expect((await queue.getJobLogs(jobs[0]!.id!)).logs).toEqual(['from us']);
    expect(await queue.getJobCounts('completed', 'failed', 'wait')).toEqual({ completed: 4, failed: 0, wait: 0 });
  });

  test('retries and fails jobs that a stock queue added; stock retry puts them back', async () => {
    const name = uniquePrefix('from-stock');
    const queue = stockQueue(name);
    const events = await stockEvents(name);
    let runs = 0;
    const worker = bench.worker(name, async () => {
      if (++runs <= 3) throw new Error(`our failure ${runs}`);
      return 'at last';
    });
    const failures = collect<[Job, Error]>(worker, 'failed', 3);
    const job = await queue.add('a', {}, { attempts: 3, backoff: { type: 'exponential', delay: 10 } });
    await expect(job.waitUntilFinished(events, 10_000)).rejects.toThrow('our failure 3');
    await failures;
    const stored = (await queue.getJob(job.id!))!;
    expect(stored.stacktrace).toHaveLength(3);
    expect(stored).toMatchObject({ attemptsMade: 3, failedReason: 'our failure 3' });
    const finished = new Promise((resolve) => events.on('completed', ({ returnvalue }) => resolve(returnvalue)));
    await stored.retry('failed');
    expect(await finished).toBe('at last');
  });

  test('keeps the schedulers of a stock queue going', async () => {
    const name = uniquePrefix('from-stock');
    const queue = stockQueue(name);
    await queue.upsertJobScheduler('tick', { every: 100 }, { name: 'tick', data: { a: 1 } });
    const seen: unknown[] = [];
    bench.worker(name, async (job) => void seen.push([job.name, job.data, job.repeatJobKey]));
    await waitFor(() => seen.length >= 3);
    expect(seen[2]).toEqual(['tick', { a: 1 }, 'tick']);
    await queue.removeJobScheduler('tick');
  });

  test('honours stock removal options, and pause', async () => {
    const name = uniquePrefix('from-stock');
    const queue = stockQueue(name);
    const worker = bench.worker(name, async (job) => job.data);
    const done = collect(worker, 'completed', 5);
    await queue.addBulk([1, 2, 3, 4, 5].map((data) => ({ name: 'a', data, opts: { removeOnComplete: { count: 2 } } })));
    await done;
    expect(await queue.getCompletedCount()).toBe(2);
    await queue.pause();
    await queue.add('a', 6);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(await queue.getWaitingCount()).toBe(1);
    await queue.resume();
    await waitFor(async () => (await queue.getWaitingCount()) === 0);
  });
});

test('stock and our workers share a queue without losing or doubling a job', async () => {
  const queue = bench.queue(uniquePrefix('shared'));
  const runs = new Map<number, string[]>();
  const by = (who: string) => async (job: { data: number }) => {
    runs.set(job.data, [...(runs.get(job.data) ?? []), who]);
    await new Promise((resolve) => setTimeout(resolve, 1));
    return who;
  };
  bench.worker(queue.name, by('ours'), { concurrency: 5 });
  stockWorker(queue.name, by('stock') as never, { concurrency: 5 });
  const theirs = stockQueue(queue.name);
  await Promise.all([
    queue.addBulk(Array.from({ length: 300 }, (_, data) => ({ name: 'a', data }))),
    theirs.addBulk(Array.from({ length: 300 }, (_, data) => ({ name: 'a', data: data + 300 }))),
  ]);
  await waitFor(async () => (await queue.getCompletedCount()) === 600, { timeoutMs: 20_000 });
  expect(runs.size).toBe(600);
  expect([...runs.values()].every((who) => who.length === 1)).toBe(true);
  const shares = new Set([...runs.values()].flat());
  expect([...shares].sort()).toEqual(['ours', 'stock']);
});
