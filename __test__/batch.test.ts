// Processors that get several jobs at a time.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BatchProcessor, JobBatch } from '../ts/batch/job-batch.js';
import type { Job } from '../ts/job.js';
import { QueueService } from '../ts/queue-service.js';
import { DelayedError, UnrecoverableError } from '../ts/steering.js';
import type { WorkerOptions } from '../ts/types/queue-options.js';
import { Worker } from '../ts/worker.js';
import { collect, JobBench } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
});

afterEach(() => bench.close());

afterAll(() => server.stop());

function open(processor: BatchProcessor, options: WorkerOptions & { batch: NonNullable<WorkerOptions['batch']> }) {
  const queue = bench.queue();
  const worker = bench.worker(queue.name, processor as never, { ...options, autorun: false });
  return { queue, worker, start: () => void worker.run() };
}

const jobs = (count: number, opts = {}) =>
  Array.from({ length: count }, (_, data) => ({ name: `job ${data}`, data, opts }));

describe('a batch', () => {
  test('has up to size jobs in order, and each its own result', async () => {
    const sizes: number[] = [];
    const { queue, worker, start } = open(
      async (batch) => {
        sizes.push(batch.length);
        expect(batch.getBatch()).toBe(batch.jobs);
        return [...batch].map((job) => ({ twice: job.data * 2 }));
      },
      { batch: { size: 10 } },
    );
    const added = await queue.addBulk(jobs(25));
    const done = collect<[Job, unknown]>(worker, 'completed', 25);
    start();
    const results = await done;
    expect(sizes).toEqual([10, 10, 5]);
    expect(results.map(([job]) => job.data)).toEqual(added.map(({ data }) => data));
    for (const [job, result] of results) expect(result).toEqual({ twice: job.data * 2 });
    expect((await queue.getJob(added[3]!.id))?.returnvalue).toEqual({ twice: 6 });
    expect(await queue.getJobCounts()).toMatchObject({ completed: 25, active: 0, waiting: 0 });
  });

  test('that returns nothing completes its jobs with null', async () => {
    const { queue, worker, start } = open(async () => {}, { batch: { size: 3 } });
    const done = collect<[Job, unknown]>(worker, 'completed', 3);
    await queue.addBulk(jobs(3));
    start();
    await done;
    for (const job of await queue.getCompleted()) expect(job.returnvalue).toBeNull();
  });

  test('fails the jobs that it names, delays others, and completes the rest', async () => {
    const { queue, worker, start } = open(
      async (batch) => {
        for (const job of batch) {
          if (job.attemptsStarted > 1) continue;
          if (job.data === 1) job.setAsFailed(new TypeError('one failed'));
          if (job.data === 2) job.setAsFailed(new UnrecoverableError('two is hopeless'));
          if (job.data === 3) await job.moveToDelayed(Date.now() + 50);
        }
        return batch.jobs.map((job) => job.attemptsStarted);
      },
      { batch: { size: 4 } },
    );
    const done = collect<[Job, number]>(worker, 'completed', 3);
    const failed = collect<[Job, Error]>(worker, 'failed', 2);
    const added = await queue.addBulk(jobs(4, { attempts: 3 }));
    start();
    expect((await failed).map(([job, error]) => [job.data, error.name, error.message])).toEqual([
      [1, 'TypeError', 'one failed'],
      [2, 'UnrecoverableError', 'two is hopeless'],
    ]);
    expect((await done).map(([job, started]) => [job.data, started]).sort()).toEqual([
      [0, 1],
      [1, 2],
      [3, 2],
    ]);
    expect(await added[2]!.getState()).toBe('failed');
    expect((await queue.getJob(added[1]!.id))?.attemptsMade).toBe(2);
    expect((await queue.getJob(added[3]!.id))?.attemptsMade).toBe(1);
  });

  test('that throws fails all jobs but keeps what it had decided', async () => {
    const { queue, worker, start } = open(
      async (batch) => {
        batch.jobs[0]!.setAsFailed(new Error('the first'));
        throw new Error('the batch');
      },
      { batch: { size: 3 } },
    );
    const failed = collect<[Job, Error]>(worker, 'failed', 3);
    await queue.addBulk(jobs(3));
    start();
    expect((await failed).map(([job, error]) => [job.data, error.message])).toEqual([
      [0, 'the first'],
      [1, 'the batch'],
      [2, 'the batch'],
    ]);
  });

  test('that throws a steering error steers all its jobs', async () => {
    let runs = 0;
    const { queue, worker, start } = open(
      async (batch) => {
        if (++runs > 1) return;
        for (const job of batch) await job.moveToDelayed(Date.now() + 20);
        throw new DelayedError();
      },
      { batch: { size: 3 } },
    );
    const done = collect<[Job]>(worker, 'completed', 3);
    await queue.addBulk(jobs(3));
    start();
    for (const [job] of await done) expect(job.attemptsMade).toBe(1);
  });

  test.each([
    ['a number', 7, 'returned 7'],
    ['too few results', [1], 'returned an array of 1'],
  ])('that returns %s fails for good', async (_what, returned, message) => {
    const { queue, worker, start } = open(async () => returned as never, { batch: { size: 2 } });
    const failed = collect<[Job, Error]>(worker, 'failed', 2);
    await queue.addBulk(jobs(2, { attempts: 5 }));
    start();
    for (const [job, error] of await failed) {
      expect(error.message).toContain(message);
      expect(error.message).toContain('allowed: nothing, or an array with a result for each of its 2 jobs');
      expect(await job.getState()).toBe('failed');
    }
  });
});

