// Every option and event of a worker, each honoured or refused.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as stock from 'bullmq';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../ts/job.js';
import { RateLimitError } from '../ts/steering.js';
import type { WorkerOptions } from '../ts/types/queue-options.js';
import { Worker } from '../ts/worker.js';
import { collect, JobBench } from './helpers/job-bench.js';
import { openProbe, type Probe } from './helpers/probe.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;
let redis: Probe;

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
  redis = openProbe(server);
});

afterEach(() => bench.close());

afterAll(async () => {
  await redis.close();
  await server.stop();
});

const nothing = async () => {};
type Honour = () => Promise<void>;

/** What each option does. The keys are all options of `WorkerOptions`; the type holds it complete. */
const options: Record<Exclude<keyof WorkerOptions, 'redis'>, Honour | string> = {
  connection: 'compat/bullmq/interop.test.ts',
  prefix: async () => {
    const queue = bench.queue(undefined, { prefix: 'other' });
    const worker = bench.worker(queue.name, nothing, { prefix: 'other' });
    const done = collect(worker, 'completed', 1);
    await queue.add('a', {});
    await done;
  },
  name: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, nothing, { name: 'the worker' });
    const done = collect<[Job]>(worker, 'completed', 1);
    const job = await queue.add('a', {});
    await done;
    expect((await queue.getJob(job.id))?.processedBy).toBe('the worker');
  },
  autorun: async () => {
    const queue = bench.queue();
    await queue.add('a', {});
    const worker = bench.worker(queue.name, nothing, { autorun: false });
    await sleep(100);
    expect([worker.isRunning(), await queue.getWaitingCount()]).toEqual([false, 1]);
    const done = collect(worker, 'completed', 1);
    void worker.run();
    await done;
    expect(worker.isRunning()).toBe(true);
  },
  concurrency: async () => {
    const queue = bench.queue();
    let [running, most] = [0, 0];
    const worker = bench.worker(
      queue.name,
      async () => {
        most = Math.max(most, ++running);
        await sleep(20);
        running--;
      },
      { concurrency: 3 },
    );
    const done = collect(worker, 'completed', 9);
    await queue.addBulk(Array.from({ length: 9 }, () => ({ name: 'a', data: {} })));
    await done;
    expect(most).toBe(3);
  },
  limiter: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, nothing, { limiter: { max: 2, duration: 300 }, concurrency: 10 });
    const starts: number[] = [];
    worker.on('active', () => starts.push(performance.now()));
    const done = collect(worker, 'completed', 4);
    await queue.addBulk(Array.from({ length: 4 }, () => ({ name: 'a', data: {} })));
    await done;
    expect(starts[2]! - starts[0]!).toBeGreaterThan(200);
  },
  lockDuration: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, () => sleep(200), { lockDuration: 7_000 });
    const active = collect<[Job]>(worker, 'active', 1);
    await queue.add('a', {});
    const [[job]] = (await active) as [[Job]];
    const left = Number(await redis.call('PTTL', `bull:${queue.name}:${job.id}:lock`));
    expect(left).toBeGreaterThan(5_000);
    expect(left).toBeLessThanOrEqual(7_000);
  },
  lockRenewTime: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, () => sleep(600), { lockDuration: 60_000, lockRenewTime: 100 });
    const renewed = collect<[{ count: number; jobIds: string[] }]>(worker, 'locksRenewed', 3);
    const job = await queue.add('a', {});
    for (const [event] of await renewed) expect(event).toEqual({ count: 1, jobIds: [job.id] });
  },
  stalledInterval: async () => {
    const queue = bench.queue();
    await abandon(queue.name, await queue.add('a', {}));
    const worker = bench.worker(queue.name, nothing, { stalledInterval: 200 });
    const stalled = collect<[string, string]>(worker, 'stalled', 1);
    const done = collect(worker, 'completed', 1);
    expect((await stalled)[0]).toEqual(['1', 'active']);
    await done;
  },
  maxStalledCount: async () => {
    const queue = bench.queue();
    const job = await queue.add('a', {});
    await abandon(queue.name, job);
    const worker = bench.worker(queue.name, nothing, { stalledInterval: 200, maxStalledCount: 0 });
    const failed = collect<[Job, Error]>(worker, 'failed', 1);
    const [[, error]] = (await failed) as [[Job, Error]];
    expect([error.name, error.message]).toEqual(['UnrecoverableError', 'job stalled more than allowable limit']);
  },
  maxStartedAttempts: async () => {
    const queue = bench.queue();
    let runs = 0;
    const worker = bench.worker(
      queue.name,
      async () => {
        runs++;
        throw new Error('no');
      },
      { maxStartedAttempts: 2 },
    );
    const failed = collect<[Job]>(worker, 'failed', 2);
    const job = await queue.add('a', {}, { attempts: 9 });
    await failed;
    expect([runs, await job.getState()]).toEqual([2, 'failed']);
    const again = collect<[Job, Error]>(worker, 'failed', 1);
    await job.retry();
    expect((await again)[0]?.[1].message).toBe('job started more than allowable limit');
    expect(runs).toBe(2);
  },
  drainDelay: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, nothing, { drainDelay: 0.3 });
    await worker.waitUntilReady();
    await sleep(100);
    const done = collect(worker, 'completed', 1);
    // A job of which no marker tells is found by the look that the worker takes by itself.
    await redis.call('HSET', `bull:${queue.name}:silent`, 'name', 'a', 'data', '{}', 'opts', '{}', 'timestamp', 1);
    await redis.call('LPUSH', `bull:${queue.name}:wait`, 'silent');
    const start = performance.now();
    await done;
    expect(performance.now() - start).toBeLessThan(4_000);
  },
  maximumRateLimitDelay: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, nothing, {
      maximumRateLimitDelay: 100,
      limiter: { max: 1, duration: 60_000 },
    });
    const first = collect(worker, 'completed', 1);
    await queue.add('a', {});
    await queue.add('b', {});
    await first;
    const second = collect(worker, 'completed', 1);
    // Who sleeps no longer than that sees that the limit has gone.
    await sleep(150);
    await redis.call('DEL', `bull:${queue.name}:limiter`);
    await second;
  },
  removeOnComplete: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, nothing, { removeOnComplete: { count: 1 } });
    const done = collect(worker, 'completed', 3);
    await queue.addBulk([1, 2, 3].map((data) => ({ name: 'a', data })));
    await done;
    expect(await queue.getCompletedCount()).toBe(1);
  },
  removeOnFail: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, () => Promise.reject(new Error('no')), { removeOnFail: true });
    const failed = collect(worker, 'failed', 1);
    await queue.add('a', {});
    await failed;
    expect(await queue.getFailedCount()).toBe(0);
  },
  metrics: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, nothing, { metrics: { maxDataPoints: 10 } });
    const done = collect(worker, 'completed', 3);
    await queue.addBulk([1, 2, 3].map((data) => ({ name: 'a', data })));
    await done;
    expect(await redis.call('HGET', `bull:${queue.name}:metrics:completed`, 'count')).toBe('3');
  },
  skipStalledCheck: async () => {
    const queue = bench.queue();
    const job = await queue.add('a', {});
    await abandon(queue.name, job);
    bench.worker(queue.name, nothing, { stalledInterval: 100, skipStalledCheck: true });
    await sleep(500);
    expect(await job.getState()).toBe('active');
  },
  skipLockRenewal: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, () => sleep(900), { lockDuration: 300, skipLockRenewal: true });
    const errors = collect<[{ code: string }]>(worker, 'error', 1);
    let renewed = 0;
    worker.on('locksRenewed', () => renewed++);
    await queue.add('a', {});
    expect((await errors)[0]?.[0].code).toBe('ERR_JOB_LOCK_LOST');
    expect(renewed).toBe(0);
  },
  skipRemoteCancel: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, (_job, _token, _signal) => sleep(300), { skipRemoteCancel: true });
    const active = collect<[Job]>(worker, 'active', 1);
    await queue.add('a', {});
    const [[job]] = (await active) as [[Job]];
    expect(await queue.cancelJob(job.id)).toBe(false);
  },
  runRetryDelay: async () => {
    // A queue whose list is no list refuses every call; it is tried again after at most so long.
    const queue = bench.queue();
    await redis.call('SET', `bull:${queue.name}:delayed`, 'no set');
    const worker = bench.worker(queue.name, nothing, { runRetryDelay: 50 });
    const done = collect(worker, 'completed', 1);
    const errors = collect(worker, 'error', 1);
    await redis.call('HSET', `bull:${queue.name}:a`, 'name', 'a', 'data', '{}', 'opts', '{}', 'timestamp', 1);
    await redis.call('LPUSH', `bull:${queue.name}:wait`, 'a');
    await errors;
    await sleep(500);
    await redis.call('DEL', `bull:${queue.name}:delayed`);
    const start = performance.now();
    await done;
    expect(performance.now() - start).toBeLessThan(900);
  },
  deadLetter: 'dead-letters.test.ts',
  group: 'queue-groups.test.ts',
  payload: 'queue-payload.test.ts',
  prefetch: 'tests/queue_prefetch.rs',
  visibleToBullmq: 'queue-sockets.test.ts',
  settings: 'backoffStrategy in worker.test.ts and batch.test.ts, repeatStrategy with the schedulers',
  batch: 'batch.test.ts',
  telemetry: 'telemetry.test.ts',
  useWorkerThreads: 'sandbox.test.ts',
  workerForkOptions: 'sandbox.test.ts',
  workerThreadsOptions: 'sandbox.test.ts',
  closeTimeout: async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, () => new Promise(() => {}), { closeTimeout: 100 });
    const active = collect(worker, 'active', 1);
    await queue.add('a', {});
    await active;
    const start = performance.now();
    await worker.close();
    expect(performance.now() - start).toBeLessThan(5_000);
  },
};

