// The stock dashboard's API on our queues, with its answers checked against the dashboard's own schemas.

import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { BullmqBench } from '../../helpers/bullmq-bench.js';
import { RedisServer } from '../../helpers/redis-server.js';
import { uniquePrefix } from '../../helpers/unique-prefix.js';
import { waitFor } from '../../helpers/wait-for.js';

let server: RedisServer;
let bench: BullmqBench;
let name: string;
let queue: ReturnType<BullmqBench['queue']>;
let ask: (route: string, params?: Record<string, string>, extra?: object) => Promise<any>;

beforeAll(async () => {
  server = await RedisServer.start();
});

beforeEach(() => {
  bench = new BullmqBench(server);
  name = uniquePrefix('board');
  queue = bench.queue(name);
  ask = openBoard();
});

afterEach(() => bench.close());

afterAll(() => server.stop());

/** Calls routes of the board as its web servers do. */
function openBoard(): typeof ask {
  let routes: { method: string | string[]; route: string | string[]; handler: (request: any) => Promise<any> }[] = [];
  let queues = new Map();
  const adapter: Record<string, (value: any) => unknown> = {};
  for (const method of [
    'setViewsPath',
    'setStaticPath',
    'setUIConfig',
    'setEntryRoute',
    'setErrorHandler',
    'setApiRoutes',
    'setQueues',
  ]) {
    adapter[method] = (value) => {
      if (method === 'setApiRoutes') routes = value;
      if (method === 'setQueues') queues = value;
      return adapter;
    };
  }
  createBullBoard({
    // The board takes a look-alike of BullMQ's queue; its types know stock's class alone.
    queues: [new BullMQAdapter(queue as never)],
    serverAdapter: adapter as never,
    options: { uiBasePath: '/nowhere', uiConfig: {}, validateResponses: true } as never,
  });
  return async (route, params = {}, extra = {}) => {
    const [method, path] = route.split(' ') as [string, string];
    const found = routes.find((one) => one.method === method && [one.route].flat().includes(path));
    if (!found) throw new Error(`the board has no route ${route}`);
    const request = {
      queues,
      uiConfig: {},
      params: { queueName: name, ...params },
      query: {},
      body: {},
      headers: {},
      ...extra,
    };
    return found.handler(request);
  };
}

test('lists queues with their counts and jobs', async () => {
  await queue.addBulk([1, 2, 3].map((n) => ({ name: 'a', data: { n } })));
  await queue.add('later', {}, { delay: 60_000 });
  const { status, body } = await ask(
    'get /api/queues',
    {},
    { query: { activeQueue: name, status: 'waiting', page: '1' } },
  );
  expect(status ?? 200).toBe(200);
  const [listed] = body.queues;
  expect(listed).toMatchObject({ name, isPaused: false, counts: { waiting: 3, delayed: 1, active: 0 } });
  expect(listed.jobs.map((job: any) => job.data)).toEqual([{ n: 3 }, { n: 2 }, { n: 1 }]);
  expect(listed.jobs[0]).toMatchObject({ name: 'a', progress: 0, attempts: 0 });
});

test('shows workers, the server, one job and its log', async () => {
  const job = await queue.add('a', { n: 1 });
  await job.log('a row');
  await job.updateProgress(30);
  bench.worker(name, async () => undefined, { name: 'ada', autorun: true });
  await waitFor(async () => (await queue.getWorkersCount()) === 1);
  const workers = await ask('get /api/queues/:queueName/workers');
  expect(workers.status ?? 200).toBe(200);
  expect(JSON.stringify(workers.body)).toContain('ada');
  const stats = await ask('get /api/redis/stats');
  expect(stats.status ?? 200).toBe(200);
  expect(JSON.stringify(stats.body)).toContain(String(server.port));
  await waitFor(async () => (await queue.getCompletedCount()) === 1);
  const shown = await ask('get /api/queues/:queueName/:jobId', { jobId: job.id });
  expect(shown.body).toMatchObject({ status: 'completed', job: { id: job.id, data: { n: 1 }, progress: 30 } });
  const logs = await ask('get /api/queues/:queueName/:jobId/logs', { jobId: job.id });
  expect(logs.body).toEqual(['a row']);
});

