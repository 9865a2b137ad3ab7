// Jobs that are fetched and finished without a processor.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Job } from '../ts/job.js';
import { DelayedError, UnrecoverableError } from '../ts/steering.js';
import type { Worker } from '../ts/worker.js';
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

const now = { block: false };

async function fetched(worker: Worker, token = 't'): Promise<Job> {
  const job = await worker.getNextJob(token);
  expect(job?.token).toBe(token);
  return job!;
}

test('jobs are fetched, completed and fetched again with one token', async () => {
  const queue = bench.queue();
  const worker = bench.worker(queue.name, null, { name: 'hands' });
  const active: string[] = [];
  worker.on('active', ({ id }) => void active.push(id));
  expect(await worker.getNextJob('t', now)).toBeUndefined();
  await queue.addBulk([1, 2].map((n) => ({ name: 'a', data: { n } })));
  const first = await fetched(worker);
  expect(first).toMatchObject({ data: { n: 1 }, attemptsStarted: 1 });
  expect((await queue.getJob(first.id))?.processedBy).toBe('hands');
  const next = await first.moveToCompleted({ done: 1 }, 't');
  expect(first).toMatchObject({ returnvalue: { done: 1 }, attemptsMade: 1, finishedOn: expect.any(Number) });
  expect(next).toEqual([expect.objectContaining({ name: 'a', data: '{"n":2}' }), expect.any(String), 0, 0]);
  const [json, id] = next;
  const second = Job.fromJSON(worker, json!, id as string);
  expect(await second.getState()).toBe('active');
  expect(await second.moveToCompleted(null, 't')).toEqual([null, 0, 0, 0]);
  expect(await queue.getCompletedCount()).toBe(2);
  expect(await first.moveToCompleted(1, 't').catch((error) => error)).toMatchObject({ code: 'ERR_JOB_LOCK_LOST' });
  expect(active).toEqual([first.id]);
});

test('failures are retried by the options of the job, and then end it', async () => {
  const queue = bench.queue();
  const worker = bench.worker(queue.name, null, { settings: { backoffStrategy: () => 40_000 } });
  const job = await queue.add('a', {}, { attempts: 2 });
  let taken = await fetched(worker);
  expect(await taken.moveToFailed(new Error('one'), 't')).toEqual([]);
  expect(taken).toMatchObject({ attemptsMade: 1, failedReason: 'one', finishedOn: undefined });
  expect(await job.getState()).toBe('waiting');
  taken = await fetched(worker);
  expect(await taken.moveToFailed(new Error('two'), 't', true)).toEqual([null, 0, 0, 0]);
  expect((await queue.getJob(job.id))?.stacktrace).toHaveLength(2);
  expect(await job.getState()).toBe('failed');

  const hopeless = await queue.add('b', {}, { attempts: 9 });
  await (await fetched(worker)).moveToFailed(new UnrecoverableError('never'), 't');
  expect(await hopeless.getState()).toBe('failed');
  const strange = await queue.add('c', {}, { attempts: 9, backoff: { type: 'own' } });
  taken = await fetched(worker);
  await taken.moveToFailed(new Error('later'), 't');
  expect([await strange.getState(), taken.delay]).toEqual(['delayed', 40_000]);
});

