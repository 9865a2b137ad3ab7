import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../ts/job.js';
import { JobScheduler } from '../ts/job-scheduler.js';
import { QueueService } from '../ts/queue-service.js';
import type { QueueServiceOptions } from '../ts/types/queue-service-options.js';
import { collect } from './helpers/job-bench.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

interface Payloads {
  email: { to: string };
  export: { userId: string; format: 'pdf' | 'epub' };
}
interface Results {
  email: { sent: boolean };
  export: { fileUrl: string };
}

let server: RedisServer;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((service) => service.close()));
});

afterAll(() => server.stop());

function typed(options: QueueServiceOptions = {}): QueueService<Payloads, Results> {
  const service = new QueueService<Payloads, Results>({
    redis: { url: server.url },
    prefix: uniquePrefix('p'),
    ...options,
  });
  open.push(service);
  return service;
}

function untyped(options: QueueServiceOptions = {}): QueueService {
  const service = new QueueService({ redis: { url: server.url }, prefix: uniquePrefix('p'), ...options });
  open.push(service);
  return service;
}

describe('adding', () => {
  test('both forms of addJob, addBulk and addBulkJobs', async () => {
    const service = typed({ defaultJobOptions: { attempts: 3 } });
    await service.initialize();
    const named = await service.addJob({
      queue: 'email',
      name: 'welcome',
      data: { to: 'ada' },
      options: { priority: 2 },
    });
    const short = await service.addJob('email', { to: 'bob' }, { attempts: 5 });
    expect(named).toMatchObject({ name: 'welcome', data: { to: 'ada' }, opts: { attempts: 3, priority: 2 } });
    expect(short).toMatchObject({ name: 'email', data: { to: 'bob' }, opts: { attempts: 5 } });
    const bulk = await service.addBulk({
      queue: 'email',
      jobs: [
        { name: 'a', data: { to: 'c' } },
        { name: 'b', data: { to: 'd' }, options: { delay: 60_000 } },
      ],
    });
    expect(bulk.map((job) => job.name)).toEqual(['a', 'b']);
    const short2 = await service.addBulkJobs('email', [{ data: { to: 'e' } }, { data: { to: 'f' } }]);
    expect(short2.map((job) => [job.name, job.data.to])).toEqual([
      ['email', 'e'],
      ['email', 'f'],
    ]);
    expect(await service.getQueueMetrics('email')).toEqual({
      waiting: 5,
      active: 0,
      completed: 0,
      failed: 0,
      delayed: 1,
      paused: 0,
      total: 6,
    });
  });

  test('a scheduled job is one schedule however often it is added', async () => {
    const service = typed();
    for (let i = 0; i < 3; i++) {
      const job = await service.addScheduledJob({
        queue: 'export',
        name: 'weekly',
        data: { userId: '1', format: 'pdf' },
        cron: '0 0 * * 0',
      });
      expect(job.data.format).toBe('pdf');
    }
    expect(await service.getQueue('export').getJobSchedulersCount()).toBe(1);
  });

  test('the scheduling helper of the documents adds with its defaults', async () => {
    const service = untyped();
    const scheduler = new JobScheduler(service);
    const job = await scheduler.scheduleJob('email', 'send-email', { to: 'ada' }, { priority: 3 });
    expect(job.opts).toMatchObject({ priority: 3, attempts: 3, backoff: { type: 'exponential', delay: 2000 } });
    await scheduler.scheduleRecurringJob('cleanup', 'daily', { type: 'daily' }, '0 2 * * *');
    expect(await service.getQueue('cleanup').getJobSchedulersCount()).toBe(1);
  });
});

