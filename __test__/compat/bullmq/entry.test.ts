// `oxcart/bullmq` by itself: names, defaults, payloads, messages and codes that BullMQ's users rely on.

import * as stock from 'bullmq';
import Redis from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { redisConfigOf } from '../../../ts/compat/bullmq/connection.js';
import * as bullmq from '../../../ts/compat/bullmq/index.js';
import { BullmqBench } from '../../helpers/bullmq-bench.js';
import { RedisServer } from '../../helpers/redis-server.js';
import { uniquePrefix } from '../../helpers/unique-prefix.js';
import { waitFor } from '../../helpers/wait-for.js';

/** Both packages by name. */
const ours: Record<string, any> = { ...bullmq };
const theirs: Record<string, any> = { ...stock };

let server: RedisServer;
let bench: BullmqBench;
let name: string;

beforeAll(async () => {
  server = await RedisServer.start();
});

beforeEach(() => {
  bench = new BullmqBench(server);
  name = uniquePrefix('entry');
});

afterEach(() => bench.close());

afterAll(() => server.stop());

describe('values', () => {
  test('enums and constants are those of the stock package', () => {
    for (const one of ['ErrorCode', 'MetricsTime', 'ClientType', 'TelemetryAttributes', 'MetricNames', 'SpanKind']) {
      expect(ours[one], one).toEqual(theirs[one]);
    }
    for (const [constant, value] of Object.entries(theirs)) {
      if (typeof value !== 'object' && typeof value !== 'function' && constant in ours) {
        expect(ours[constant], constant).toBe(value);
      }
    }
    expect(bullmq.PRIORITY_LIMIT).toBe(2_097_151);
  });

  test('errors have their names and messages', () => {
    for (const one of [
      'UnrecoverableError',
      'DelayedError',
      'RateLimitError',
      'WaitingError',
      'WaitingChildrenError',
      'ConnectionClosedError',
    ] as const) {
      const [mine, stocks] = [new ours[one](), new theirs[one]()];
      expect([mine.name, mine.message], one).toEqual([stocks.name, stocks.message]);
    }
  });

  test('keys are built alike', () => {
    const [mine, theirs] = [new bullmq.QueueKeys('p'), new stock.QueueKeys('p')];
    expect(mine.getKeys('q')).toEqual(theirs.getKeys('q'));
    expect(mine.toKey('q', 'wait')).toBe(theirs.toKey('q', 'wait'));
  });

  test('the next run of a pattern is that of the stock package', () => {
    const now = Date.parse('2026-03-04T10:17:35Z');
    for (const opts of [
      { pattern: '*/15 * * * *', tz: 'UTC' },
      { pattern: '0 12 * * 5L', tz: 'Europe/Berlin' },
      { pattern: '*/10 * * * * *', startDate: '2026-04-01' },
      { pattern: '0 0 * * 1#2', tz: 'Asia/Tokyo' },
    ]) {
      expect(bullmq.defaultRepeatStrategy(now, opts), opts.pattern).toBe(stock.defaultRepeatStrategy(now, opts));
      expect(bullmq.getNextMillis(now, opts), opts.pattern).toBe(stock.getNextMillis(now, opts));
    }
    expect(bullmq.getNextMillis(now, { every: 1000 })).toBe(stock.getNextMillis(now, { every: 1000 }));
    expect(() => bullmq.getNextMillis(now, { every: 1, pattern: '* * * * *' })).toThrow('Both .pattern and .every');
  });
});

