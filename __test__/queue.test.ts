import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Queue } from '../ts/queue.js';
import type { QueueOptions } from '../ts/types/queue-options.js';
import { openProbe, type Probe } from './helpers/probe.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let redis: Probe;
const open: Queue[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  redis = openProbe(server);
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((queue) => queue.close()));
});

afterAll(async () => {
  await redis.close();
  await server.stop();
});

function newQueue<Data = any, Result = any>(options: QueueOptions = {}): Queue<Data, Result> {
  const queue = new Queue<Data, Result>(uniquePrefix('queue'), { connection: { url: server.url }, ...options });
  open.push(queue);
  return queue;
}

describe('add', () => {
  test('stores a job and gives it back with its options', async () => {
    const queue = newQueue<{ to: string }>({ defaultJobOptions: { attempts: 3, removeOnComplete: 10 } });
    const before = Date.now();
    const job = await queue.add(
      'welcome',
      { to: 'ada' },
      { delay: 60_000, backoff: { type: 'exponential', delay: 5 } },
    );
    expect(job).toMatchObject({ name: 'welcome', data: { to: 'ada' }, queueName: queue.name, delay: 60_000 });
    expect(job.opts).toMatchObject({ attempts: 3, removeOnComplete: 10, delay: 60_000 });
    const stored = await queue.getJob(job.id);
    expect(stored?.data).toEqual({ to: 'ada' });
    expect(stored?.opts).toMatchObject({
      attempts: 3,
      backoff: { type: 'exponential', delay: 5 },
      removeOnComplete: 10,
    });
    expect(stored?.timestamp).toBe(job.timestamp);
    expect(stored?.timestamp).toBeGreaterThanOrEqual(before);
    expect(await job.getState()).toBe('delayed');
  });

  test.skipIf(inMemory)('jobs that are added in one turn go in one script call', async () => {
    const queue = newQueue();
    await queue.add('first', {});
    const calls = async () => {
      const stats = await redis.call('info', 'commandstats');
      return ['evalsha', 'eval'].reduce(
        (sum, name) => sum + Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0),
        0,
      );
    };
    const before = await calls();
    const jobs = await Promise.all(Array.from({ length: 100 }, (_, i) => queue.add('n', { i })));
    // The calls of the first turn, and perhaps the rest of the same turn.
    expect((await calls()) - before).toBeLessThanOrEqual(2);
    expect(new Set(jobs.map((job) => job.id)).size).toBe(100);
    expect((await queue.getWaiting()).map((job) => job.data.i ?? -1)).toEqual([-1, ...Array(100).keys()]);
  });

  test('addBulk adds in order and gives every job its own id', async () => {
    const queue = newQueue();
    const jobs = await queue.addBulk(Array.from({ length: 2_500 }, (_, i) => ({ name: `job-${i % 3}`, data: { i } })));
    expect(jobs).toHaveLength(2_500);
    expect(await queue.getJobCounts('waiting')).toEqual({ waiting: 2_500 });
    const [first, last] = [await queue.getJob(jobs[0]!.id), await queue.getJob(jobs[2_499]!.id)];
    expect([first?.data.i, last?.data.i]).toEqual([0, 2_499]);
  });

  test('the same jobId twice is one job', async () => {
    const queue = newQueue();
    const jobs = await Promise.all([
      queue.add('a', { v: 1 }, { jobId: 'once' }),
      queue.add('a', { v: 2 }, { jobId: 'once' }),
    ]);
    expect(jobs.map((job) => job.id)).toEqual(['once', 'once']);
    expect(await queue.count()).toBe(1);
    expect((await queue.getJob('once'))?.data).toEqual({ v: 1 });
  });

  test('data of every JSON kind comes back as it was', async () => {
    const queue = newQueue();
    const values = [0, '', false, null, [], [1, [2]], 'ž日本😀', { a: { b: [null, '\n"\\'] } }, 1.5, -0.1];
    const jobs = await queue.addBulk(values.map((data) => ({ name: 'v', data })));
    for (const [index, { id }] of jobs.entries()) expect((await queue.getJob(id))?.data).toEqual(values[index]);
    expect((await queue.getJob((await queue.add('none', undefined)).id))?.data).toEqual({});
  });

  test('waiting is emitted for what this object adds', async () => {
    const queue = newQueue();
    const heard: string[] = [];
    queue.on('waiting', (job) => heard.push(job.id));
    const job = await queue.add('a', {});
    expect(heard).toEqual([job.id]);
  });
});

