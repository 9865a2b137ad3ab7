import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { QueueEvents } from '../ts/queue-events.js';
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

describe('events', () => {
  test('of a life of a job come in order, with their values', async () => {
    const queue = bench.queue();
    const events = await bench.events(queue.name);
    const heard: unknown[] = [];
    for (const event of ['added', 'waiting', 'active', 'progress', 'completed', 'removed'] as const) {
      events.on(event, (args: object, id: string) => {
        expect(id).toMatch(/^\d+-\d+$/);
        heard.push([event, args]);
      });
    }
    bench.worker(queue.name, async (job) => {
      await job.updateProgress({ half: true });
      return [1, 'two'];
    });
    const { id: jobId } = await queue.add('a', {});
    await waitFor(() => heard.length === 5);
    await queue.remove(jobId);
    await waitFor(() => heard.length === 6);
    expect(heard).toEqual([
      ['added', { jobId, name: 'a' }],
      ['waiting', { jobId }],
      ['active', { jobId, prev: 'waiting' }],
      ['progress', { jobId, data: { half: true } }],
      ['completed', { jobId, returnvalue: [1, 'two'], prev: 'active' }],
      ['removed', { jobId, prev: 'completed' }],
    ]);
  });

  test('of failures, delays, pauses and an empty queue', async () => {
    const queue = bench.queue();
    const events = await bench.events(queue.name);
    const heard: Record<string, unknown[]> = {};
    for (const event of ['failed', 'retries-exhausted', 'delayed', 'paused', 'resumed', 'drained'] as const) {
      heard[event] = [];
      events.on(event, (...args: unknown[]) => heard[event]!.push(args[0]));
    }
    bench.worker(queue.name, () => Promise.reject(new Error('no')));
    const before = Date.now();
    const job = await queue.add('a', {}, { delay: 50 });
    await waitFor(() => heard['failed']!.length === 1);
    await queue.pause();
    await queue.resume();
    await waitFor(() => heard['resumed']!.length === 1 && heard['drained']!.length > 0);
    expect(heard['failed']).toEqual([{ jobId: job.id, failedReason: 'no', prev: 'active' }]);
    expect(heard['retries-exhausted']).toEqual([{ jobId: job.id, attemptsMade: '1' }]);
    const [{ delay }] = heard['delayed'] as [{ delay: number }];
    expect(delay).toBeGreaterThanOrEqual(before + 50);
    expect([heard['paused'], heard['resumed']]).toEqual([[{}], [{}]]);
    // The only one whose value is the id of the entry.
    expect(heard['drained']![0]).toMatch(/^\d+-\d+$/);
  });

  test('can be read from an earlier one on', async () => {
    const queue = bench.queue();
    await queue.addBulk([1, 2, 3].map((data) => ({ name: 'a', data })));
    const heard: string[] = [];
    const all = bench.events(queue.name, { lastEventId: '0', autorun: false }).then((events) => {
      events.on('added', ({ jobId }) => heard.push(jobId));
      void events.run();
    });
    await all;
    await waitFor(() => heard.length === 3);
    expect(heard).toEqual(['1', '2', '3']);
  });

  test('of many queues are read by one connection', async () => {
    const queues = Array.from({ length: 30 }, () => bench.queue());
    const readers = await Promise.all(queues.map((queue) => bench.events(queue.name)));
    const added = readers.map((events) => collect(events, 'added', 1));
    await Promise.all(queues.map((queue) => queue.add('a', {})));
    await Promise.all(added);
    const clients = (await bench.queue().ping()) && (await countClients());
    expect(clients).toBeLessThan(10);
  });
});

async function countClients(): Promise<number> {
  const { RedisService } = await import('../ts/redis.js');
  const redis = new RedisService({ url: server.url });
  const list = (await redis.call('CLIENT', 'LIST')) as string;
  await redis.close();
  return list.trim().split('\n').length;
}

describe('waiting for a job', () => {
  test('that has ended already gives its end', async () => {
    const queue = bench.queue();
    const events = await bench.events(queue.name);
    const worker = bench.worker(queue.name, async (job) => {
      if (job.data.bad) throw new Error('it was bad');
      return { fine: true };
    });
    const ended = Promise.all([collect(worker, 'completed', 1), collect(worker, 'failed', 1)]);
    const [good, bad] = await queue.addBulk([{}, { bad: true }].map((data) => ({ name: 'a', data })));
    await ended;
    expect(await good!.waitUntilFinished(events)).toEqual({ fine: true });
    await expect(bad!.waitUntilFinished(events)).rejects.toThrow('it was bad');
  });

  test('that completes after a failed attempt gives the result', async () => {
    const queue = bench.queue();
    const events = await bench.events(queue.name);
    let runs = 0;
    const worker = bench.worker(queue.name, async () => {
      if (++runs === 1) throw new Error('first');
      return 'second';
    });
    const done = collect(worker, 'completed', 1);
    const job = await queue.add('a', {}, { attempts: 2 });
    await done;
    expect(await job.waitUntilFinished(events)).toBe('second');
  });

  test('that is removed as it completes gives the result', async () => {
    const queue = bench.queue();
    const events = await bench.events(queue.name);
    bench.worker(queue.name, async (job) => job.data, { concurrency: 20 });
    const jobs = await queue.addBulk(
      Array.from({ length: 100 }, (_, data) => ({ name: 'a', data, opts: { removeOnComplete: true } })),
    );
    const waits = jobs.map((job) => job.waitUntilFinished(events, 5_000));
    const results = await Promise.allSettled(waits);
    // One that ended before it was waited for is gone; nothing else may be missing.
    for (const [index, result] of results.entries()) {
      if (result.status === 'fulfilled') expect(result.value).toBe(index);
      else expect(result.reason).toMatchObject({ code: 'ERR_JOB_NOT_FOUND' });
    }
  });

  test('that does not end gives up after its time, and one that never was is not found', async () => {
    const queue = bench.queue();
    const events = await bench.events(queue.name);
    const job = await queue.add('a', {});
    await expect(job.waitUntilFinished(events, 50)).rejects.toMatchObject({
      code: 'ERR_WAIT_TIMED_OUT',
      details: { limit: 50 },
    });
    await job.remove();
    await expect(job.waitUntilFinished(events)).rejects.toMatchObject({ code: 'ERR_JOB_NOT_FOUND' });
  });

  test('ends when the reader is closed', async () => {
    const queue = bench.queue();
    const events = await bench.events(queue.name);
    const job = await queue.add('a', {});
    const waiting = job.waitUntilFinished(events);
    await Promise.all([
      expect(waiting).rejects.toMatchObject({ code: 'ERR_CLOSED' }),
      new Promise((resolve) => setTimeout(resolve, 20)).then(() => events.close()),
    ]);
    await events.close();
    await expect(job.waitUntilFinished(events)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});

test('bad input is refused with its path', () => {
  for (const [option, options] of [
    ['autorun', { autorun: 1 }],
    ['lastEventID', { lastEventID: '0' }],
    ['hots', { connection: { hots: 1 } }],
  ] as const) {
    expect(() => new QueueEvents(uniquePrefix('q'), options as never)).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: expect.objectContaining({ option }) }),
    );
  }
});
