// Producers, workers, readers and administrators of both packages on one Redis, in both directions at once.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { BullmqBench } from '../../helpers/bullmq-bench.js';
import { RedisServer } from '../../helpers/redis-server.js';
import { uniquePrefix } from '../../helpers/unique-prefix.js';
import { waitFor } from '../../helpers/wait-for.js';

let server: RedisServer;
let bench: BullmqBench;
let name: string;

beforeAll(async () => {
  server = await RedisServer.start();
});

beforeEach(() => {
  bench = new BullmqBench(server);
  name = uniquePrefix('mixed');
});

afterEach(() => bench.close());

afterAll(() => server.stop());

/** Both queues of one name, in either order of roles. */
const pairs = () => {
  const [ours, theirs] = [bench.queue(name), bench.stockQueue(name)];
  return [
    [ours, theirs],
    [theirs, ours],
  ] as [any, any][];
};

describe('20,000 jobs', () => {
  const JOBS = 20_000;

  test('from both kinds of producers, by both kinds of workers: none lost, none finished twice, all agree', async () => {
    const [ours, theirs] = [bench.queue(name), bench.stockQueue(name)];
    const runs = new Uint8Array(JOBS);
    const by = { ours: 0, stock: 0 };
    const run = (who: keyof typeof by) => async (job: { data: number; attemptsMade: number }) => {
      by[who]++;
      // Some fail once: their next attempt goes to whoever comes first.
      if (job.data % 97 === 0 && job.attemptsMade === 0) throw new Error('once');
      runs[job.data] = (runs[job.data] ?? 0) + 1;
      return job.data;
    };
    bench.worker(name, run('ours') as never, { concurrency: 20 });
    bench.stockWorker(name, run('stock') as never, { concurrency: 20 });
    const heard = new Set<string>();
    const heardByStock = new Set<string>();
    const events = await bench.events(name);
    const stockEvents = await bench.stockEvents(name);
    events.on('completed', ({ jobId }) => void heard.add(jobId));
    stockEvents.on('completed', ({ jobId }) => void heardByStock.add(jobId));
    const pausing = (async () => {
      for (let round = 0; round < 6; round++) {
        const queue = round % 2 === 0 ? ours : theirs;
        await queue.pause();
        await new Promise((resolve) => setTimeout(resolve, 20));
        await (round % 3 === 0 ? theirs : ours).resume();
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
    })();
    const job = (data: number) => ({
      name: `n${data % 5}`,
      data,
      opts: {
        attempts: 3,
        ...(data % 11 === 0 ? { priority: 1 + (data % 7) } : {}),
        ...(data % 13 === 0 ? { delay: data % 300 } : {}),
      },
    });
    for (let from = 0; from < JOBS; from += 1000) {
      const jobs = Array.from({ length: 1000 }, (_, index) => job(from + index));
      await Promise.all([ours.addBulk(jobs.slice(0, 500)), theirs.addBulk(jobs.slice(500))]);
    }
    await pausing;
    await waitFor(async () => (await ours.getCompletedCount()) === JOBS, { timeoutMs: 150_000 });
    expect([...runs].filter((count) => count !== 1)).toEqual([]);
    expect(by.ours).toBeGreaterThan(0);
    expect(by.stock).toBeGreaterThan(0);
    const counts = await ours.getJobCounts();
    expect(await theirs.getJobCounts()).toEqual(counts);
    expect(counts).toEqual({
      active: 0,
      completed: JOBS,
      delayed: 0,
      failed: 0,
      prioritized: 0,
      waiting: 0,
      'waiting-children': 0,
    });
    await waitFor(() => heard.size === JOBS && heardByStock.size === JOBS, { timeoutMs: 30_000 });
    const page = (queue: any) =>
      queue.getJobs(['completed'], 100, 199).then((jobs: any[]) => jobs.map((one) => one.asJSON()));
    expect(await page(ours)).toEqual(await page(theirs));
  }, 240_000);
});

test('deduplication holds across both: once, for a time, replaced, extended', async () => {
  for (const [one, other] of pairs()) {
    const id = uniquePrefix('dedup');
    const first = await one.add('a', { n: 1 }, { deduplication: { id }, delay: 60_000 });
    const second = await other.add('a', { n: 2 }, { deduplication: { id }, delay: 60_000 });
    expect(second.id).toBe(first.id);
    expect(await one.getDeduplicationJobId(id)).toBe(await other.getDeduplicationJobId(id));
    expect(await other.removeDeduplicationKey(id)).toBe(1);
    const third = await other.add('a', { n: 3 }, { deduplication: { id, ttl: 60_000 } });
    expect(third.id).not.toBe(first.id);
    expect((await one.add('a', { n: 4 }, { deduplication: { id, ttl: 60_000 } })).id).toBe(third.id);
    const latest = `${id}-latest`;
    const replaced = await one.add(
      'a',
      { n: 5 },
      { deduplication: { id: latest, ttl: 60_000, replace: true }, delay: 60_000 },
    );
    const taken = await other.add(
      'a',
      { n: 6 },
      { deduplication: { id: latest, ttl: 60_000, replace: true }, delay: 60_000 },
    );
    expect(taken.id).not.toBe(replaced.id);
    expect(await one.getJob(replaced.id)).toBeUndefined();
    expect((await one.getJob(taken.id)).data).toEqual({ n: 6 });
  }
});

test('the last job that came while one ran follows it, whoever ran and whoever added', async () => {
  for (const kind of ['ours', 'stock'] as const) {
    const queue = uniquePrefix('keep-last');
    const [ours, theirs] = [bench.queue(queue), bench.stockQueue(queue)];
    const seen: number[] = [];
    let free = () => {};
    const held = new Promise<void>((resolve) => {
      free = resolve;
    });
    const run = async (job: any) => {
      seen.push(job.data.n);
      if (job.data.n === 1) await held;
    };
    kind === 'ours' ? bench.worker(queue, run) : bench.stockWorker(queue, run);
    const deduplication = { id: 'd', keepLastIfActive: true };
    await ours.add('a', { n: 1 }, { deduplication });
    await waitFor(() => seen.length === 1);
    await theirs.add('a', { n: 2 }, { deduplication });
    await ours.add('a', { n: 3 }, { deduplication });
    free();
    await waitFor(() => seen.length === 2);
    expect(seen).toEqual([1, 3]);
  }
});

test('limits set by either hold for both', async () => {
  for (const [one, other] of pairs()) {
    await one.setGlobalConcurrency(1);
    expect(await other.getGlobalConcurrency()).toBe(1);
    await other.setGlobalRateLimit(5, 1000);
    expect(await one.getGlobalRateLimit()).toEqual({ max: 5, duration: 1000 });
    expect(await one.getMeta()).toMatchObject({ concurrency: 1, max: 5, duration: 1000, paused: false });
    const { version: _mine, ...meta } = await one.getMeta();
    const { version: _theirs, ...same } = await other.getMeta();
    expect(meta).toEqual(same);
    await one.rateLimit(30_000);
    expect(await other.getRateLimitTtl()).toBeGreaterThan(20_000);
    expect(await other.removeRateLimitKey()).toBe(1);
    expect(await one.getRateLimitTtl(1)).toBe(0);
    await one.removeGlobalConcurrency();
    await other.removeGlobalRateLimit();
  }
});

test('a global rate limit bounds workers of both kinds together', async () => {
  const queue = bench.queue(name);
  await queue.setGlobalRateLimit(10, 1000);
  const starts: number[] = [];
  const run = async () => void starts.push(Date.now());
  bench.worker(name, run, { concurrency: 10 });
  bench.stockWorker(name, run, { concurrency: 10, limiter: { max: 10, duration: 1000 } });
  await queue.addBulk(Array.from({ length: 30 }, (_, data) => ({ name: 'a', data })));
  await waitFor(() => starts.length === 30, { timeoutMs: 30_000 });
  // Thirty in windows of a second with ten each: the last window begins two seconds after the first.
  expect(starts.at(-1)! - starts[0]!).toBeGreaterThanOrEqual(1900);
});

test('pause by either stops both kinds, resume by the other lets both go on', async () => {
  for (const [one, other] of pairs()) {
    await one.pause();
    expect(await other.isPaused()).toBe(true);
    await other.add('a', {});
    expect(await one.getWaitingCount()).toBe(1);
    await other.resume();
    expect(await one.isPaused()).toBe(false);
    await one.drain();
    expect(await other.count()).toBe(0);
  }
});

test('getters of both agree on every state', async () => {
  const [ours, theirs] = [bench.queue(name), bench.stockQueue(name)];
  await ours.addBulk([1, 2, 3, 4, 5].map((n) => ({ name: 'w', data: { n } })));
  await theirs.addBulk([1, 2, 3].map((n) => ({ name: 'p', data: { n }, opts: { priority: n } })));
  await ours.addBulk(
    [1, 2, 3].map((n) => ({ name: 'd', data: { n }, opts: { delay: 60_000 * n, timestamp: 1_000_000 * n } })),
  );
  const first = (await ours.getWaiting(0, 0))[0]!;
  await first.log('one');
  await (await theirs.getJob(first.id))!.log('two');
  const same = async (read: (queue: any) => Promise<unknown>) => {
    const expected = await read(theirs);
    expect(await read(ours), String(read)).toEqual(expected);
    return expected;
  };
  const plain = (jobs: any[]) => jobs.map((job) => job.asJSON());
  for (const [start, end, asc] of [
    [0, -1, false],
    [0, -1, true],
    [1, 2, true],
    [1, 3, false],
  ] as const) {
    for (const state of ['waiting', 'prioritized', 'delayed', 'completed', 'wait'] as const) {
      await same(async (queue) => plain(await queue.getJobs([state], start, end, asc)));
      await same((queue) => queue.getRanges([state], start, end, asc));
    }
    await same((queue) => queue.getJobLogs(first.id, start, end, asc));
  }
  await same(async (queue) => plain(await queue.getWaiting()));
  await same(async (queue) => plain(await queue.getPrioritized(1, 2)));
  await same(async (queue) => plain(await queue.getDelayed()));
  await same((queue) => queue.getJobCounts('wait', 'delayed', 'prioritized', 'active'));
  await same((queue) => queue.getJobCountByTypes('wait', 'delayed'));
  await same((queue) => queue.count());
  await same((queue) => queue.getCountsPerPriority([0, 1, 2, 3, 9]));
  await same((queue) => queue.getDelayedCount(60_000 + 1_000_000 + 1));
  await same((queue) => queue.getDelayedCount(60_000 + 1_000_000));
  await same((queue) => queue.getJobState(first.id));
  await same((queue) => queue.getJobState('nobody'));
  await same((queue) => queue.isMaxed());
  await same((queue) => queue.getMetrics('completed'));
  await same((queue) => queue.exportPrometheusMetrics({ app: 'x' }));
  await same((queue) => queue.getJobSchedulersCount());
});

describe('job schedulers', () => {
  test('made by stock are executed by ours, and the reverse, without a gap or a double', async () => {
    for (const maker of ['ours', 'stock'] as const) {
      const queue = uniquePrefix('schedule');
      const [ours, theirs] = [bench.queue(queue), bench.stockQueue(queue)];
      const runs: string[] = [];
      const run = async (job: any) => void runs.push(job.id);
      const made = maker === 'ours' ? ours : theirs;
      await made.upsertJobScheduler('tick', { every: 150 }, { name: 'tick', data: { a: 1 }, opts: { attempts: 2 } });
      if (maker === 'ours') bench.stockWorker(queue, run);
      else bench.worker(queue, run);
      await waitFor(() => runs.length >= 4);
      // The other kind joins: the slots stay the same, and each has one job.
      if (maker === 'ours') bench.worker(queue, run);
      else bench.stockWorker(queue, run);
      await waitFor(() => runs.length >= 9);
      const slots = runs.map((id) => Number(id.split(':').at(-1)));
      expect(new Set(slots).size).toBe(slots.length);
      const offsets = new Set(slots.slice(1).map((slot) => (slot - slots[1]!) % 150));
      expect([...offsets]).toEqual([0]);
      const { next: _mine, iterationCount, ...mine } = (await ours.getJobScheduler('tick'))!;
      const { next: _theirs, iterationCount: _same, ...stocks } = (await theirs.getJobScheduler('tick'))!;
      expect(mine).toEqual(stocks);
      expect(iterationCount).toBeGreaterThan(8);
      expect(await (maker === 'ours' ? theirs : ours).removeJobScheduler('tick')).toBe(true);
      expect(await ours.getDelayedCount()).toBe(0);
    }
  });

  test('have the same next run, template and slot whoever upserts', async () => {
    for (const repeat of [
      { pattern: '0 0 1 1 *' },
      { pattern: '30 15 10 * * *', tz: 'America/New_York' },
      { pattern: '0 12 * * 5L', tz: 'UTC' },
      { pattern: '0 12 * * 1#2', tz: 'UTC' },
      { pattern: '0 0 1 1 *', startDate: '2035-02-03T00:00:00Z' },
      { pattern: '0 0 1 1 *', limit: 5, endDate: '2035-01-01T00:00:00Z' },
      { every: 86_400_000, startDate: Date.parse('2035-02-03T00:00:00Z') },
    ]) {
      const [ours, theirs] = [bench.queue(uniquePrefix('same')), bench.stockQueue(uniquePrefix('same'))];
      const template = { name: 'n', data: { a: 1 }, opts: { attempts: 3, priority: 2 } };
      const [mine, stocks] = [
        await ours.upsertJobScheduler('s', repeat, template),
        await theirs.upsertJobScheduler('s', repeat, template),
      ];
      expect(mine?.id, JSON.stringify(repeat)).toBe(stocks.id);
      const [scheduler, expected] = [await ours.getJobScheduler('s'), await theirs.getJobScheduler('s')];
      const { offset: _mine, ...rest } = scheduler as any;
      const { offset: _theirs, ...same } = expected as any;
      expect(rest, JSON.stringify(repeat)).toEqual(same);
      const [job, stockJob] = [(await ours.getDelayed())[0]!, (await theirs.getDelayed())[0]!];
      expect((job.opts as { repeat?: object }).repeat).toMatchObject({ count: 1 });
      expect(job).toMatchObject({ name: 'n', data: { a: 1 }, priority: 2, repeatJobKey: 's' });
      expect(Object.keys(job.opts).sort()).toEqual(
        expect.arrayContaining(
          Object.keys(stockJob.opts)
            .filter((key) => key !== 'backoff')
            .sort(),
        ),
      );
    }
  });

  test('an upsert by the other kind takes the place of the pending job, and keeps its slot while the interval stays', async () => {
    for (const [one, other] of pairs()) {
      await one.upsertJobScheduler(
        's',
        { every: 3_600_000, startDate: Date.now() + 60_000 },
        { name: 'a', data: { v: 1 } },
      );
      const slot = (await one.getJobScheduler('s')).next;
      await other.upsertJobScheduler('s', { every: 3_600_000 }, { name: 'b', data: { v: 2 } });
      expect((await one.getJobScheduler('s')).next).toBe(slot);
      const pending = await one.getDelayed();
      expect(pending.map((job: any) => [job.name, job.data])).toEqual([['b', { v: 2 }]]);
      await other.upsertJobScheduler('s', { pattern: '0 0 1 1 *' }, { name: 'c' });
      expect((await one.getDelayed()).map((job: any) => job.name)).toEqual(['c']);
      await one.removeJobScheduler('s');
      expect(await other.getJobSchedulersCount()).toBe(0);
    }
  });

  test('end at their limit, whoever runs them', async () => {
    for (const kind of ['ours', 'stock'] as const) {
      const queue = uniquePrefix('limit');
      const made = kind === 'ours' ? bench.stockQueue(queue) : bench.queue(queue);
      let runs = 0;
      const run = async () => void runs++;
      kind === 'ours' ? bench.worker(queue, run) : bench.stockWorker(queue, run);
      await made.upsertJobScheduler('s', { every: 50, limit: 3 }, { name: 'a' });
      await waitFor(() => runs === 3);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(runs).toBe(3);
      expect(await made.getDelayedCount()).toBe(0);
    }
  });
});

test('workers of both kinds are in the list of ours', async () => {
  const queue = bench.queue(name);
  const one = bench.worker(name, async () => 1, { name: 'mine' });
  const two = bench.stockWorker(name, async () => 1, { name: 'theirs' });
  await Promise.all([one.waitUntilReady(), two.waitUntilReady()]);
  await waitFor(async () => (await queue.getWorkersCount()) === 2);
  const names = (await queue.getWorkers()).map(({ rawname }) => rawname.split(':w:')[1]);
  expect(names.sort()).toEqual(['mine', 'theirs']);
});

test('a worker of ours that asks for it is in the list of stock', async () => {
  const queue = bench.stockQueue(name);
  const one = bench.worker(name, async () => 1, { name: 'seen', visibleToBullmq: true });
  await one.waitUntilReady();
  await waitFor(async () => (await queue.getWorkersCount()) === 1);
  expect((await queue.getWorkers())[0]).toMatchObject({ name });
  expect(await bench.queue(name).getWorkersCount()).toBe(1);
});