/** The text of the test files that a note names. */
function testsNamedIn(note: string): string {
  const files = note.match(/[\w/-]+\.(test\.ts|rs)/g) ?? [];
  const path = (file: string) => join(import.meta.dirname, file.endsWith('.rs') ? '..' : '.', file);
  return files.map((file) => readFileSync(path(file), 'utf8')).join();
}

/** Makes a job look as if its worker had died with it. */
async function abandon(queue: string, job: Job): Promise<void> {
  await redis.call('LREM', `bull:${queue}:wait`, 0, job.id);
  await redis.call('LPUSH', `bull:${queue}:active`, job.id);
}

describe('the option', () => {
  for (const [name, honour] of Object.entries(options)) {
    if (typeof honour === 'function') test(`${name} is honoured`, honour);
    else test(`${name} is honoured in ${honour}`, () => expect(testsNamedIn(honour)).toContain(name));
  }

  test.each([
    ['unheardOf', 1],
    ['concurrency', 0],
    ['concurrency', 'many'],
    ['limiter', { max: 0, duration: 1 }],
    ['lockDuration', -1],
    ['lockRenewTime', 60_000],
    ['stalledInterval', 0],
    ['maxStalledCount', -1],
    ['maxStartedAttempts', 0],
    ['drainDelay', 0],
    ['maximumRateLimitDelay', 0],
    ['removeOnComplete', 'yes'],
    ['metrics', { maxDataPoints: -1 }],
    ['skipStalledCheck', 'no'],
    ['runRetryDelay', 0],
    ['settings', { unheardOf: 1 }],
    ['autorun', 'yes'],
    ['closeTimeout', -1],
  ])('%s: %o is refused, and named', (name, value) => {
    let error: unknown;
    try {
      void new Worker('refused', nothing, { [name]: value, connection: { url: server.url } }).close(true);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'ERR_INVALID_OPTION' });
    expect((error as Error).message).toContain(name);
  });
});