describe('filling', () => {
  test('waits for minSize', async () => {
    const sizes: number[] = [];
    const { queue, worker, start } = open(async (batch) => void sizes.push(batch.length), {
      batch: { size: 10, minSize: 4, timeout: 600_000 },
    });
    start();
    const done = collect(worker, 'completed', 4);
    await queue.addBulk(jobs(3));
    await waitFor(async () => (await queue.getActiveCount()) === 3);
    expect(sizes).toEqual([]);
    await queue.add('last', {});
    await done;
    expect(sizes).toEqual([4]);
  });

  test('waits no longer than timeout', async () => {
    const sizes: number[] = [];
    const { queue, worker, start } = open(async (batch) => void sizes.push(batch.length), {
      batch: { size: 10, minSize: 10, timeout: 200 },
    });
    start();
    await worker.waitUntilReady();
    const done = collect(worker, 'completed', 2);
    const begin = performance.now();
    await queue.addBulk(jobs(2));
    await done;
    expect(performance.now() - begin).toBeGreaterThanOrEqual(190);
    expect(sizes).toEqual([2]);
  });

  test('takes no more jobs than run while its slots are busy', async () => {
    const ends: (() => void)[] = [];
    const batches: JobBatch[] = [];
    const { queue, start } = open(
      (batch) => {
        batches.push(batch);
        return new Promise<void>((resolve) => ends.push(resolve));
      },
      { batch: { size: 5 }, concurrency: 2 },
    );
    await queue.addBulk(jobs(30));
    start();
    await waitFor(() => batches.length === 2);
    await waitFor(async () => (await queue.getWaitingCount()) === 20);
    expect(await queue.getActiveCount()).toBe(10);
    while (batches.length < 6) {
      const before = batches.length;
      ends.shift()?.();
      await waitFor(() => batches.length > before);
    }
    for (const end of ends) end();
    await waitFor(async () => (await queue.getCompletedCount()) === 30);
    expect(batches.map(({ length }) => length)).toEqual([5, 5, 5, 5, 5, 5]);
  });

  test('heeds a change of concurrency', async () => {
    let running = 0;
    let most = 0;
    const { queue, worker, start } = open(
      async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 20));
        running--;
      },
      { batch: { size: 2 } },
    );
    await queue.addBulk(jobs(10));
    const first = collect(worker, 'completed', 10);
    start();
    await first;
    expect(most).toBe(1);
    worker.concurrency = 3;
    const second = collect(worker, 'completed', 24);
    await queue.addBulk(jobs(24));
    await second;
    expect(most).toBe(3);
  });

  test('respects a limiter, which counts jobs', async () => {
    const sizes: number[] = [];
    const { queue, worker, start } = open(async (batch) => void sizes.push(batch.length), {
      batch: { size: 10 },
      limiter: { max: 4, duration: 300 },
    });
    await queue.addBulk(jobs(8));
    const done = collect(worker, 'completed', 8);
    start();
    await done;
    expect(sizes).toEqual([4, 4]);
  });
});

