import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DeadLetterQueueService } from '../ts/dead-letter-queue-service.js';
import type { Job } from '../ts/job.js';
import { QueueService } from '../ts/queue-service.js';
import { UnrecoverableError } from '../ts/steering.js';
import { collect, JobBench } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;
const open: QueueService[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((service) => service.close()));
  await bench.close();
});

afterAll(() => server.stop());

function newService(): QueueService {
  const service = new QueueService({ redis: { url: server.url }, prefix: uniquePrefix('p') });
  open.push(service);
  return service;
}

describe('the option deadLetter', () => {
  test('moves a job that failed for good, and redrive brings it back', async () => {
    const [prefix, dead] = [uniquePrefix('p'), 'dead'];
    const queue = bench.queue<{ to: string }>('mail', { prefix, deadLetter: { queue: dead, limit: 10 } });
    const letters = bench.queue(dead, { prefix });
    let works = false;
    const worker = bench.worker(
      'mail',
      async (job) => {
        if (!works) throw new UnrecoverableError(`no mailbox ${job.data.to}`);
        return 'sent';
      },
      { prefix },
    );
    const failed = collect<[Job, Error]>(worker, 'failed', 1);
    const job = await queue.add('welcome', { to: 'ada' }, { attempts: 3 });
    expect((await failed)[0]?.[0]?.finishedOn).toBeGreaterThan(0);
    expect(await queue.getJob(job.id)).toBeUndefined();
    const { letters: found, next } = await letters.getDeadLetters<{ to: string }>({ reason: 'unrecoverable' });
    expect(next).toBeUndefined();
    expect(found[0]?.name).toBe('failed-job');
    expect(found[0]?.data).toMatchObject({
      originalQueue: 'mail',
      originalJobType: 'welcome',
      originalJobId: job.id,
      originalData: { to: 'ada' },
      error: 'no mailbox ada',
      reason: 'unrecoverable',
      attemptsMade: 1,
    });
    expect(new Date(found[0]!.data.failedAt).getTime()).toBeGreaterThan(Date.now() - 60_000);
    works = true;
    const completed = collect<[Job, string]>(worker, 'completed', 1);
    expect(await letters.redriveDeadLetters({ since: new Date(Date.now() - 60_000) })).toEqual({
      redriven: 1,
      skipped: 0,
    });
    const [[again]] = (await completed) as [[Job, string]];
    expect([again.id, again.data, again.opts.attempts]).toEqual([job.id, { to: 'ada' }, 3]);
    expect(await letters.getWaitingCount()).toBe(0);
  });

  test('of a worker holds for jobs that say nothing', async () => {
    const prefix = uniquePrefix('p');
    const queue = bench.queue('mail', { prefix });
    const letters = bench.queue('dead', { prefix });
    bench.worker('mail', () => Promise.reject(new Error('no')), { prefix, deadLetter: 'dead', concurrency: 3 });
    await queue.addBulk([
      { name: 'a', data: 1 },
      { name: 'b', data: 2, opts: { deadLetter: false } },
    ]);
    await waitFor(async () => (await letters.getWaitingCount()) === 1 && (await queue.getFailedCount()) === 1);
    expect((await letters.getDeadLetters()).letters[0]?.data.originalJobType).toBe('a');
  });

  test('a job that runs longer than its timeout says so', async () => {
    const prefix = uniquePrefix('p');
    const queue = bench.queue('mail', { prefix });
    const letters = bench.queue('dead', { prefix });
    bench.worker('mail', () => new Promise(() => undefined), { prefix, deadLetter: 'dead' });
    await queue.add('slow', {}, { timeout: 20 });
    await waitFor(async () => (await letters.getDeadLetters({ reason: 'timeout' })).letters.length === 1);
  });

  test('a job that tells of another one that ran longer than its timeout failed by itself', async () => {
    const prefix = uniquePrefix('p');
    const queue = bench.queue('mail', { prefix });
    const letters = bench.queue('dead', { prefix });
    const other = async () => {
      throw Object.assign(new Error('job 1 in queue q ran longer than its timeout of 5 ms'), {
        code: 'ERR_WAIT_TIMED_OUT',
      });
    };
    bench.worker('mail', other, { prefix, deadLetter: 'dead' });
    await queue.add('quick', {}, { timeout: 60_000 });
    await waitFor(async () => (await letters.getDeadLetters({ reason: 'failed' })).letters.length === 1);
  });

  test.each([
    [{ deadLetter: true }, 'deadLetter'],
    [{ deadLetter: '' }, 'deadLetter.queue'],
    [{ deadLetter: 'a:b' }, 'deadLetter.queue'],
    [{ deadLetter: { queue: 'a', limit: 0 } }, 'deadLetter.limit'],
  ])('%o is refused', async (options, option) => {
    await expect(bench.queue().add('n', {}, options as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
      details: { option },
    });
  });
});

describe('DeadLetterQueueService', () => {
  test('takes failed jobs over, lists them and puts them back', async () => {
    const queues = newService();
    const service = new DeadLetterQueueService(queues);
    let works = false;
    const handled: Promise<void>[] = [];
    queues.registerProcessor('mail', async () => {
      if (!works) throw new Error('ECONNREFUSED');
    });
    queues.on('worker:failed', (job, error) => void handled.push(service.handleFailedJob(job!, error)));
    await queues.addJob({ queue: 'mail', name: 'kept', data: { n: 1 }, options: { attempts: 2 } });
    await queues.addJob({ queue: 'mail', name: 'removed', data: { n: 2 }, options: { removeOnFail: true } });
    await waitFor(async () => (await service.count()) === 2);
    await Promise.all(handled);
    expect(await service.count()).toBe(2);
    const { letters } = await service.list<{ n: number }>({ error: 'REFUSED' });
    expect(letters.map(({ data }) => [data.originalJobType, data.originalData.n, data.attemptsMade]).sort()).toEqual([
      ['kept', 1, 2],
      ['removed', 2, 1],
    ]);
    expect(await queues.getQueue('mail').getFailedCount()).toBe(0);
    works = true;
    // What was only written down has no place to go back to; it is added anew.
    expect(await service.redrive({ queue: 'mail' })).toEqual({ redriven: 1, skipped: 1 });
    const [left] = (await service.list()).letters;
    const job = await service.retryFailedJob(left!);
    expect([job.name, job.opts.attempts, job.opts.priority]).toEqual(['removed', 1, 10]);
    await waitFor(async () => (await queues.getQueueMetrics('mail')).completed === 2);
  });

  test('refuses what is no letter, and unknown options', async () => {
    const service = new DeadLetterQueueService(newService());
    await expect(service.retryFailedJob({} as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    await expect(service.list({ resaon: 'x' } as never)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
    await expect(service.list({}, { limit: 0 })).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    expect(() => new DeadLetterQueueService(newService(), { que: 'x' } as never)).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION' }),
    );
  });
});