describe('the event', () => {
  test('ready, paused, resumed, drained, closing and closed come in their order', async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, nothing, { autorun: false });
    const heard: string[] = [];
    for (const event of [
      'ready',
      'active',
      'completed',
      'drained',
      'paused',
      'resumed',
      'closing',
      'closed',
    ] as const) {
      worker.on(event, () => heard.push(event));
    }
    void worker.run();
    await worker.waitUntilReady();
    await queue.add('a', {});
    await waitFor(() => heard.includes('drained'));
    await worker.pause();
    await worker.resume();
    await waitFor(() => heard.includes('resumed'));
    await worker.close();
    expect(heard).toEqual(['ready', 'active', 'completed', 'drained', 'paused', 'resumed', 'closing', 'closed']);
  });

  test('lockRenewalFailed names the jobs whose lock is gone, and their signals are aborted', async () => {
    const queue = bench.queue();
    let reason: unknown;
    const worker = bench.worker(
      queue.name,
      (_job, _token, signal) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject((reason = signal.reason)));
        }),
      { lockDuration: 1_000, lockRenewTime: 200 },
    );
    const lost = collect<[string[]]>(worker, 'lockRenewalFailed', 1);
    const errors = collect<[{ code: string }]>(worker, 'error', 1);
    const job = await queue.add('a', {});
    await waitFor(async () => (await job.getState()) === 'active');
    await redis.call('SET', `bull:${queue.name}:${job.id}:lock`, 'stolen');
    expect((await lost)[0]?.[0]).toEqual([job.id]);
    expect((await errors)[0]?.[0].code).toBe('ERR_JOB_LOCK_LOST');
    expect(reason).toMatchObject({ code: 'ERR_JOB_LOCK_LOST' });
  });

  test('error tells of what no job hears', async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, nothing);
    worker.on('completed', () => {
      throw new Error('listener broke');
    });
    const errors = collect<[Error]>(worker, 'error', 1);
    await queue.add('a', {});
    expect((await errors)[0]?.[0].message).toBe('listener broke');
  });
});

