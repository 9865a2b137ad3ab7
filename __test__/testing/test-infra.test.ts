import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Worker as Thread } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { CacheService, CRON_PATTERNS, Queue, Worker } from '../../ts/index.js';
import { createTestInfra, type TestInfra, type TestInfraOptions } from '../../ts/testing/index.js';

const run = promisify(execFile);
const SECOND = 1_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NEW_YEAR = Date.UTC(2026, 0, 1);

const open: TestInfra[] = [];
function infraOf(options: TestInfraOptions = {}): TestInfra {
  const infra = createTestInfra({ now: NEW_YEAR, ...options });
  open.push(infra);
  return infra;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((infra) => infra.close()));
});

describe('time', () => {
  it('ends a job whose timeout is over, at its own time, and no job that was done before', async () => {
    const infra = infraOf({ jobPatience: 20 });
    const aborted: unknown[] = [];
    infra.queues.registerProcessor('slow', (_job, _token, signal) => {
      signal?.addEventListener('abort', () => aborted.push(infra.now() - NEW_YEAR));
      return new Promise(() => undefined);
    });
    infra.queues.registerProcessor('quick', async () => 'done');
    const slow = await infra.queues.addJob(
      'slow',
      {},
      { timeout: HOUR, attempts: 2, backoff: { type: 'fixed', delay: HOUR } },
    );
    const quick = await infra.queues.addJob('quick', {}, { timeout: 5 * SECOND });
    await infra.advanceTime(HOUR - 1);
    expect(aborted).toEqual([]);
    expect(await (await infra.queues.getJob('quick', quick.id))?.getState()).toBe('completed');
    await infra.advanceTime(1);
    expect(aborted).toEqual([HOUR]);
    await infra.advanceTime(2 * HOUR);
    expect(aborted).toEqual([HOUR, 3 * HOUR]);
    const failed = await infra.queues.getJob('slow', slow.id);
    expect(failed?.failedReason).toContain('ran longer than its timeout of 3600000 ms');
    expect(failed?.finishedOn).toBe(NEW_YEAR + 3 * HOUR);
  });

  it('stands where it is told until it is moved', async () => {
    const infra = infraOf({ now: '2026-01-01T00:00:00Z' });
    expect(infra.now()).toBe(NEW_YEAR);
    await infra.advanceTime(1_500);
    expect(infra.now()).toBe(NEW_YEAR + 1_500);
    const job = await infra.queues.addJob('mail', {});
    expect(job.timestamp).toBe(NEW_YEAR + 1_500);
    expect((await infra.queues.getJob('mail', job.id))?.timestamp).toBe(NEW_YEAR + 1_500);
    expect(Number(((await infra.redis.call('TIME')) as string[])[0])).toBe(NEW_YEAR / 1_000 + 1);
  });

  it('brings a job that is delayed by a day and a schedule of a month, each at its own time', async () => {
    const infra = infraOf();
    const began = performance.now();
    const late: number[] = [];
    infra.queues.registerProcessor('late', async () => {
      late.push(infra.now() - NEW_YEAR);
    });
    await infra.queues.addJob('late', {}, { delay: DAY });
    const runs: number[] = [];
    infra.scheduler.process('report', async (job) => {
      runs.push(infra.now() - NEW_YEAR);
      expect(job.timestamp).toBeLessThan(infra.now());
    });
    await infra.scheduler.upsertScheduledJob('report', '0 3 * * *', {}, { timezone: 'UTC' });
    await infra.advanceTime(DAY - 1);
    expect(late).toEqual([]);
    await infra.advanceTime(1);
    expect(late).toEqual([DAY]);
    await infra.advanceTime(29 * DAY);
    expect(runs).toEqual(Array.from({ length: 30 }, (_, day) => day * DAY + 3 * HOUR));
    // Under a second on a machine that has nothing else to do.
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it('runs 24 jobs of an hourly schedule in a day', async () => {
    const infra = infraOf();
    const runs: string[] = [];
    infra.scheduler.process(async (job) => {
      // Time does not go on without a processor that is at work.
      await new Promise((resolve) => setTimeout(resolve, 2));
      runs.push(new Date(infra.now()).toISOString().slice(11, 16));
      expect(job.processedOn).toBe(infra.now());
    });
    await infra.scheduler.upsertScheduledJob('hourly', CRON_PATTERNS.EVERY_HOUR, {}, { timezone: 'UTC' });
    await infra.advanceTime(DAY);
    expect(runs).toHaveLength(24);
    expect(new Set(runs).size).toBe(24);
    expect(runs.slice(0, 3)).toEqual(['01:00', '02:00', '03:00']);
  });

  it('spaces attempts by their backoff and jobs by their limiter', async () => {
    const infra = infraOf();
    const attempts: number[] = [];
    infra.queues.registerProcessor('fails', async () => {
      attempts.push(infra.now() - NEW_YEAR);
      throw new Error('no');
    });
    await infra.queues.addJob('fails', {}, { attempts: 4, backoff: { type: 'exponential', delay: 10 * SECOND } });
    const limited: number[] = [];
    infra.queues.registerProcessor(
      'limited',
      async () => {
        limited.push((infra.now() - NEW_YEAR) / SECOND);
      },
      { limiter: { max: 2, duration: 10 * SECOND } },
    );
    for (let n = 0; n < 5; n++) await infra.queues.addJob('limited', {});
    await infra.advanceTime(120 * SECOND);
    expect(attempts).toEqual([0, 10, 30, 70].map((seconds) => seconds * SECOND));
    expect(limited.map(Math.floor)).toEqual([0, 0, 10, 10, 20]);
  });

  it('expires keys and cached values on every level', async () => {
    const infra = infraOf();
    await infra.redis.set('key', 'value', 60);
    await infra.cache.set('user', { name: 'Ada' }, 60);
    expect(await infra.cache.get('user')).toEqual({ name: 'Ada' });
    await infra.advanceTime(59 * SECOND);
    expect(await infra.cache.get('user')).toEqual({ name: 'Ada' });
    expect((await infra.cache.getStats()).levels.level1.hits).toBeGreaterThan(0);
    await infra.advanceTime(1 * SECOND + 1);
    expect(await infra.cache.get('user')).toBeNull();
    expect(await infra.redis.get('key')).toBeNull();
  });

  it('renews the locks of running jobs and brings back those of dead workers', async () => {
    const infra = infraOf({ jobPatience: 20 });
    let release = (): void => undefined;
    const hanging = new Promise<void>((resolve) => {
      release = resolve;
    });
    const first = new infra.Worker('jobs', () => hanging);
    const queue = new infra.Queue('jobs');
    await queue.add('one', {});
    await infra.advanceTime(300 * SECOND);
    expect(await queue.getActiveCount()).toBe(1);
    await first.close(true);
    release();
    const taken: number[] = [];
    new infra.Worker('jobs', async (job) => {
      taken.push(job.attemptsStarted);
    });
    await infra.advanceTime(120 * SECOND);
    expect(taken).toEqual([2]);
  });

  it('goes on without a job that never ends, and is not moved past its patience', async () => {
    const infra = infraOf({ jobPatience: 10, patience: 2_000 });
    infra.queues.registerProcessor('hangs', () => new Promise(() => undefined));
    await infra.queues.addJob('hangs', {});
    await infra.advanceTime(SECOND);
    expect(infra.now()).toBe(NEW_YEAR + SECOND);
    await expect(infra.advanceTime(10_000 * DAY)).rejects.toMatchObject({ code: 'ERR_WAIT_TIMED_OUT' });
    await expect(infra.advanceTime(-1)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });

  it('runs a flow, whose jobs have its time', async () => {
    const infra = infraOf();
    const order: string[] = [];
    new infra.Worker('steps', async (job) => {
      order.push(`${job.name} ${infra.now() - job.timestamp}`);
    });
    const flows = new infra.FlowProducer();
    await infra.advanceTime(SECOND);
    const children = [{ name: 'child', queueName: 'steps', opts: { delay: HOUR } }];
    const { job } = await flows.add({ name: 'parent', queueName: 'steps', children });
    expect(job.timestamp).toBe(NEW_YEAR + SECOND);
    await infra.advanceTime(HOUR);
    expect(order).toEqual([`child ${HOUR}`, `parent ${HOUR}`]);
  });

  it('comes to rest after what listeners start in turn', async () => {
    const infra = infraOf();
    const seen: string[] = [];
    infra.queues.registerProcessor('first', async () => 'x');
    infra.queues.registerProcessor('second', async () => {
      seen.push('second');
    });
    infra.queues.on('worker:completed', async (_job, _result, queue) => {
      if (queue === 'first') await infra.queues.addJob('second', {});
    });
    await infra.queues.addJob('first', {});
    await infra.settled();
    expect(seen).toEqual(['second']);
  });
});

describe('what happened', () => {
  it('tells published messages, also those that nobody heard', async () => {
    const infra = infraOf({ pubsub: { publishedBy: 'tests' } });
    expect(await infra.pubsub.publish({ channel: 'orders', message: { id: 1 } })).toBe(0);
    await infra.redis.call('PUBLISH', 'raw', 'text');
    await infra.redis.call('PUBLISH', 'raw', Buffer.from([0xff, 0]));
    expect(infra.published('orders')).toEqual([
      {
        channel: 'orders',
        message: { id: 1 },
        metadata: { publishedBy: 'tests', timestamp: '2026-01-01T00:00:00.000Z' },
      },
    ]);
    expect(infra.published().map(({ message }) => message)).toEqual([{ id: 1 }, 'text', Buffer.from([0xff, 0])]);
    expect(infra.published('nobody')).toEqual([]);
  });

  it('tells the jobs and the events of a queue', async () => {
    const infra = infraOf();
    infra.queues.registerProcessor('mail', async (job) => job.data.n * 2);
    await infra.queues.addBulkJobs('mail', [{ data: { n: 1 } }, { data: { n: 2 }, options: { delay: DAY } }]);
    await infra.drain('mail');
    const jobs = await infra.jobs('mail');
    expect(jobs.map((job) => [job.id, job.data.n, job.returnvalue])).toEqual([
      ['1', 1, 2],
      ['2', 2, null],
    ]);
    const events = await infra.events('mail');
    expect(events.filter(({ jobId }) => jobId === '1').map(({ event }) => event)).toEqual([
      'added',
      'waiting',
      'active',
      'completed',
    ]);
    expect(events.find(({ event }) => event === 'completed')?.fields['returnvalue']).toBe('2');
    expect(events.every(({ id }) => id.startsWith(`${NEW_YEAR}-`))).toBe(true);
  });
});

describe('drain', () => {
  it('waits for running processors and for what they add', async () => {
    const infra = infraOf();
    let left = 3;
    const queue = new infra.Queue('chain');
    new infra.Worker('chain', async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (--left > 0) await queue.add('next', {});
    });
    await queue.add('next', {});
    await infra.drain(queue);
    expect([left, await queue.getCompletedCount()]).toEqual([0, 3]);
  });

  it('says what is stuck', async () => {
    const infra = infraOf({ jobPatience: 5 });
    const queue = new infra.Queue('mail');
    await queue.add('welcome', {});
    const drain = () => infra.drain('mail', { timeout: 30 });
    await expect(drain()).rejects.toMatchObject({ code: 'ERR_WAIT_TIMED_OUT', details: { queue: 'mail', limit: 30 } });
    await expect(drain()).rejects.toThrow('1 waiting (welcome 1) that no worker takes');
    await queue.pause();
    await expect(drain()).rejects.toThrow('because the queue is paused');
    await queue.resume();
    new infra.Worker('mail', () => new Promise(() => undefined));
    await infra.settled();
    await queue.add('second', {});
    await expect(drain()).rejects.toThrow(
      '1 running (welcome 1) whose processors have not ended; 1 waiting (second 2) behind them',
    );
    await expect(infra.drain('mail', { timeout: -1 })).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
  });
});

describe('isolation', () => {
  it('keeps two infrastructures of one process apart', async () => {
    const [one, other] = [infraOf(), infraOf()];
    await one.redis.set('key', 'one');
    await one.cache.set('user', 1);
    await one.queues.addJob('mail', {});
    await one.pubsub.publish({ channel: 'c', message: 1 });
    await one.advanceTime(DAY);
    expect(await other.redis.get('key')).toBeNull();
    expect(await other.cache.get('user')).toBeNull();
    expect(await other.jobs('mail')).toEqual([]);
    expect(other.published()).toEqual([]);
    expect(other.now()).toBe(NEW_YEAR);
  });

  it('shares its data with what the code under test opens by its connection', async () => {
    const infra = infraOf();
    const byConnection = new Queue('mail', { connection: infra.connection });
    const byRedis = new Queue('mail', { redis: infra.connection });
    const elsewhere = new infra.Queue('mail', { connection: { host: 'elsewhere.invalid' } });
    const cache = new CacheService({ redis: infra.connection });
    const worker = new Worker('mail', async () => 'done', { connection: infra.connection });
    await byConnection.add('a', {});
    await byRedis.add('b', {}, { delay: HOUR });
    await elsewhere.add('c', {});
    await cache.set('k', 1, 60);
    await infra.advanceTime(HOUR);
    expect((await infra.jobs('mail')).map((job) => [job.name, job.finishedOn! - NEW_YEAR])).toEqual([
      ['a', 0],
      ['b', HOUR],
      ['c', 0],
    ]);
    expect(await cache.get('k')).toBeNull();
    await Promise.all([worker.close(), byConnection.close(), byRedis.close(), cache.close()]);
  });

  it('is over when it is closed', async () => {
    const infra = infraOf();
    infra.queues.registerProcessor('mail', async () => undefined);
    const { connection } = infra;
    const queue = new infra.Queue('mail');
    await infra.close();
    await infra.close();
    await expect(queue.add('a', {})).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(infra.advanceTime(1)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    expect(() => new Queue('mail', { connection })).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }));
  });

  it('closes in spite of a processor that never ends', async () => {
    const infra = createTestInfra({ jobPatience: 20 });
    infra.queues.registerProcessor('hangs', () => new Promise(() => undefined));
    infra.scheduler.process(() => new Promise(() => undefined));
    await infra.queues.addJob('hangs', {});
    await infra.queues.addJob('scheduled-jobs', {});
    await infra.settled();
    const began = performance.now();
    await infra.close();
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it('refuses options that it does not know', () => {
    const refused = (options: object) => expect(() => createTestInfra(options as TestInfraOptions));
    refused({ clok: 'manual' }).toThrow('option `clok` is unknown');
    refused({ clock: 'sun' }).toThrow('option `clock` is `sun`');
    refused({ now: 'yesterday' }).toThrow('option `now` is yesterday');
    refused({ clock: 'fake-timers', now: 0 }).toThrow('option `now` is given');
    refused({ jobPatience: -1 }).toThrow('option `jobPatience` is -1');
    refused({ patience: Number.NaN }).toThrow('option `patience` is NaN');
  });
});

describe('resources', () => {
  const script = join(import.meta.dirname, 'scripts', 'rounds.cjs');

  it('are given back, round after round', { timeout: 180_000 }, async () => {
    const { stdout } = await run(process.execPath, ['--expose-gc', script, '1000'], { timeout: 170_000 });
    const { heapGrowth, rssGrowth, sockets } = JSON.parse(stdout);
    expect(sockets).toBe(0);
    expect(heapGrowth, 'bytes of heap for each round').toBeLessThan(1_500);
    // An engine, a service or a thread that stays would be several times this; allocators keep some of what was freed.
    expect(rssGrowth, 'bytes of memory for each round').toBeLessThan(60_000);
  });

  it('keep no process running once it is closed, and it works in worker threads', { timeout: 60_000 }, async () => {
    const { stdout } = await run(process.execPath, [join(import.meta.dirname, 'scripts', 'natural-exit.cjs')], {
      timeout: 50_000,
    });
    expect(stdout.trim()).toBe('done');
    const threads = Array.from({ length: 3 }, () => {
      const thread = new Thread(join(import.meta.dirname, 'scripts', 'natural-exit.cjs'), { stdout: true });
      return new Promise((resolve, reject) => thread.once('exit', resolve).once('error', reject));
    });
    expect(await Promise.all(threads)).toEqual([0, 0, 0]);
  });
});