describe('connections', () => {
  test('go where ioredis would go', () => {
    expect(redisConfigOf(undefined)).toEqual({ host: '127.0.0.1', port: 6379 });
    expect(redisConfigOf({ host: 'h', db: 3, maxRetriesPerRequest: null, lazyConnect: true })).toEqual({
      host: 'h',
      port: 6379,
      db: 3,
      maxRetriesPerRequest: null,
    });
    expect(redisConfigOf({ path: '/tmp/redis.sock' })).toEqual({ url: 'unix:///tmp/redis.sock' });
    expect(redisConfigOf({ url: 'redis://h:1/2' })).toEqual({ url: 'redis://h:1/2' });
    expect(redisConfigOf('redis://h:1/2')).toEqual({ url: 'redis://h:1/2' });
    expect(
      redisConfigOf({ host: 'h', tls: { ca: Buffer.from('PEM'), servername: 's', minVersion: 'TLSv1.2' } }),
    ).toEqual({
      host: 'h',
      port: 6379,
      tls: { ca: 'PEM', servername: 's' },
    });
  });

  test('are refused where they would lead elsewhere', () => {
    expect(() => redisConfigOf({ keyPrefix: 'p:' })).toThrow('ioredis does not support ioredis prefixes');
    expect(() => redisConfigOf({ sentinels: [{ host: 'h', port: 1 }] })).toThrow('connection.sentinels');
    expect(() => redisConfigOf(7 as never)).toThrow('`connection` is a number');
  });

  test('take the options of a client of ioredis', async () => {
    const client = new Redis({ ...bench.connection, db: 2, lazyConnect: true, maxRetriesPerRequest: null });
    const queue = bench.keep(new bullmq.Queue(name, { connection: client }));
    await queue.add('a', { n: 1 });
    await client.connect();
    expect(await client.llen(`bull:${name}:wait`)).toBe(1);
    client.disconnect();
  });
});