test('retries one job and all, promotes, cleans and removes', async () => {
  let fails = true;
  bench.worker(name, async () => {
    if (fails) throw new Error('on purpose');
  });
  const jobs = await queue.addBulk([1, 2, 3].map((n) => ({ name: 'a', data: { n } })));
  await waitFor(async () => (await queue.getFailedCount()) === 3);
  fails = false;
  await ask('put /api/queues/:queueName/:jobId/retry', { jobId: jobs[0]!.id });
  await waitFor(async () => (await queue.getCompletedCount()) === 1);
  const all = await ask('put /api/queues/:queueName/retry/:queueStatus', { queueStatus: 'failed' });
  expect(all.body).toEqual({ retried: 2, skipped: 0 });
  await waitFor(async () => (await queue.getCompletedCount()) === 3);
  await queue.add('later', {}, { delay: 600_000 });
  await ask('put /api/queues/:queueName/promote');
  await waitFor(async () => (await queue.getCompletedCount()) === 4);
  await ask('put /api/queues/:queueName/:jobId/clean', { jobId: jobs[0]!.id });
  expect(await queue.getCompletedCount()).toBe(3);
  // The board itself leaves alone what is younger than five seconds.
  await ask('put /api/queues/:queueName/clean/:queueStatus', { queueStatus: 'completed' });
  expect(await queue.getCompletedCount()).toBe(3);
  await new BullMQAdapter(queue as never).clean('completed', 0);
  expect(await queue.getCompletedCount()).toBe(0);
});

test('adds, pauses, resumes, limits, empties and obliterates', async () => {
  const added = await ask(
    'post /api/queues/:queueName/add',
    {},
    { body: { name: 'new', data: { a: 1 }, options: {} } },
  );
  expect(added.status ?? 200).toBe(200);
  expect((await queue.getWaiting()).map((job) => job.data)).toEqual([{ a: 1 }]);
  await ask('put /api/queues/:queueName/pause');
  expect(await queue.isPaused()).toBe(true);
  await ask('put /api/queues/:queueName/resume');
  expect(await queue.isPaused()).toBe(false);
  await ask('put /api/queues/:queueName/concurrency', {}, { body: { concurrency: 7 } });
  expect(await queue.getGlobalConcurrency()).toBe(7);
  await ask('put /api/queues/:queueName/empty');
  expect(await queue.count()).toBe(0);
  await queue.add('a', {});
  await queue.pause();
  await ask('put /api/queues/:queueName/obliterate', {}, { body: { force: true } });
  expect(await queue.getJobCounts()).toMatchObject({ waiting: 0 });
});

test('shows job schedulers, changes, runs and removes them', async () => {
  await queue.upsertJobScheduler('tick', { every: 60_000 }, { name: 'tick', data: { a: 1 }, opts: { attempts: 2 } });
  const { body } = await ask('get /api/job-schedulers');
  expect(JSON.stringify(body)).toContain('"tick"');
  await ask(
    'patch /api/queues/:queueName/job-schedulers/:schedulerId',
    { schedulerId: 'tick' },
    { body: { every: 120_000 } },
  );
  expect(await queue.getJobScheduler('tick')).toMatchObject({ every: 120_000, template: { data: { a: 1 } } });
  await ask('put /api/queues/:queueName/job-schedulers/:schedulerId/run', { schedulerId: 'tick' });
  await waitFor(async () => (await queue.getJobs(['waiting', 'delayed'])).some((job) => !job.id.startsWith('repeat:')));
  await ask('put /api/queues/:queueName/job-schedulers/:schedulerId/remove', { schedulerId: 'tick' });
  expect(await queue.getJobSchedulersCount()).toBe(0);
});