describe('one job of a batch', () => {
  test('has its own timeout', async () => {
    let end = () => {};
    let signalled = false;
    const { queue, worker, start } = open(
      (_batch, signal) => {
        signal?.addEventListener('abort', () => (signalled = true));
        return new Promise<void>((resolve) => (end = resolve));
      },
      { batch: { size: 2 } },
    );
    const failed = collect<[Job, Error]>(worker, 'failed', 1);
    const done = collect<[Job]>(worker, 'completed', 1);
    await queue.addBulk([
      { name: 'short', data: {}, opts: { timeout: 50 } },
      { name: 'long', data: {} },
    ]);
    start();
    const [[job, error]] = (await failed) as [[Job, Error]];
    expect([job.name, (error as { code?: string }).code]).toEqual(['short', 'ERR_WAIT_TIMED_OUT']);
    expect(signalled).toBe(false);
    end();
    expect((await done)[0]?.[0].name).toBe('long');
  });

  test('can be cancelled; the signal is aborted when none is left, and the slot is free', async () => {
    const aborted: unknown[] = [];
    let batches = 0;
    const { queue, worker, start } = open(
      (_batch, signal) => {
        if (++batches > 1) return;
        signal?.addEventListener('abort', () => aborted.push(signal.reason.message));
        return new Promise(() => {});
      },
      { batch: { size: 2 } },
    );
    const active = collect<[Job]>(worker, 'active', 2);
    const failed = collect<[Job, Error]>(worker, 'failed', 2);
    const [first, second] = await queue.addBulk(jobs(2));
    start();
    await active;
    expect(worker.cancelJob(first!.id, 'first')).toBe(true);
    await waitFor(async () => (await first!.getState()) === 'failed');
    expect(aborted).toEqual([]);
    await waitFor(() => queue.cancelJob(second!.id, 'second'));
    expect((await failed).map(([, error]) => error.message)).toEqual(['first', 'second']);
    expect(aborted).toEqual(['second']);
    const done = collect(worker, 'completed', 1);
    await queue.add('next', {});
    await done;
  });

  test('that waits for its batch can be cancelled too', async () => {
    const { queue, worker, start } = open(async () => {}, { batch: { size: 5, minSize: 5, timeout: 600_000 } });
    const failed = collect<[Job, Error]>(worker, 'failed', 1);
    start();
    const job = await queue.add('a', {});
    await waitFor(() => queue.cancelJob(job.id, 'not wanted'));
    expect((await failed)[0]?.[1].message).toBe('not wanted');
  });

  test('is retried with its own backoff strategy', async () => {
    const { queue, worker, start } = open(
      async (batch) => {
        for (const job of batch) if (job.attemptsMade < job.data) job.setAsFailed(new Error('again'));
      },
      { batch: { size: 4 }, settings: { backoffStrategy: () => 1 } },
    );
    await queue.addBulk(jobs(4, { attempts: 4, backoff: { type: 'mine' } }));
    const done = collect<[Job]>(worker, 'completed', 4);
    start();
    for (const [job] of await done) expect(job.attemptsMade).toBe(job.data + 1);
  });
});