describe('Queue', () => {
  test('has the fields of BullMQ', async () => {
    const [mine, theirs] = [
      bench.queue(name, { defaultJobOptions: { attempts: 3 }, streams: { events: { maxLen: 77 } } }),
      bench.stockQueue(name, { defaultJobOptions: { attempts: 3 }, streams: { events: { maxLen: 77 } } }),
    ];
    expect(mine.name).toBe(theirs.name);
    expect(mine.qualifiedName).toBe(theirs.qualifiedName);
    expect(mine.keys).toEqual(theirs.keys);
    expect(mine.toKey('wait')).toBe(theirs.toKey('wait'));
    expect(mine.defaultJobOptions).toEqual(theirs.defaultJobOptions);
    expect(mine.jobsOpts).toEqual(theirs.jobsOpts);
    expect(mine.metaValues).toEqual(theirs.metaValues);
    expect(mine.token).toMatch(/^[0-9a-f-]{36}$/);
    expect(mine.opts.connection).toEqual(bench.connection);
    await mine.waitUntilReady();
    expect(await mine.getVersion()).toMatch(/^bullmq:6\.7\.0/);
  });

  test('refuses names and options in the words of BullMQ', async () => {
    const connection = bench.connection;
    for (const bad of ['', 'a:b']) {
      const told = (make: () => unknown) => {
        try {
          make();
          return 'nothing';
        } catch (error) {
          return (error as Error).message;
        }
      };
      const theirs = told(() => new stock.Queue(bad, { connection }));
      expect(told(() => new bullmq.Queue(bad, { connection }))).toBe(theirs);
      expect(told(() => new bullmq.Worker(bad, async () => 1, { connection }))).toBe(theirs);
      expect(told(() => new bullmq.QueueEvents(bad, { connection }))).toBe(theirs);
      expect(told(() => new bullmq.QueueEventsProducer(bad, { connection }))).toBe(theirs);
    }
    const [mine, theirs] = [bench.queue(name), bench.stockQueue(name)];
    for (const opts of [
      { jobId: '0' },
      { jobId: '0:a' },
      { jobId: '12' },
      { jobId: 'a:b' },
      { priority: 1.5 },
      { priority: 2_097_152 },
      { deduplication: { id: '' } },
      { backoff: { type: 'fixed', delay: 1, jitter: 2 } },
      { sizeLimit: 1 },
      { debounce: { id: 'x' } },
      { removeDependencyOnFailure: true, failParentOnFailure: true },
    ] as object[]) {
      const told = await theirs.add('a', { some: 'data' }, opts).then(
        () => 'nothing',
        (error: Error) => error.message,
      );
      expect(told).not.toBe('nothing');
      await expect(mine.add('a', { some: 'data' }, opts), JSON.stringify(opts)).rejects.toThrow(told);
    }
  });

  test('gives jobs with plain progress, and their JSON as BullMQ gives it', async () => {
    const [mine, theirs] = [bench.queue(name), bench.stockQueue(name)];
    const job = await mine.add('a', { n: 1 }, { attempts: 2, backoff: 100, priority: 5 });
    expect(job).toBeInstanceOf(bullmq.Job);
    expect(job.progress).toBe(0);
    expect(job.opts.backoff).toEqual({ type: 'fixed', delay: 100 });
    await job.updateProgress({ step: 2 });
    expect(job.progress).toEqual({ step: 2 });
    const [read, stockRead] = [await mine.getJob(job.id), await theirs.getJob(job.id)];
    expect(read?.asJSON()).toEqual(stockRead?.asJSON());
    expect(read?.asJSONSandbox()).toEqual(stockRead?.asJSONSandbox());
    expect(bullmq.Job.optsFromJSON('{"de":{"id":"x"},"kl":3,"fpof":true,"tm":"m"}')).toEqual(
      stock.Job.optsFromJSON('{"de":{"id":"x"},"kl":3,"fpof":true,"tm":"m"}'),
    );
  });

  test('refuses in the words and with the numbers of BullMQ', async () => {
    const [mine, theirs] = [bench.queue(name), bench.stockQueue(name)];
    const { id } = await mine.add('a', {});
    const gone = await mine.add('a', {});
    const [goneThere, here] = [(await theirs.getJob(gone.id))!, (await mine.getJob(id))!];
    await gone.remove();
    const there = (await theirs.getJob(id))!;
    const told = async (call: Promise<unknown>) =>
      call.then(
        () => 'nothing',
        (error: Error & { code?: number }) => [error.message, error.code],
      );
    for (const call of [
      (job: any) => job.promote(),
      (job: any) => job.retry('failed'),
      (job: any) => job.changeDelay(5),
    ]) {
      const expected = await told(call(there));
      expect(expected).not.toBe('nothing');
      expect(await told(call(here))).toEqual(expected);
    }
    for (const call of [
      (job: any) => job.updateData({ n: 2 }),
      (job: any) => job.updateProgress(1),
      (job: any) => job.log('x'),
      (job: any) => job.changePriority({ priority: 1 }),
    ]) {
      const expected = await told(call(goneThere));
      expect(expected).not.toBe('nothing');
      expect(await told(call(gone))).toEqual(expected);
    }
    await expect(gone.remove()).resolves.toBeUndefined();
  });

  test('emits what BullMQ emits', async () => {
    const queue = bench.queue(name);
    const told: unknown[] = [];
    const note =
      (event: string) =>
      (...args: unknown[]) =>
        told.push([event, ...args.map((arg) => (arg instanceof bullmq.Job ? arg.id : arg))]);
    for (const event of ['waiting', 'progress', 'removed', 'paused', 'resumed', 'cleaned'] as const) {
      queue.on(event, note(event));
    }
    const job = await queue.add('a', {});
    await job.updateProgress(5);
    await queue.updateJobProgress(job.id, 6);
    await queue.pause();
    await queue.resume();
    await queue.remove(job.id);
    await queue.clean(0, 10, 'completed');
    expect(told).toEqual([
      ['waiting', job.id],
      ['progress', job.id, 5],
      ['progress', job.id, 6],
      ['paused'],
      ['resumed'],
      ['removed', job.id],
      ['cleaned', [], 'completed'],
    ]);
  });

  test('closes once, and says so in the words of BullMQ', async () => {
    const queue = bench.queue(name);
    await Promise.all([queue.close(), queue.close()]);
    expect(queue.closing).toBeInstanceOf(Promise);
    await expect(queue.add('a', {})).rejects.toMatchObject({
      name: 'ConnectionClosedError',
      message: 'Connection is closed.',
    });
  });

  test('takes no notice of options that a framework hands on', async () => {
    const queue = bench.queue(name, { configKey: 'x', processors: [], sharedConnection: true } as object);
    await queue.add('a', {});
    const worker = bench.worker(name, async () => 1, { scope: 'DEFAULT', sharedConnection: true } as object);
    await waitFor(async () => (await queue.getCompletedCount()) === 1);
    expect(worker.isRunning()).toBe(true);
  });
});