test('rateLimit and RateLimitError put a job back without using up an attempt', async () => {
  const queue = bench.queue();
  let runs = 0;
  const worker: Worker = bench.worker(queue.name, async () => {
    if (++runs > 1) return 'done';
    await worker.rateLimit(200);
    throw new RateLimitError();
  });
  const done = collect<[Job]>(worker, 'completed', 1);
  const start = performance.now();
  await queue.add('a', {});
  const [[job]] = (await done) as [[Job]];
  expect(performance.now() - start).toBeGreaterThan(150);
  expect([job.attemptsMade, runs]).toEqual([1, 2]);
});

test.skipIf(inMemory)('the metrics of our workers are those that the stock package writes and reads', async () => {
  const connection = { host: server.host, port: server.port };
  const metrics = { maxDataPoints: 10 };
  const everyFourth = async (job: { data: number }) => {
    if (job.data % 4 === 0) throw new Error('every fourth');
  };
  const open = {
    ours: (name: string) => bench.worker(name, everyFourth, { metrics }),
    stock: (name: string) => new stock.Worker(name, everyFourth, { connection, metrics }),
  };

  async function record(kind: keyof typeof open) {
    const queue = bench.queue();
    const reader = new stock.Queue(queue.name, { connection });
    const worker = open[kind](queue.name);
    try {
      const ended = Promise.all([collect(worker, 'completed', 6), collect(worker, 'failed', 2)]);
      await queue.addBulk([1, 2, 3, 4, 5, 6, 7, 8].map((data) => ({ name: 'a', data })));
      await ended;
      // Another minute: what was counted since becomes a point, and the minutes between are zeros.
      await redis.call('HSET', `bull:${queue.name}:metrics:completed`, 'prevTS', Date.now() - 3 * 60_000);
      const next = collect(worker, 'completed', 1);
      await queue.add('a', 1);
      await next;
      await waitFor(async () => (await reader.getMetrics('completed')).meta.count === 7);
      const read = async (type: 'completed' | 'failed') => {
        const { meta, data, count } = await reader.getMetrics(type);
        return { counted: meta.count, before: meta.prevCount, data: data.map(Number), count };
      };
      return { completed: await read('completed'), failed: await read('failed') };
    } finally {
      await Promise.all([worker.close(), reader.close()]);
    }
  }

  const ours = await record('ours');
  expect(ours).toEqual(await record('stock'));
  expect(ours.completed).toMatchObject({ counted: 7, data: [0, 0, 6] });
});
