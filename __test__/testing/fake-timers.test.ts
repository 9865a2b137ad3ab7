// What fake timers of a test runner do to this package: nothing, unless an infrastructure is told to follow them.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  CacheService,
  CRON_PATTERNS,
  PubSubService,
  Queue,
  QueueEvents,
  RedisService,
  Worker,
} from '../../ts/index.js';
import { createTestInfra, type TestInfra } from '../../ts/testing/index.js';

const EVERYTHING = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
  'queueMicrotask',
  'performance',
  'Date',
] as const;
const NEW_YEAR = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;
const systemNow = Date.now;

afterEach(() => {
  vi.useRealTimers();
});

describe('services, while everything is faked', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: [...EVERYTHING], now: NEW_YEAR });
  });

  it('run jobs, keep values and carry messages', async () => {
    const redis = { url: 'memory://fake-timers' };
    const [queue, events] = [new Queue('mail', { redis }), new QueueEvents('mail', { redis })];
    await events.waitUntilReady();
    const worker = new Worker('mail', async (job) => job.data.n * 2, { redis });
    const job = await queue.add('double', { n: 21 }, { delay: 20 });
    expect(await job.waitUntilFinished(events, 10_000)).toBe(42);
    // What is stored goes by the system's time.
    expect(job.timestamp).toBeGreaterThan(NEW_YEAR);
    expect(Math.abs(systemNow() - job.timestamp)).toBeLessThan(60_000);

    const cache = new CacheService({ redis });
    await cache.set('key', 'value', 60);
    vi.setSystemTime(NEW_YEAR + 48 * HOUR);
    expect(await cache.get('key')).toBe('value');

    const pubsub = new PubSubService({ redis });
    const heard = new Promise((resolve) => {
      void pubsub
        .subscribe({ channel: 'c', handler: resolve })
        .then(() => pubsub.publish({ channel: 'c', message: 1 }));
    });
    expect(await heard).toBe(1);

    const commands = new RedisService(redis);
    await Promise.all(Array.from({ length: 5_000 }, (_, n) => commands.set(`key:${n}`, n)));
    expect(await commands.get('key:4999')).toBe('4999');
    await Promise.all([worker.close(), events.close(), queue.close(), cache.close(), pubsub.close(), commands.close()]);
  });

  it('go on in a program in which no timer, tick or microtask ever comes', { timeout: 60_000 }, async () => {
    vi.useRealTimers();
    const script = join(import.meta.dirname, 'scripts', 'frozen-timers.cjs');
    expect((await promisify(execFile)(process.execPath, [script], { timeout: 50_000 })).stdout).toBe('42 value 1000\n');
  });

  it("give up a wait for a job by the system's time", async () => {
    const redis = { url: 'memory://fake-timers' };
    const [queue, events] = [new Queue('nobody', { redis }), new QueueEvents('nobody', { redis })];
    const job = await queue.add('a', {});
    await expect(job.waitUntilFinished(events, 30)).rejects.toMatchObject({ code: 'ERR_WAIT_TIMED_OUT' });
    await Promise.all([events.close(), queue.close()]);
  });

  it('let a test infrastructure be moved by hand', async () => {
    const infra = createTestInfra({ now: NEW_YEAR });
    let ran = 0;
    infra.queues.registerProcessor('mail', async () => {
      ran = infra.now();
    });
    await infra.queues.addJob('mail', {}, { delay: HOUR });
    vi.advanceTimersByTime(2 * HOUR);
    await infra.settled();
    expect([ran, infra.now()]).toEqual([0, NEW_YEAR]);
    await infra.advanceTime(HOUR);
    await infra.drain('mail');
    expect(ran).toBe(NEW_YEAR + HOUR);
    await infra.close();
  });
});

describe('an infrastructure that follows fake timers', () => {
  let infra: TestInfra;
  beforeEach(() => {
    vi.useFakeTimers({ now: NEW_YEAR });
    infra = createTestInfra({ clock: 'fake-timers' });
  });
  afterEach(async () => {
    await infra.close();
  });

  it('has their time', async () => {
    expect(infra.now()).toBe(NEW_YEAR);
    vi.setSystemTime(NEW_YEAR + 5);
    expect((await infra.queues.addJob('mail', {})).timestamp).toBe(NEW_YEAR + 5);
    expect(infra.now()).toBe(NEW_YEAR + 5);
    vi.advanceTimersByTime(10);
    await infra.settled();
    expect(infra.now()).toBe(NEW_YEAR + 15);
    await expect(infra.advanceTime(1)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });

  it('runs what becomes due, each at its own time', async () => {
    const runs: number[] = [];
    infra.scheduler.process(async () => {
      runs.push((infra.now() - NEW_YEAR) / HOUR);
    });
    await infra.scheduler.upsertScheduledJob('hourly', CRON_PATTERNS.EVERY_HOUR, {}, { timezone: 'UTC' });
    const late: number[] = [];
    infra.queues.registerProcessor('late', async () => {
      late.push((infra.now() - NEW_YEAR) / HOUR);
    });
    await infra.queues.addJob('late', {}, { delay: 3 * HOUR });
    await vi.advanceTimersByTimeAsync(24 * HOUR);
    await infra.settled();
    expect(runs).toEqual(Array.from({ length: 24 }, (_, hour) => hour + 1));
    expect(late).toEqual([3]);
    expect(infra.now()).toBe(NEW_YEAR + 24 * HOUR);
  });

  it('expires values and goes on when timers are real again', async () => {
    await infra.cache.set('key', 'value', 60);
    await vi.advanceTimersByTimeAsync(59_000);
    expect(await infra.cache.get('key')).toBe('value');
    await vi.advanceTimersByTimeAsync(1_001);
    expect(await infra.cache.get('key')).toBeNull();
    vi.useRealTimers();
    infra.queues.registerProcessor('mail', async () => 'sent');
    await infra.queues.addJob('mail', {}, { delay: 20 });
    expect(infra.now()).toBeGreaterThan(NEW_YEAR);
    await vi.waitFor(async () => expect((await infra.jobs('mail'))[0]?.returnvalue).toBe('sent'), { timeout: 10_000 });
  });
});