describe('Worker', () => {
  test('has the defaults of BullMQ', async () => {
    const [mine, theirs] = [
      bench.worker(name, async () => 1, { autorun: false }),
      bench.stockWorker(name, async () => 1, { autorun: false }),
    ];
    const { connection, blockingConnection, ...expected } = theirs.opts as unknown as Record<string, unknown>;
    expect(mine.opts).toMatchObject(expected);
    expect(mine.concurrency).toBe(theirs.concurrency);
    expect(mine.qualifiedName).toBe(theirs.qualifiedName);
    expect(mine.isRunning()).toBe(false);
  });

  test('refuses options in the words of BullMQ', () => {
    const told = (Class: any, opts: object | undefined) => {
      try {
        new Class(name, async () => 1, opts);
        return 'nothing';
      } catch (error) {
        return (error as Error).message;
      }
    };
    const { connection } = bench;
    for (const opts of [
      undefined,
      {},
      { connection, maxStalledCount: -1, autorun: false },
      { connection, maxStartedAttempts: -1, autorun: false },
      { connection, stalledInterval: 0, autorun: false },
      { connection, drainDelay: 0, autorun: false },
    ]) {
      expect(told(bullmq.Worker, opts)).toBe(told(stock.Worker, opts));
    }
    expect(told(bullmq.Worker, { connection, concurrency: 0 })).toBe(
      'concurrency must be a finite number greater than 0',
    );
    const worker = bench.worker(name, async () => 1, { autorun: false });
    expect(() => {
      worker.concurrency = Number.NaN;
    }).toThrow('concurrency must be a finite number greater than 0');
  });

  test('emits active, progress, completed and failed in the order and with the values of BullMQ', async () => {
    const run = async (job: any) => {
      await job.updateProgress(50);
      if (job.data.fails) throw new Error('on purpose');
      return { ok: true };
    };
    const heard = async (queue: any, worker: any) => {
      const told: unknown[] = [];
      for (const event of ['active', 'progress', 'completed', 'failed', 'drained']) {
        worker.on(event, (job: any, ...rest: any[]) =>
          told.push([event, job?.data ?? null, ...rest.map((one) => (one instanceof Error ? one.message : one))]),
        );
      }
      await queue.add('a', { n: 1 });
      await waitFor(async () => (await queue.getCompletedCount()) === 1);
      await queue.add('a', { n: 2, fails: true });
      await waitFor(async () => (await queue.getFailedCount()) === 1);
      await waitFor(() => told.some(([event]: any) => event === 'failed'));
      return told.filter(([event]: any) => event !== 'drained');
    };
    const [mine, theirs] = [`${name}-mine`, `${name}-theirs`];
    const ofOurs = await heard(bench.queue(mine), bench.worker(mine, run));
    const ofStock = await heard(bench.stockQueue(theirs), bench.stockWorker(theirs, run));
    expect(ofOurs).toEqual(ofStock);
  });

  test('runs twice only once', async () => {
    const worker = bench.worker(name, async () => 1);
    await expect(worker.run()).rejects.toThrow('Worker is already running.');
  });
});

describe('QueueEvents', () => {
  test('hears of all jobs and of single ones, and what producers publish', async () => {
    const events = await bench.events(name);
    const told: unknown[] = [];
    const queue = bench.queue(name);
    const other = await queue.add('a', { n: 0 });
    const job = await queue.add('a', { n: 1 });
    events.on(`completed:${job.id}` as 'completed', ({ jobId, returnvalue }) => told.push([jobId, returnvalue]));
    events.on('shout' as 'completed', (args: any) => told.push(args));
    bench.worker(name, async ({ data }) => data.n);
    const producer = bench.keep(new bullmq.QueueEventsProducer(name, { connection: bench.connection }));
    await other.waitUntilFinished(events, 10_000);
    await producer.publishEvent({ eventName: 'shout', loud: 'yes', times: 3 });
    await waitFor(() => told.length === 2);
    expect(told).toContainEqual([job.id, 1]);
    expect(told).toContainEqual({ loud: 'yes', times: '3' });
    await expect(producer.publishEvent({ eventName: '' })).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    await expect(events.run()).rejects.toThrow('Queue Events is already running.');
  });
});