describe('processing', () => {
  test('a registered processor gets typed jobs, and listeners hear of them', async () => {
    const service = typed();
    const worker = collect<[Job, unknown, string]>(service, 'worker:completed', 1);
    service.registerProcessor('email', async (job) => ({ sent: job.data.to === 'ada' }));
    const job = await service.addJob('email', { to: 'ada' });
    const [[done, result, queue]] = (await worker) as [[Job, unknown, string]];
    expect([done.id, result, queue]).toEqual([job.id, { sent: true }, 'email']);
  });

  test('processors by name share a queue; a job without one fails at once', async () => {
    const service = untyped();
    const runs: string[] = [];
    service.registerProcessor('mixed', async (job) => void runs.push(`a ${job.name}`), { name: 'a' });
    service.registerProcessor('mixed', async (job) => void runs.push(`b ${job.name}`), { name: 'b' });
    const failed = collect<[Job, Error]>(service, 'worker:failed', 1);
    await service.addBulk({
      queue: 'mixed',
      jobs: ['a', 'b', 'c'].map((name) => ({ name, data: {}, options: { attempts: 3 } })),
    });
    expect((await failed)[0]?.[1].message).toBe('queue mixed has no processor for jobs named c');
    await waitFor(() => runs.length === 2);
    expect(runs.sort()).toEqual(['a a', 'b b']);
    service.registerProcessor('mixed', async (job) => void runs.push(`rest ${job.name}`));
    await service.addJob({ queue: 'mixed', name: 'd', data: {} });
    await waitFor(() => runs.includes('rest d'));
  });

  test('a processor that is replaced finishes what it runs, the new one takes the next job', async () => {
    const service = untyped();
    let release!: () => void;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const first = service.registerProcessor(
      'q',
      async () => {
        await gate;
        return 'old';
      },
      { concurrency: 1 },
    );
    const job = await service.addJob('q', 1);
    await waitFor(async () => (await job.getState()) === 'active');
    const second = service.registerProcessor('q', async () => 'new', { concurrency: 1 });
    expect(second).not.toBe(first);
    const next = await service.addJob('q', 2);
    await waitFor(async () => (await next.getState()) === 'completed');
    expect(await job.getState()).toBe('active');
    release();
    await waitFor(async () => (await job.getState()) === 'completed');
    expect((await service.getJob('q', job.id))?.returnvalue).toBe('old');
    expect((await service.getJob('q', next.id))?.returnvalue).toBe('new');
    await waitFor(() => !first.isRunning());
  });

  test('options that a worker refuses leave the earlier processor in place', async () => {
    const service = untyped();
    service.registerProcessor('q', async () => 'still here');
    expect(() => service.registerProcessor('q', async () => 'x', { concurrency: -1 })).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION' }),
    );
    const done = collect<[Job, unknown]>(service, 'worker:completed', 1);
    await service.addJob('q', 1);
    expect((await done)[0]?.[1]).toBe('still here');
  });

  test('runs as many at once as the definition says', async () => {
    const service = untyped({ queues: [{ name: 'narrow', concurrency: 2 }, 'plain'] });
    let [running, most] = [0, 0];
    service.registerProcessor('narrow', async () => {
      most = Math.max(most, ++running);
      await sleep(10);
      running--;
    });
    const done = collect(service, 'worker:completed', 12);
    await service.addBulkJobs(
      'narrow',
      Array.from({ length: 12 }, (_, data) => ({ data })),
    );
    await done;
    expect(most).toBe(2);
  });
});