test('close waits for batches, and runs what waits for one', async () => {
  const sizes: number[] = [];
  const { queue, worker, start } = open(async (batch) => void sizes.push(batch.length), {
    batch: { size: 5, minSize: 5, timeout: 600_000 },
  });
  start();
  await queue.addBulk(jobs(3));
  await waitFor(async () => (await queue.getActiveCount()) === 3);
  await worker.close();
  expect(sizes).toEqual([3]);
  expect(await queue.getCompletedCount()).toBe(3);
});

test('10,000 jobs in batches: each once', { timeout: 60_000 }, async () => {
  const seen = new Set<number>();
  let doubled = 0;
  const { queue, worker, start } = open(
    async (batch) => {
      for (const job of batch) {
        if (seen.has(job.data)) doubled++;
        seen.add(job.data);
      }
      await new Promise((resolve) => setImmediate(resolve));
      return batch.jobs.map((job) => job.data);
    },
    { batch: { size: 50 }, concurrency: 4 },
  );
  await queue.addBulk(jobs(10_000));
  const done = collect(worker, 'completed', 10_000);
  start();
  await done;
  expect([seen.size, doubled]).toEqual([10_000, 0]);
  expect(await queue.getJobCounts()).toMatchObject({ completed: 10_000, active: 0, waiting: 0 });
});

test('setAsFailed is refused elsewhere', async () => {
  const queue = bench.queue();
  const worker = bench.worker(queue.name, async (job) => job.setAsFailed(new Error('x')));
  const failed = collect<[Job, Error]>(worker, 'failed', 1);
  await queue.add('a', {});
  expect((await failed)[0]?.[1].message).toContain('setAsFailed is for the processor of batches');
});

test('QueueService runs batches, for the single processor of a queue', async () => {
  const service = new QueueService({ redis: { url: server.url } });
  try {
    const queue = uniquePrefix('batches');
    const worker = service.registerProcessor(queue, async (batch) => batch.jobs.map((job) => job.data), {
      batch: { size: 5 },
      concurrency: 1,
    });
    const done = collect<[Job, unknown]>(worker, 'completed', 2);
    await service.addBulkJobs(queue, [{ data: 1 }, { data: 2 }]);
    expect((await done).map(([, result]) => result)).toEqual([1, 2]);
    const beside = { code: 'ERR_INVALID_OPTION', details: { option: 'batch' } };
    expect(() => service.registerProcessor(queue, async () => 1, { name: 'one' })).toThrow(
      expect.objectContaining(beside),
    );
    const other = uniquePrefix('batches');
    service.registerProcessor(other, async () => 1, { name: 'one' });
    expect(() => service.registerProcessor(other, async () => [], { batch: { size: 2 } })).toThrow(
      expect.objectContaining(beside),
    );
  } finally {
    await service.close();
  }
});

describe('what is wrong is refused', () => {
  test.each([
    [{ size: 0 }, 'batch.size'],
    [{ size: 1.5 }, 'batch.size'],
    [{}, 'batch.size'],
    [{ size: 5, minSize: 6 }, 'batch.minSize'],
    [{ size: 5, timeout: -1 }, 'batch.timeout'],
    [{ size: 5, groupAffinity: true }, 'batch.groupAffinity'],
    [7, 'batch'],
    [null, 'batch'],
  ])('%o', (batch, option) => {
    expect(() => new Worker('refused', async () => [], { batch: batch as never })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option } }),
    );
  });

  test('options of sandboxes', () => {
    expect(() => new Worker('refused', async () => [], { batch: { size: 2 }, useWorkerThreads: true })).toThrow(
      expect.objectContaining({ details: { option: 'useWorkerThreads' } }),
    );
  });

  test('batches for a file', () => {
    expect(() => new Worker('refused', import.meta.filename, { batch: { size: 2 } })).toThrow(/file/);
  });
});