describe('FlowProducer', () => {
  test('adds flows, reads them, and gives jobs of this package; both read children alike', async () => {
    const flows = bench.keep(new bullmq.FlowProducer({ connection: bench.connection }));
    await flows.waitUntilReady();
    const child = (n: number) => ({ name: `child-${n}`, queueName: `${name}-children`, data: { n } });
    const { job, children } = await flows.add({
      name: 'parent',
      queueName: name,
      children: [child(1), child(2), child(3)],
    });
    expect(job).toBeInstanceOf(bullmq.Job);
    expect(job.progress).toBe(0);
    expect(children).toHaveLength(3);
    const [ours, theirs] = [bench.queue(name), bench.stockQueue(name)];
    const pending = await ours.getDependencies(job.id, 'pending', 0, 10);
    expect(pending.items.map(({ id }) => id).sort()).toEqual(
      (await theirs.getDependencies(job.id, 'pending', 0, 10)).items.map(({ id }) => id).sort(),
    );
    expect(pending.total).toBe(3);
    bench.worker(`${name}-children`, async ({ data }) => data.n);
    bench.worker(name, async (one) => one.getChildrenValues());
    await waitFor(async () => (await ours.getCompletedCount()) === 1);
    const [mine, stocks] = [
      await ours.getDependencies(job.id, 'processed', 0, 10),
      await theirs.getDependencies(job.id, 'processed', 0, 10),
    ];
    const byId = (list: { id: string }[]) => [...list].sort((one, other) => (one.id < other.id ? -1 : 1));
    expect(byId(mine.items)).toEqual(byId(stocks.items));
    // Those of the stock package have no id.
    const byName = (jobs: any[]) => Object.fromEntries(jobs.map(({ id: _id, ...one }) => [one.name, one]));
    expect(byName(mine.jobs)).toEqual(byName(stocks.jobs));
    expect((await flows.getFlow({ queueName: name, id: job.id }))?.children).toHaveLength(3);
    expect(await flows.addBulk([{ name: 'alone', queueName: name }])).toHaveLength(1);
    expect(flows.toKey(name, 'wait')).toBe(`bull:${name}:wait`);
  });

  test('tells of its connection, and ends', async () => {
    const flows = bench.keep(new bullmq.FlowProducer({ connection: bench.connection, prefix: 'p' }));
    await flows.waitUntilReady();
    const told: string[] = [];
    flows.on('error', () => told.push('error'));
    flows.on('ioredis:close' as 'error', () => told.push('close'));
    await flows
      .getBackend()
      .client.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'NO')
      .catch(() => undefined);
    await waitFor(() => told.includes('error') && told.includes('close'));
    await flows.disconnect();
    await expect(flows.add({ name: 'a', queueName: name })).rejects.toThrow();
  });
});

describe('JobScheduler', () => {
  test('does what the methods of the queue do', async () => {
    const queue = bench.queue(name);
    const scheduler = await queue.jobScheduler;
    const job = await scheduler.upsertJobScheduler(
      's',
      { every: 60_000 },
      'tick',
      { a: 1 },
      { attempts: 2 },
      { override: true },
    );
    expect(job).toMatchObject({ name: 'tick', data: { a: 1 }, repeatJobKey: 's' });
    expect(await scheduler.isJobScheduler('s')).toBe(true);
    expect(await scheduler.isJobScheduler('t')).toBe(false);
    expect(await scheduler.getScheduler('s')).toEqual(await queue.getJobScheduler('s'));
    expect(await scheduler.getJobSchedulers()).toHaveLength(1);
    expect(await scheduler.getSchedulersCount()).toBe(1);
    expect(await scheduler.removeJobScheduler('s')).toBe(0);
    expect(await scheduler.removeJobScheduler('s')).toBe(1);
    await expect(scheduler.upsertJobScheduler('s', {}, 'tick', {}, {}, { override: true })).rejects.toThrow(
      'Either .pattern or .every options must be defined',
    );
  });

  test('takes a strategy for patterns that are no cron, in the queue and in workers', async () => {
    const repeatStrategy = (millis: number, opts: bullmq.RepeatOptions) =>
      millis + Number(opts.pattern?.replace('every ', ''));
    const queue = bench.queue(name, { settings: { repeatStrategy } });
    const runs: number[] = [];
    bench.worker(name, async (job) => void runs.push(Number(job.id.split(':').at(-1))), {
      settings: { repeatStrategy },
    });
    await queue.upsertJobScheduler('s', { pattern: 'every 120', limit: 3 }, { name: 'tick' });
    await waitFor(() => runs.length === 3);
    expect(runs[2]! - runs[1]!).toBeGreaterThanOrEqual(120);
    expect((await queue.getJobScheduler('s'))?.pattern).toBe('every 120');
    const bad = bench.queue(name, { settings: { repeatStrategy: () => 'soon' as never } });
    await expect(bad.upsertJobScheduler('t', { pattern: 'x' })).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });
});