describe('events of all processes', () => {
  test('are heard for jobs that another service runs', async () => {
    const prefix = uniquePrefix('p');
    const [watching, working] = [untyped({ prefix }), untyped({ prefix })];
    const heard: [string, ...unknown[]][] = [];
    const note =
      (event: string) =>
      (first: any, second?: any, ...rest: unknown[]) =>
        void heard.push([event, first?.id ?? first, second instanceof Error ? second.message : second, ...rest]);
    for (const event of [
      'job:added',
      'job:waiting',
      'job:active',
      'job:progress',
      'job:completed',
      'job:failed',
    ] as const) {
      watching.on(event, note(event));
    }
    watching.on('queue:paused', note('queue:paused')).on('queue:resumed', note('queue:resumed'));
    watching.getQueue('q');
    await watching.initialize();
    await working.pauseQueue('q');
    await working.resumeQueue('q');
    await waitFor(() => heard.length === 2);
    expect(heard.splice(0)).toEqual([
      ['queue:paused', 'q', undefined],
      ['queue:resumed', 'q', undefined],
    ]);
    working.registerProcessor('q', async (job) => {
      await job.progress(10);
      if (job.data === 'bad') throw new Error('no');
      return 'fine';
    });
    const good = await working.addJob('q', 'good');
    await waitFor(() => heard.some(([event, id]) => event === 'job:completed' && id === good.id));
    const bad = await working.addJob('q', 'bad');
    await waitFor(() => heard.some(([event]) => event === 'job:failed'));
    const of = (id: string) => heard.filter((entry) => entry[1] === id).map(([event, , ...rest]) => [event, ...rest]);
    expect(of(good.id)).toEqual([
      ['job:added', 'q'],
      ['job:waiting', 'q'],
      ['job:active', 'waiting', 'q'],
      ['job:progress', 10, 'q'],
      ['job:completed', 'fine', 'q'],
    ]);
    expect(of(bad.id).at(-1)).toEqual(['job:failed', 'no', 'q']);
  });
});

describe('administration', () => {
  test('jobs are looked up, removed and put back', async () => {
    const service = untyped();
    const job = await service.addJob('q', { v: 1 });
    expect((await service.getJob('q', job.id))?.data).toEqual({ v: 1 });
    expect(await service.getJob('q', 'nobody')).toBeNull();
    expect(await service.getJobs({ queue: 'q', state: 'waiting' })).toHaveLength(1);
    expect(await service.getJobs({ queue: 'q', state: ['completed', 'waiting'], start: 0, end: 5 })).toHaveLength(1);
    await service.removeJob('q', job.id);
    await expect(service.removeJob('q', job.id)).rejects.toMatchObject({ code: 'ERR_JOB_NOT_FOUND' });
    await expect(service.retryJob('q', job.id)).rejects.toMatchObject({ code: 'ERR_JOB_NOT_FOUND' });

    let works = false;
    service.registerProcessor('q', async () => {
      if (!works) throw new Error('not yet');
    });
    const failing = await service.addJob('q', {});
    await waitFor(async () => (await failing.getState()) === 'failed');
    works = true;
    await service.retryJob('q', failing.id);
    await waitFor(async () => (await failing.getState()) === 'completed');
    await expect(service.retryJob('q', failing.id)).rejects.toMatchObject({ code: 'ERR_JOB_NOT_IN_STATE' });
  });

  test('a running job is not removed', async () => {
    const service = untyped();
    let release!: () => void;
    service.registerProcessor(
      'q',
      () =>
        new Promise<void>((resolve) => {
          release = resolve;
        }),
    );
    const job = await service.addJob('q', {});
    await waitFor(async () => (await job.getState()) === 'active');
    await expect(service.removeJob('q', job.id)).rejects.toMatchObject({
      code: 'ERR_JOB_NOT_IN_STATE',
      details: { jobId: job.id, queue: 'q', state: 'active' },
    });
    release();
  });

  test('queues are paused, resumed, emptied and cleaned', async () => {
    const service = untyped();
    await service.pauseQueue('q');
    await service.addBulkJobs('q', [
      { data: 1 },
      { data: 2, options: { priority: 1 } },
      { data: 3, options: { delay: 60_000 } },
    ]);
    expect(await service.getQueueMetrics('q')).toMatchObject({ waiting: 0, paused: 2, delayed: 1, total: 3 });
    await service.resumeQueue('q');
    expect(await service.getQueueMetrics('q')).toMatchObject({ waiting: 2, paused: 0 });
    await service.emptyQueue('q');
    expect((await service.getQueueMetrics('q')).total).toBe(0);
    service.registerProcessor('q', async () => 1);
    const cleaned: unknown[] = [];
    service.on('queue:cleaned', (ids, type, queue) => cleaned.push([ids.length, type, queue]));
    const done = collect(service, 'worker:completed', 3);
    await service.addBulkJobs(
      'q',
      [1, 2, 3].map((data) => ({ data })),
    );
    await done;
    expect(await service.cleanQueue({ queue: 'q', grace: 60_000, status: 'completed' })).toBe(0);
    expect(await service.cleanQueue({ queue: 'q', grace: 0, status: 'completed' })).toBe(3);
    expect(cleaned).toEqual([
      [0, 'completed', 'q'],
      [3, 'completed', 'q'],
    ]);
    expect(Object.keys(await service.getQueueMetrics())).toEqual(['q']);
  });

  test('only defined queues exist, and priorities only where they were allowed', async () => {
    const service = untyped({ queues: [{ name: 'email', priority: false }, { name: 'export' }] });
    await expect(service.addJob('emial', {})).rejects.toMatchObject({
      code: 'ERR_QUEUE_NOT_FOUND',
      details: { queue: 'emial' },
    });
    expect(() => service.registerProcessor('emial', async () => 1)).toThrowError(
      expect.objectContaining({ code: 'ERR_QUEUE_NOT_FOUND' }),
    );
    await expect(service.addJob('email', {}, { priority: 1 })).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
    await service.addJob('export', {}, { priority: 1 });
    expect(Object.keys(await service.getQueueMetrics()).sort()).toEqual(['email', 'export']);
  });
});

