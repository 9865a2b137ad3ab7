import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { GroupMaxSizeExceededError, OverloadedError } from '../ts/errors.js';
import type { Job } from '../ts/job.js';
import { RateLimitError } from '../ts/steering.js';
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

const of = (id: string) => ({ group: { id } });

describe('groups', () => {
  test('take turns, whoever adds most', async () => {
    const queue = bench.queue<number>();
    await queue.addBulk([1, 2, 3].map((data) => ({ name: 'greedy', data, opts: of('greedy') })));
    await queue.add('modest', 4, of('modest'));
    await queue.add('alone', 5);
    expect(await queue.getJobCounts('waiting')).toEqual({ waiting: 5 });
    expect(await queue.getGroupsJobsCount()).toBe(4);
    expect((await queue.getGroups()).map(({ id, waiting, status }) => [id, waiting, status])).toEqual([
      ['modest', 1, 'waiting'],
      ['greedy', 3, 'waiting'],
    ]);
    const order: number[] = [];
    bench.worker<number>(queue.name, async (job) => void order.push(job.data));
    await waitFor(() => order.length === 5);
    expect(order).toEqual([5, 1, 4, 2, 3]);
    expect(await queue.getGroups()).toEqual([]);
  });

  test('have priorities of their own', async () => {
    const queue = bench.queue();
    for (const priority of [5, 0, 2, 5]) await queue.add(`p${priority}`, {}, { group: { id: 'g', priority } });
    expect(await queue.getCountsPerPriorityForGroup('g', [0, 2, 5, 7])).toEqual({ 0: 1, 2: 1, 5: 2, 7: 0 });
    expect((await queue.getGroupJobs('g', 0, 1)).map(({ name }) => name)).toEqual(['p0', 'p2']);
    expect(await queue.getGroupJobsCount('g')).toBe(4);
    expect(await queue.getCountsPerPriorityForGroup('g', [])).toEqual({});
  });

  test('hold for the jobs of flows, and for those of job schedulers', async () => {
    const queue = bench.queue<string>();
    await queue.setGroupConcurrency('g', 1);
    await queue.setGlobalConcurrency(3);
    const child = (name: string) => ({ name, queueName: queue.name, opts: of('g') });
    await bench.flows().add({ ...child('parent'), children: [child('a'), child('b'), child('c')] });
    await queue.upsertJobScheduler('often', { every: 40, limit: 3 }, { name: 'run', opts: of('g') });
    const order: string[] = [];
    let [running, most] = [0, 0];
    bench.worker<string>(
      queue.name,
      async (job) => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, 15));
        order.push(job.name);
        running -= 1;
      },
      { concurrency: 10 },
    );
    await waitFor(() => order.length === 7);
    expect(most).toBe(1);
    expect(order.filter((name) => name !== 'run')).toEqual(['a', 'b', 'c', 'parent']);
    await expect(
      queue.upsertJobScheduler('full', { every: 1000 }, { opts: { group: { id: 'g', maxSize: 1 } } }),
    ).rejects.toMatchObject({ details: { option: 'group.maxSize' } });
  });

  test('run no more jobs than their concurrency allows', async () => {
    const queue = bench.queue();
    await queue.setGroupConcurrency('wide', 3);
    await queue.addBulk(
      Array.from({ length: 30 }, (_, data) => ({ name: 'n', data, opts: of(data % 3 === 0 ? 'wide' : 'narrow') })),
    );
    const running = { wide: 0, narrow: 0 };
    const most = { wide: 0, narrow: 0 };
    let done = 0;
    for (let worker = 0; worker < 2; worker++) {
      bench.worker(
        queue.name,
        async (job) => {
          const id = job.opts.group!.id as 'wide' | 'narrow';
          most[id] = Math.max(most[id], ++running[id]);
          await new Promise((resolve) => setTimeout(resolve, 15));
          running[id] -= 1;
          done += 1;
        },
        { concurrency: 10, group: { concurrency: 2 } },
      );
    }
    await waitFor(() => done === 30, { timeoutMs: 20_000 });
    expect(most).toEqual({ wide: 3, narrow: 2 });
    expect(await queue.getGroupConcurrency('wide')).toBe(3);
    await queue.setGroupConcurrency('wide', null);
    expect(await queue.getGroupConcurrency('wide')).toBe(2);
    await queue.setGroupLimits({});
    expect(await queue.getGroupConcurrency('wide')).toBeUndefined();
  });

  test('rest when their processor asks for it', async () => {
    const queue = bench.queue();
    const ran: string[] = [];
    let limited = false;
    const worker = bench.worker(queue.name, async (job) => {
      if (job.name === 'a' && !limited) {
        limited = true;
        await worker.rateLimitGroup(job, 300);
        throw new RateLimitError();
      }
      ran.push(job.name);
    });
    await queue.addBulk(['a', 'b'].map((name) => ({ name, data: {}, opts: of(name) })));
    await waitFor(() => ran.length === 1);
    expect(ran).toEqual(['b']);
    expect(await queue.getGroupRateLimitTtl('b')).toBe(0);
    const start = Date.now();
    await waitFor(() => ran.length === 2);
    expect(ran).toEqual(['b', 'a']);
    expect(Date.now() - start).toBeLessThan(5_000);
    await expect(worker.rateLimitGroup(await queue.add('none', {}), 5)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
    });
  });

  test('have a rate', async () => {
    const queue = bench.queue();
    await queue.setGroupRateLimit('fast', 100, 1_000);
    await queue.addBulk(['slow', 'slow', 'fast', 'fast'].map((name) => ({ name, data: {}, opts: of(name) })));
    const worker = bench.worker(queue.name, async () => undefined, {
      concurrency: 5,
      group: { limit: { max: 1, duration: 600 } },
    });
    const done = await collect<[Job]>(worker, 'completed', 3);
    expect(done.map(([job]) => job.name).sort()).toEqual(['fast', 'fast', 'slow']);
    expect(await queue.getGroupRateLimitTtl('slow')).toBeLessThanOrEqual(600);
    await waitFor(async () => (await queue.getCompletedCount()) === 4);
    await queue.removeGroupRateLimit('fast');
  });

  test('can be paused, and refuse jobs when they are full', async () => {
    const queue = bench.queue();
    expect(await queue.pauseGroup('g')).toBe(true);
    expect(await queue.pauseGroup('g')).toBe(false);
    const group = { id: 'g', maxSize: 2 };
    const [first] = await queue.addBulk([1, 2].map((data) => ({ name: 'n', data, opts: { group } })));
    const refused = queue.add('n', 3, { group });
    await expect(refused).rejects.toBeInstanceOf(GroupMaxSizeExceededError);
    await expect(refused).rejects.toBeInstanceOf(OverloadedError);
    await expect(refused).rejects.toMatchObject({ code: 'ERR_GROUP_MAX_SIZE_EXCEEDED' });
    expect(await first!.getState()).toBe('waiting');
    const ran: number[] = [];
    bench.worker<number>(queue.name, async (job) => void ran.push(job.data));
    await queue.add('other', 9);
    await waitFor(() => ran.length === 1);
    expect(ran).toEqual([9]);
    expect(await queue.resumeGroup('g')).toBe(true);
    expect(await queue.resumeGroup('g')).toBe(false);
    await waitFor(() => ran.length === 3);
  });

  test.each([
    [{ group: { id: '' } }, 'group.id'],
    [{ group: { id: 'g', maxSize: 0 } }, 'group.maxSize'],
    [{ group: { id: 'g', priority: 1.5 } }, 'group.priority'],
    [{ group: { id: 'g' }, priority: 1 }, 'priority'],
    [{ group: { id: 'x'.repeat(513) } }, 'group.id'],
  ])('%o is refused', async (options, option) => {
    await expect(bench.queue().add('n', {}, options)).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
      details: { option },
    });
  });
});