describe('looking', () => {
  test('jobs by state, counts and ranges', async () => {
    const queue = newQueue();
    await queue.addBulk([1, 2, 3].map((i) => ({ name: 'w', data: i })));
    await queue.addBulk([1, 2].map((i) => ({ name: 'd', data: i, opts: { delay: 60_000 * i } })));
    await queue.add('p', 1, { priority: 5 });
    expect(await queue.getJobCounts()).toEqual({
      waiting: 3,
      active: 0,
      delayed: 2,
      prioritized: 1,
      'waiting-children': 0,
      completed: 0,
      failed: 0,
    });
    expect(await queue.count()).toBe(6);
    expect((await queue.getWaiting(1, 2)).map((job) => job.data)).toEqual([2, 3]);
    expect((await queue.getDelayed()).map((job) => job.data)).toEqual([1, 2]);
    expect((await queue.getJobs(['delayed', 'prioritized'])).map((job) => job.name).sort()).toEqual(['d', 'd', 'p']);
    expect(await queue.getJobs('wait')).toHaveLength(3);
    expect(await queue.getPrioritizedCount()).toBe(1);
    expect(await queue.getJob('nobody')).toBeUndefined();
    expect(await queue.getJobState('nobody')).toBe('unknown');
  });

  test('logs are kept in order and bounded', async () => {
    const queue = newQueue();
    const job = await queue.add('a', {}, { keepLogs: 3 });
    for (let row = 1; row <= 5; row++) await job.log(`row ${row}`);
    expect(await queue.getJobLogs(job.id)).toEqual({ logs: ['row 3', 'row 4', 'row 5'], count: 3 });
    expect(await queue.getJobLogs(job.id, 0, 0)).toEqual({ logs: ['row 3'], count: 3 });
  });
});