describe('the end', () => {
  test('waits for running jobs; twice is safe; nothing works after it', async () => {
    const service = untyped();
    let finished = false;
    service.registerProcessor('q', async () => {
      await sleep(100);
      finished = true;
    });
    const job = await service.addJob('q', {});
    await waitFor(async () => (await job.getState()) === 'active');
    await Promise.all([service.destroy(), service.close()]);
    expect(finished).toBe(true);
    await service.destroy();
    await expect(service.addJob('q', {})).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(service.initialize()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(service.getQueueMetrics()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    expect(() => service.getQueue('q')).toThrowError(expect.objectContaining({ code: 'ERR_CLOSED' }));
  });

  test.skipIf(inMemory)('initialize fails when there is no server, within its deadline', async () => {
    const own = await RedisServer.start();
    await own.stop();
    const service = untyped({
      redis: { host: own.host, port: own.port, commandTimeout: 500, maxRetriesPerRequest: 1 },
    });
    service.on('error', () => undefined).on('queue:error', () => undefined);
    await expect(service.initialize()).rejects.toMatchObject({ code: /^ERR_/ });
  });
});

describe('bad input', () => {
  test.each([
    ['unknown', { que: [] }, 'que'],
    ['unknown setting', { settings: { lockTime: 5 } }, 'settings.lockTime'],
    ['unknown of a queue', { queues: [{ name: 'a', concurency: 1 }] }, 'queues.0.concurency'],
    ['queues of a wrong type', { queues: 'a' }, 'queues'],
    ['unknown job default', { defaultJobOptions: { atempts: 1 } }, 'defaultJobOptions.atempts'],
    ['unknown of the connection', { redis: { hots: 1 } }, 'hots'],
  ])('%s option is refused with its path', (_what, options, option) => {
    expect(() => new QueueService(options as never)).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: expect.objectContaining({ option }) }),
    );
  });

  test('arguments of a wrong kind reject', async () => {
    const service = untyped();
    const refused = { code: 'ERR_INVALID_ARGUMENT' };
    await expect(service.addJob(undefined as never)).rejects.toMatchObject(refused);
    await expect(service.addJob({ name: 'a', data: 1 } as never)).rejects.toMatchObject(refused);
    await expect(service.addBulk({ queue: 'q', jobs: 5 } as never)).rejects.toMatchObject(refused);
    await expect(service.getJobs(null as never)).rejects.toMatchObject(refused);
    expect(() => service.registerProcessor('q', 5 as never)).toThrowError(expect.objectContaining(refused));
    expect(() => service.registerProcessor('q', async () => 1, { batch: 5 } as never)).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION' }),
    );
  });
});
