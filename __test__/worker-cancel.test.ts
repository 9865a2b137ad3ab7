// What keeps a job from running on, or from being started: cancellation, timeouts, an expired start.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../ts/job.js';
import { Queue } from '../ts/queue.js';
import { JobCancelledError, UnrecoverableError } from '../ts/steering.js';
import { collect, JobBench } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
});

afterEach(() => bench.close());

afterAll(() => server.stop());

/** Rejects with the signal's reason when it is aborted. */
const untilAborted = (signal: AbortSignal | undefined) =>
  new Promise<never>((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

describe('queue.cancelJob', () => {
  test('aborts the signal of a job that another object runs, within tens of milliseconds', async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, (_job, _token, signal) => untilAborted(signal), { concurrency: 2 });
    const active = collect<[Job]>(worker, 'active', 2);
    const [first, second] = await queue.addBulk([1, 2].map((data) => ({ name: 'a', data, opts: { attempts: 5 } })));
    await active;
    const elsewhere = new Queue(queue.name, { connection: { url: server.url, connectionName: 'elsewhere' } });
    try {
      const failed = collect<[Job, Error]>(worker, 'failed', 1);
      await waitFor(() => elsewhere.cancelJob(first!.id, 'the user left'));
      const [[job, error]] = (await failed) as [[Job, Error]];
      expect(job.id).toBe(first!.id);
      expect(error).toBeInstanceOf(JobCancelledError);
      expect([error.message, String(error), error.name]).toEqual([
        'the user left',
        'the user left',
        'JobCancelledError',
      ]);
      // Whoever cancels does not want it tried again.
      expect(await queue.getJob(first!.id)).toMatchObject({ failedReason: 'the user left', attemptsMade: 1 });
      expect(await first!.getState()).toBe('failed');
      expect(await second!.getState()).toBe('active');

      const start = performance.now();
      const again = collect<[Job, Error]>(worker, 'failed', 1);
      expect(await elsewhere.cancelJob(second!.id)).toBe(true);
      await again;
      expect(performance.now() - start).toBeLessThan(2_000);
      expect((await queue.getJob(second!.id))?.failedReason).toBe('the job was cancelled');
    } finally {
      await elsewhere.close();
    }
  });

  test('says false when nobody runs the job', async () => {
    const queue = bench.queue();
    const job = await queue.add('a', {});
    expect(await queue.cancelJob(job.id)).toBe(false);
    expect(await queue.cancelJob('never there')).toBe(false);
  });

  test('leaves a processor that takes no notice alone', async () => {
    const queue = bench.queue();
    let end = () => {};
    const worker = bench.worker(
      queue.name,
      () => new Promise<string>((resolve) => (end = () => resolve('all the same'))),
    );
    const active = collect(worker, 'active', 1);
    const done = collect<[Job, string]>(worker, 'completed', 1);
    const job = await queue.add('a', {});
    await active;
    expect(worker.cancelJob(job.id)).toBe(false);
    await waitFor(() => queue.cancelJob(job.id));
    end();
    expect((await done)[0]?.[1]).toBe('all the same');
  });
});

describe('a worker', () => {
  test('cancels its own jobs', async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, (_job, _token, signal) => untilAborted(signal), { concurrency: 3 });
    const active = collect(worker, 'active', 3);
    const jobs = await queue.addBulk([1, 2, 3].map((data) => ({ name: 'a', data })));
    await active;
    const failed = collect<[Job, Error]>(worker, 'failed', 3);
    expect(worker.cancelJob(jobs[0]!.id, 'one')).toBe(true);
    expect(worker.cancelJob('unknown')).toBe(false);
    worker.cancelAllJobs('all');
    const reasons = (await failed).map(([job, error]) => [job.id, error.message]);
    expect(Object.fromEntries(reasons)).toEqual({
      [jobs[0]!.id]: 'one',
      [jobs[1]!.id]: 'all',
      [jobs[2]!.id]: 'all',
    });
  });
});

describe('timeout', () => {
  test('tries again as attempts say, and ignores what comes late', async () => {
    const queue = bench.queue();
    const ends: (() => void)[] = [];
    const worker = bench.worker(queue.name, async (job) => {
      if (job.attemptsMade === 2) return 'third';
      await new Promise<void>((resolve) => ends.push(resolve));
      if (job.attemptsMade === 1) throw new Error('late failure');
      return 'late result';
    });
    const failed = collect<[Job, Error]>(worker, 'failed', 2);
    const done = collect<[Job, string]>(worker, 'completed', 1);
    const job = await queue.add('a', {}, { timeout: 100, attempts: 3 });
    for (const [, error] of await failed) {
      expect(error).toMatchObject({ name: 'TimeoutError', code: 'ERR_WAIT_TIMED_OUT', retryable: true });
    }
    expect((await done)[0]?.[1]).toBe('third');
    for (const end of ends) end();
    await sleep(50);
    expect(await queue.getJob(job.id)).toMatchObject({ returnvalue: 'third', attemptsMade: 3, attemptsStarted: 3 });
    expect(await job.getState()).toBe('completed');
  });

  test('of a processor that never settles keeps no slot', async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, (job) => (job.name === 'hang' ? new Promise(() => {}) : 'done'));
    const done = collect<[Job]>(worker, 'completed', 1);
    await queue.add('hang', {}, { timeout: 100 });
    const next = await queue.add('next', {});
    expect((await done)[0]?.[0].id).toBe(next.id);
    await worker.close();
  });
});

describe('expireAt', () => {
  test('fails a job that nobody started in time, and no other', async () => {
    const queue = bench.queue();
    const ran: string[] = [];
    const late = await queue.add('late', {}, { expireAt: new Date(Date.now() - 1000), attempts: 3 });
    const soon = await queue.add('soon', {}, { expireAt: Date.now() + 60_000 });
    const worker = bench.worker(queue.name, async (job) => void ran.push(job.name));
    const failed = collect<[Job, Error]>(worker, 'failed', 1);
    const done = collect<[Job]>(worker, 'completed', 1);
    const [[job, error]] = (await failed) as [[Job, Error]];
    await done;
    expect([job.id, ran]).toEqual([late.id, ['soon']]);
    expect(error).toBeInstanceOf(UnrecoverableError);
    expect(error.message).toMatch(/^job expired: it was not started by \d{4}-/);
    await waitFor(async () => (await late.getState()) === 'failed');
    expect((await queue.getJob(soon.id))?.opts.expireAt).toBeGreaterThan(Date.now());
  });

  test.each([['tomorrow'], [-1], [true]])('refuses %s', async (expireAt) => {
    await expect(bench.queue().add('a', {}, { expireAt: expireAt as never })).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
      details: { option: 'expireAt' },
    });
  });
});