describe('administration', () => {
  test('pause and resume are seen by every queue object', async () => {
    const queue = newQueue();
    const other = new Queue(queue.name, { connection: { url: server.url } });
    open.push(other);
    const heard: string[] = [];
    queue.on('paused', () => heard.push('paused')).on('resumed', () => heard.push('resumed'));
    await queue.pause();
    expect(await other.isPaused()).toBe(true);
    await queue.resume();
    expect(await other.isPaused()).toBe(false);
    expect(heard).toEqual(['paused', 'resumed']);
  });

  test('remove says what it removed', async () => {
    const queue = newQueue();
    const job = await queue.add('a', {});
    const removed: string[] = [];
    queue.on('removed', (id) => removed.push(id));
    expect(await queue.remove(job.id)).toBe(1);
    expect(await queue.remove(job.id)).toBe(0);
    expect(removed).toEqual([job.id]);
    await expect(job.remove()).rejects.toMatchObject({ code: 'ERR_JOB_NOT_FOUND' });
  });

  test('drain empties what waits, clean what is old, obliterate everything', async () => {
    const queue = newQueue();
    await queue.addBulk([1, 2, 3].map((i) => ({ name: 'w', data: i })));
    await queue.add('d', 1, { delay: 60_000 });
    await queue.drain();
    expect(await queue.getJobCounts('waiting', 'delayed')).toEqual({ waiting: 0, delayed: 1 });
    await queue.drain(true);
    expect(await queue.count()).toBe(0);

    const jobs = await queue.addBulk([1, 2, 3].map((i) => ({ name: 'w', data: i })));
    const cleaned: unknown[] = [];
    queue.on('cleaned', (ids, type) => cleaned.push([ids.length, type]));
    expect(await queue.clean(60_000, 0, 'wait')).toEqual([]);
    expect(await queue.clean(0, 2, 'wait')).toHaveLength(2);
    expect(cleaned).toEqual([
      [0, 'wait'],
      [2, 'wait'],
    ]);
    expect(jobs).toHaveLength(3);

    await queue.obliterate();
    expect(await redis.call('keys', `bull:${queue.name}:*`)).toEqual([]);
  });

  test('promote lets delayed jobs run now', async () => {
    const queue = newQueue();
    const jobs = await queue.addBulk([1, 2, 3].map((i) => ({ name: 'd', data: i, opts: { delay: 60_000 } })));
    await jobs[0]!.promote();
    expect(await jobs[0]!.getState()).toBe('waiting');
    await expect(jobs[0]!.promote()).rejects.toMatchObject({ code: 'ERR_JOB_NOT_IN_STATE' });
    expect(await queue.promoteJobs()).toBe(2);
    expect(await queue.getWaitingCount()).toBe(3);
  });

  test('delay and priority of a job are changed', async () => {
    const queue = newQueue();
    const delayed = await queue.add('d', 1, { delay: 60_000 });
    await delayed.changeDelay(600_000);
    const due = (await redis.call('zscore', `bull:${queue.name}:delayed`, delayed.id))!;
    expect(Number(due) / 4096 - Date.now()).toBeGreaterThan(590_000);
    const job = await queue.add('w', 1);
    await job.changePriority({ priority: 3 });
    expect(await job.getState()).toBe('prioritized');
    expect((await queue.getJob(job.id))?.priority).toBe(3);
    await expect(job.changeDelay(5)).rejects.toMatchObject({ code: 'ERR_JOB_NOT_IN_STATE' });
    await expect(job.changePriority({ priority: -1 })).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
  });

  test('the same deduplication id is one job until it is done', async () => {
    const queue = newQueue();
    const jobs = await queue.addBulk(
      [1, 2].map((data) => ({ name: 'a', data, opts: { deduplication: { id: 'same' } } })),
    );
    expect(jobs[1]!.id).toBe(jobs[0]!.id);
    expect(await queue.count()).toBe(1);
    expect((await queue.getJob(jobs[0]!.id))?.deduplicationId).toBe('same');
  });

  test('global bounds are set and lifted', async () => {
    const queue = newQueue();
    await queue.setGlobalConcurrency(3);
    await queue.setGlobalRateLimit(10, 1_000);
    expect(await redis.call('hmget', `bull:${queue.name}:meta`, 'concurrency', 'max', 'duration')).toEqual([
      '3',
      '10',
      '1000',
    ]);
    expect(await queue.getRateLimitTtl()).toBe(0);
    await queue.removeGlobalConcurrency();
    await queue.removeGlobalRateLimit();
    expect(await redis.call('hmget', `bull:${queue.name}:meta`, 'concurrency', 'max', 'duration')).toEqual([
      null,
      null,
      null,
    ]);
    await expect(queue.setGlobalConcurrency(0)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    await expect(queue.setGlobalRateLimit(0, 5)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });

  test('job schedulers are made, changed, listed and removed', async () => {
    const queue = newQueue();
    const job = await queue.upsertJobScheduler(
      'report',
      { pattern: '0 3 * * *', tz: 'Europe/Berlin' },
      { data: { a: 1 } },
    );
    expect(job?.name).toBe('report');
    expect(job?.data).toEqual({ a: 1 });
    expect(await job?.getState()).toBe('delayed');
    await queue.upsertJobScheduler('often', { every: 60_000 }, { name: 'tick' });
    expect(await queue.getJobSchedulersCount()).toBe(2);
    expect((await queue.getJobSchedulers()).map(({ key }) => key).sort()).toEqual(['often', 'report']);
    expect(await queue.getJobScheduler('report')).toMatchObject({
      key: 'report',
      pattern: '0 3 * * *',
      tz: 'Europe/Berlin',
      template: { data: { a: 1 } },
    });
    expect(await queue.removeJobScheduler('report')).toBe(true);
    expect(await queue.removeJobScheduler('report')).toBe(false);
    expect(await queue.getJobScheduler('report')).toBeUndefined();
    expect(await queue.getDelayedCount()).toBe(0);
  });

  test('add with repeat makes one scheduler for the same name and schedule', async () => {
    const queue = newQueue();
    await queue.add('clean', { v: 1 }, { repeat: { cron: '0 2 * * *' } });
    await queue.add('clean', { v: 2 }, { repeat: { pattern: '0 2 * * *' } });
    await queue.add('clean', { v: 3 }, { repeat: { pattern: '0 4 * * *' } });
    expect(await queue.getJobSchedulersCount()).toBe(2);
    expect((await queue.getDelayed()).map((job) => job.data.v).sort()).toEqual([2, 3]);
  });
});

describe('connections', () => {
  test('a hundred queues share the sockets of one', async () => {
    const queues = Array.from({ length: 100 }, () => newQueue());
    await Promise.all(queues.map((queue) => queue.add('a', {})));
    const clients = (await redis.call('client', 'LIST')) as string;
    expect(clients.trim().split('\n').length).toBeLessThan(8);
  });

  test.skipIf(inMemory)(
    'redis takes the database of queues, connection that of BullMQ; a key prefix goes in front',
    async () => {
      const name = uniquePrefix('database');
      const ours = new Queue(name, { redis: { url: server.url } });
      const theirs = new Queue(name, { connection: { url: server.url } });
      const prefixed = new Queue(name, { connection: { url: server.url, keyPrefix: 'app:' }, prefix: 'jobs' });
      open.push(ours, theirs, prefixed);
      await Promise.all([ours.add('a', {}), theirs.add('a', {}), prefixed.add('a', {})]);
      expect(await redis.call('llen', `bull:${name}:wait`)).toBe(1);
      expect(await redis.call('llen', `app:jobs:${name}:wait`)).toBe(1);
      await redis.call('select', 4);
      expect(await redis.call('llen', `bull:${name}:wait`)).toBe(1);
      await redis.call('select', 0);
    },
  );

  test.skipIf(inMemory)('state is reported, ping answers', async () => {
    const own = await RedisServer.start();
    const queue = newQueue({ connection: { url: own.url } });
    const states: string[] = [];
    queue.on('state', (state) => states.push(state)).on('error', () => undefined);
    expect(await queue.ping()).toBe('PONG');
    await own.kill();
    await waitFor(() => states.includes('RECONNECTING'));
    await own.restart();
    await waitFor(() => states.at(-1) === 'READY');
    await queue.close();
    await own.stop();
  });
});

describe('the end', () => {
  test('closing twice is safe; calls after it reject', async () => {
    const queue = newQueue();
    await queue.add('a', {});
    await Promise.all([queue.close(), queue.close()]);
    await expect(queue.add('a', {})).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(queue.getJobCounts()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('what was asked before close is still answered', async () => {
    const queue = newQueue();
    const adding = queue.add('a', {});
    const looking = queue.getJobCounts();
    await queue.close();
    expect((await adding).id).toBe('1');
    expect((await looking)['waiting']).toBe(1);
  });
});

describe('bad input', () => {
  test.each([
    ['unknown option', 'q', { defualtJobOptions: {} }, 'defualtJobOptions'],
    ['unknown job default', 'q', { defaultJobOptions: { atempts: 1 } }, 'defaultJobOptions.atempts'],
    ['wrong job default', 'q', { defaultJobOptions: { attempts: 'x' } }, 'defaultJobOptions.attempts'],
    ['unknown connection option', 'q', { connection: { hots: 'x' } }, 'hots'],
    ['both connections', 'q', { connection: {}, redis: {} }, 'connection'],
    ['prefix of a wrong type', 'q', { prefix: 5 }, 'prefix'],
  ])('%s is refused with its path', (_what, name, options, option) => {
    expect(() => new Queue(name, options as never)).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: expect.objectContaining({ option }) }),
    );
  });

  test.each([[''], ['a:b'], [5], [undefined]])('%s is no name of a queue', (name) => {
    expect(() => new Queue(name as never, { connection: { url: server.url } })).toThrowError(
      expect.objectContaining({ code: expect.stringMatching(/^ERR_INVALID_(ARGUMENT|OPTION)$/) }),
    );
  });

  test('a job that is refused says why and leaves its neighbours', async () => {
    const queue = newQueue();
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const bad: [unknown, unknown, string, string?][] = [
      [{}, { atempts: 1 }, 'ERR_INVALID_OPTION', 'atempts'],
      [{}, { attempts: -1 }, 'ERR_INVALID_OPTION', 'attempts'],
      [{}, { priority: 3_000_000 }, 'ERR_INVALID_OPTION', 'priority'],
      [{}, { delay: 'soon' }, 'ERR_INVALID_OPTION', 'delay'],
      [{}, { backoff: { type: 'fixed', delay: -5 } }, 'ERR_INVALID_OPTION', 'backoff.delay'],
      [{}, { backoff: { type: 'fixed', delay: 5, jitter: 7 } }, 'ERR_INVALID_OPTION', 'backoff.jitter'],
      [{}, { timeout: 0 }, 'ERR_INVALID_OPTION', 'timeout'],
      [{}, { jobId: '17' }, 'ERR_INVALID_OPTION', 'jobId'],
      [{}, { jobId: 'a:b' }, 'ERR_INVALID_OPTION', 'jobId'],
      [{}, { removeOnComplete: 'x' }, 'ERR_INVALID_OPTION', 'removeOnComplete'],
      [{ big: 'x'.repeat(100) }, { sizeLimit: 50 }, 'ERR_JOB_TOO_LARGE'],
      [{ n: 1n }, {}, 'ERR_NOT_SERIALIZABLE'],
      [cycle, {}, 'ERR_NOT_SERIALIZABLE'],
      [() => 1, {}, 'ERR_NOT_SERIALIZABLE'],
      [{}, 'x', 'ERR_INVALID_ARGUMENT'],
      [{}, { repeat: { pattern: 'every day' } }, 'ERR_INVALID_OPTION'],
      [{}, { repeat: {} }, 'ERR_INVALID_OPTION'],
      [{}, { repeat: { every: 5, pattern: '* * * * *' } }, 'ERR_INVALID_OPTION'],
    ];
    const outcomes = await Promise.allSettled([
      queue.add('good', 0),
      ...bad.map(([data, options]) => queue.add('bad', data, options as never)),
      queue.add('good', 1),
    ]);
    const refused = outcomes.slice(1, -1);
    for (const [index, [, , code, option]] of bad.entries()) {
      const { reason } = refused[index] as PromiseRejectedResult;
      expect(reason, JSON.stringify(bad[index]?.[1])).toMatchObject({ code });
      if (option) expect(reason.details.option).toBe(option);
    }
    expect((await queue.getWaiting()).map((job) => job.data)).toEqual([0, 1]);
    await expect(queue.add(5 as never, {})).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    await expect(queue.getJobs('running' as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    await expect(queue.clean(0, -1)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });
});