test('jobs are moved at once', async () => {
  const [queue, others] = [bench.queue(), bench.queue()];
  const worker = bench.worker(queue.name, null);
  const job = await queue.add('a', {});
  await (await fetched(worker)).moveToDelayed(Date.now() + 60_000, 't');
  expect(await job.getState()).toBe('delayed');
  await job.promote();
  expect(await (await fetched(worker)).moveToWait('t')).toBe(0);
  expect(await job.getState()).toBe('waiting');
  const parent = await fetched(worker);
  expect(await parent.moveToWaitingChildren('t')).toBe(false);
  const child = await others.add('child', {}, { parent: { id: job.id, queue: job.queueQualifiedName } });
  await expect(parent.moveToCompleted(1, 't')).rejects.toMatchObject({ code: 'ERR_JOB_HAS_CHILDREN' });
  expect(await parent.moveToWaitingChildren('t', { child: { id: 'x', queue: 'bull:y' } })).toBe(false);
  const asked = { child: { id: child.id, queue: others.qualifiedName } };
  await expect(parent.moveToWaitingChildren('other', asked)).rejects.toMatchObject({ code: 'ERR_JOB_LOCK_LOST' });
  expect(await parent.moveToWaitingChildren('t', asked)).toBe(true);
  expect(await job.getState()).toBe('waiting-children');
  expect((await queue.getJob(job.id))?.attemptsMade).toBe(0);
  await expect(job.moveToDelayed(5)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
});

test('a lock is held by whoever has its token, and as long as it is renewed', async () => {
  const queue = bench.queue();
  const worker = bench.worker(queue.name, null, { lockDuration: 60_000 });
  const job = await queue.add('a', {});
  const taken = await fetched(worker, 'mine');
  await expect(taken.moveToCompleted(1, 'other')).rejects.toMatchObject({ code: 'ERR_JOB_LOCK_LOST' });
  expect(await taken.extendLock('mine', 50_000)).toBe(1);
  expect(await taken.extendLock('other', 50_000)).toBe(0);
  expect(await worker.extendJobLocks([job.id, 'gone'], ['mine', 'mine'], 50_000)).toEqual(['gone']);
  await expect(taken.extendLock('mine', 0)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  expect(await worker.extendJobLocks([], [], 50_000)).toEqual([]);
  await taken.moveToCompleted('fine', 'mine', false);
  expect((await queue.getJob(job.id))?.returnvalue).toBe('fine');
});

test('a fetch waits for a job, up to drainDelay, or until the worker closes', async () => {
  const queue = bench.queue();
  const worker = bench.worker(queue.name, null, { drainDelay: 60 });
  const waiting = worker.getNextJob('t');
  await queue.waitUntilReady();
  const added = await queue.add('a', {}, { delay: 30 });
  expect((await waiting)?.id).toBe(added.id);
  const hasty = bench.worker(queue.name, null, { drainDelay: 0.05 });
  expect(await hasty.getNextJob('t')).toBeUndefined();
  const last = worker.getNextJob('t');
  await worker.ping();
  await worker.close();
  expect(await last).toBeUndefined();
  expect(await worker.getNextJob('t')).toBeUndefined();

  const paused = bench.worker(queue.name, null);
  const told: string[] = [];
  for (const event of ['paused', 'resumed'] as const) paused.on(event, () => void told.push(event));
  await paused.pause();
  await queue.add('b', {});
  expect([await paused.getNextJob('t'), paused.isPaused()]).toEqual([undefined, true]);
  await paused.resume();
  expect((await paused.getNextJob('t'))?.name).toBe('b');
  expect(told).toEqual(['paused', 'resumed']);
});

test('jobs whose worker died come back when their stalled check was started', async () => {
  const queue = bench.queue();
  const worker = bench.worker(queue.name, null, { lockDuration: 100, stalledInterval: 100 });
  const job = await queue.add('a', {});
  await fetched(worker);
  const stalled = collect<[string]>(worker, 'stalled', 1);
  await worker.startStalledCheckTimer();
  await worker.startStalledCheckTimer();
  expect(await stalled).toEqual([[job.id, 'active']]);
  expect((await fetched(worker)).id).toBe(job.id);
});

test('a rate limit is waited for', async () => {
  const queue = bench.queue();
  const worker = bench.worker(queue.name, null, { limiter: { max: 1, duration: 200 } });
  await queue.addBulk([1, 2].map((data) => ({ name: 'a', data })));
  const first = await fetched(worker);
  const next = await first.moveToCompleted(1, 't');
  expect(next[0]).toBeNull();
  expect(next[2]).toBeGreaterThan(0);
  expect(await worker.getNextJob('t', now)).toBeUndefined();
  expect((await worker.getNextJob('t'))?.data).toBe(2);
});

test('processJob runs the processor of a worker that does not run', async () => {
  const queue = bench.queue();
  const worker = bench.worker(
    queue.name,
    async (job) => {
      if (job.name === 'fail') throw new Error('failed');
      if (job.name === 'delay') {
        await job.moveToDelayed(Date.now() + 60_000);
        throw new DelayedError();
      }
      await waitFor(async () => Number(await job.extendLock(job.token!, 100)) === 1);
      return `did ${job.name}`;
    },
    { autorun: false, lockDuration: 150 },
  );
  const told: unknown[] = [];
  worker.on('completed', (job, result) => void told.push([job.name, result]));
  worker.on('failed', (job, error) => void told.push([job!.name, error.message]));
  const jobs = await queue.addBulk(['one', 'fail', 'delay', 'last'].map((name) => ({ name, data: {} })));
  let job = await worker.getNextJob('t');
  while (job) job = await worker.processJob(job, 't', () => job?.name !== 'last');
  expect(told).toEqual([
    ['one', 'did one'],
    ['fail', 'failed'],
    ['last', 'did last'],
  ]);
  expect(await Promise.all(jobs.map((one) => one.getState()))).toEqual(['completed', 'failed', 'delayed', 'completed']);
});

test('a worker without a processor does not run', async () => {
  const queue = bench.queue();
  const worker = bench.worker(queue.name, null);
  await expect(worker.run()).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  expect(worker.isRunning()).toBe(false);
  await queue.add('a', {});
  const job = await fetched(worker);
  await expect(worker.processJob(job, 't')).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
});

test('the series of a scheduler goes on with jobs that are fetched by hand', async () => {
  const queue = bench.queue();
  await queue.upsertJobScheduler('tick', { every: 50 }, { name: 'tick' });
  const worker = bench.worker(queue.name, null);
  const first = await fetched(worker);
  await first.moveToCompleted(1, 't', false);
  const second = await fetched(worker);
  expect([first.repeatJobKey, second.repeatJobKey]).toEqual(['tick', 'tick']);
  expect(second.id).not.toBe(first.id);
});
