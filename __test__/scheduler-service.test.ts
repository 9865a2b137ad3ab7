import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CRON_PATTERNS } from '../ts/cron-patterns.js';
import type { Job } from '../ts/job.js';
import { SchedulerService } from '../ts/scheduler-service.js';
import type { LastRun } from '../ts/types/job-options.js';
import type { SchedulerServiceOptions } from '../ts/types/scheduler-options.js';
import { collect } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
const open: SchedulerService[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((scheduler) => scheduler.close()));
});

afterAll(() => server.stop());

function newScheduler(options: SchedulerServiceOptions = {}): SchedulerService {
  const scheduler = new SchedulerService({ redis: { url: server.url }, prefix: uniquePrefix('p'), ...options });
  open.push(scheduler);
  return scheduler;
}

describe('schedules', () => {
  test('are made once, however often a service starts', async () => {
    const prefix = uniquePrefix('p');
    const jobs = [
      { name: 'clean-up', cron: '0 3 * * *', data: { daysOld: 30 }, description: 'at night' },
      { name: 'health', cron: CRON_PATTERNS.EVERY_5_MINUTES, options: { attempts: 3 } },
    ];
    for (let start = 0; start < 3; start++) await newScheduler({ prefix }).initialize(jobs);
    const found = await newScheduler({ prefix }).getScheduledJobs();
    expect(
      found.map(({ key, name, cron }) => ({ key, name, cron })).sort((a, b) => a.key.localeCompare(b.key)),
    ).toEqual([
      { key: 'clean-up', name: 'clean-up', cron: '0 3 * * *' },
      { key: 'health', name: 'health', cron: '*/5 * * * *' },
    ]);
    const next = found.find(({ key }) => key === 'clean-up')!.next;
    expect(next.getTime()).toBeGreaterThan(Date.now());
    expect([next.getUTCHours(), next.getUTCMinutes(), next.getUTCSeconds()]).toEqual([3, 0, 0]);
  });

  test('follow their time zone', async () => {
    const scheduler = newScheduler();
    await scheduler.upsertScheduledJob('tokyo', '0 9 * * *', {}, { timezone: 'Asia/Tokyo' });
    const [tokyo] = await scheduler.getScheduledJobs();
    // Japan has no summer time: nine there is midnight UTC.
    expect([tokyo!.next.getUTCHours(), tokyo!.timezone]).toEqual([0, 'Asia/Tokyo']);
  });

  test('are changed and removed by name', async () => {
    const scheduler = newScheduler();
    await scheduler.upsertScheduledJob('job', '0 3 * * *', { v: 1 });
    await scheduler.upsertScheduledJob('job', '0 4 * * *', { v: 2 });
    expect(await scheduler.getScheduledJobs()).toMatchObject([{ key: 'job', cron: '0 4 * * *' }]);
    expect(await scheduler.removeScheduledJob('job')).toBe(true);
    expect(await scheduler.removeScheduledJob('job')).toBe(false);
    expect(await scheduler.getScheduledJobs()).toEqual([]);
  });

  test('in any queue are told apart by name and pattern', async () => {
    const scheduler = newScheduler();
    const endDate = new Date(Date.now() + 86_400_000);
    for (const cron of ['0 2 * * *', '0 4 * * *', '0 2 * * *']) {
      await scheduler.addRepeatable({ queue: 'reports', name: 'daily', data: { a: 1 }, cron, options: { endDate } });
    }
    const found = await scheduler.getRepeatableJobs('reports');
    expect(found.map(({ cron }) => cron).sort()).toEqual(['0 2 * * *', '0 4 * * *']);
    expect(found[0]).toMatchObject({ name: 'daily', endDate });
    expect(found[0]!.next).toBeInstanceOf(Date);
    await scheduler.removeRepeatable({ queue: 'reports', name: 'daily', cron: '0 2 * * *' });
    expect((await scheduler.getRepeatableJobs('reports')).map(({ cron }) => cron)).toEqual(['0 4 * * *']);
    expect(await scheduler.getScheduledJobs()).toEqual([]);
  });
});

describe('running', () => {
  test('jobs come at their times, to the processor of their name', async () => {
    const scheduler = newScheduler();
    const times: number[] = [];
    await scheduler.upsertScheduledJob('tick', '* * * * * *', { a: 1 });
    await scheduler.upsertScheduledJob('tock', '', { b: 2 }, { every: 200 });
    const tocks: unknown[] = [];
    scheduler.process('tick', async (job) => {
      times.push(Date.now());
      expect(job.data).toEqual({ a: 1 });
    });
    scheduler.process('tock', async (job) => void tocks.push(job.data));
    await waitFor(() => times.length >= 2 && tocks.length >= 4);
    // Each at the start of a second, and not before it.
    for (const time of times) expect(time % 1_000).toBeLessThan(600);
    expect(Math.floor(times[1]! / 1_000) - Math.floor(times[0]! / 1_000)).toBe(1);
    expect(tocks[0]).toEqual({ b: 2 });
  });

  test('two processes run each of them once', async () => {
    const prefix = uniquePrefix('p');
    const [one, other] = [newScheduler({ prefix }), newScheduler({ prefix })];
    const ran: string[] = [];
    for (const scheduler of [one, other]) {
      await scheduler.initialize([{ name: 'tick', cron: '* * * * * *' }]);
      scheduler.process(async (job) => void ran.push(job.id));
    }
    await waitFor(() => ran.length >= 3);
    expect(new Set(ran).size).toBe(ran.length);
  });

  test('a limit ends the schedule', async () => {
    const scheduler = newScheduler();
    await scheduler.upsertScheduledJob('thrice', '', {}, { every: 50, limit: 3 });
    const ran: string[] = [];
    scheduler.process(async (job) => void ran.push(job.id));
    await waitFor(() => ran.length === 3);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(ran).toHaveLength(3);
  });

  test('failures are tried again and told', async () => {
    const scheduler = newScheduler();
    let runs = 0;
    scheduler.process(async () => {
      if (++runs === 1) throw new Error('first');
      return runs;
    });
    const failed = collect<[Job, Error]>(scheduler, 'failed', 1);
    const completed = collect<[Job, unknown]>(scheduler, 'completed', 1);
    await scheduler.upsertScheduledJob('once', '', {}, { every: 60_000, attempts: 2 });
    expect((await failed)[0]?.[1].message).toBe('first');
    expect((await completed)[0]?.[1]).toBe(2);
  });
});

describe('policies', () => {
  test('the last run is told, with its failure', async () => {
    const scheduler = newScheduler();
    await scheduler.upsertScheduledJob('fails', '', {}, { every: 60_000 });
    scheduler.process(async () => {
      throw new Error('no disk');
    });
    await waitFor(async () => (await scheduler.getScheduledJobs())[0]?.lastRun?.status === 'failed');
    const lastRun = (await scheduler.getScheduledJobs())[0]?.lastRun as LastRun;
    expect(lastRun).toMatchObject({ failedReason: 'no disk', attemptsMade: 1 });
    expect(lastRun.jobId).toBe(`repeat:fails:${lastRun.scheduledFor}`);
    expect(lastRun.finishedAt).toBeGreaterThanOrEqual(lastRun.startedAt);
    await scheduler.upsertScheduledJob('silent', '', {}, { every: 60_000, trackRuns: false });
    await waitFor(async () => (await scheduler.getScheduledJobs()).every(({ next }) => next.getTime() > Date.now()));
    expect((await scheduler.getScheduledJobs()).find(({ key }) => key === 'silent')).not.toHaveProperty('lastRun');
  });

  test('runs of a schedule that must not overlap come one after the other', async () => {
    const scheduler = newScheduler();
    await scheduler.upsertScheduledJob('slow', '', {}, { every: 30, overlap: 'queue' });
    let [running, most, runs] = [0, 0, 0];
    scheduler.process(
      async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 80));
        running -= 1;
        runs += 1;
      },
      { concurrency: 5 },
    );
    await waitFor(() => runs >= 4);
    expect(most).toBe(1);
    expect(await scheduler.getScheduledJobs()).toMatchObject([{ key: 'slow', every: 30 }]);
  });

  test.each([
    [{ missedRuns: 'never' }, 'missedRuns'],
    [{ missedAfter: 5 }, 'repeat.missedAfter'],
    [{ missedRuns: 'skip', maxMissedRuns: 5 }, 'repeat.maxMissedRuns'],
    [{ overlap: 'sometimes' }, 'overlap'],
    [{ every: 100, jitter: 100 }, 'repeat.jitter'],
  ])('%o is refused', async (options, option) => {
    const scheduler = newScheduler();
    const cron = 'every' in options ? '' : '* * * * *';
    await expect(scheduler.upsertScheduledJob('x', cron, {}, options as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
      details: { option },
    });
  });
});

describe('the end', () => {
  test('leaves schedules; twice is safe; nothing works after it', async () => {
    const prefix = uniquePrefix('p');
    const scheduler = newScheduler({ prefix });
    await scheduler.initialize([{ name: 'stays', cron: '0 3 * * *' }]);
    await Promise.all([scheduler.destroy(), scheduler.close()]);
    await expect(scheduler.upsertScheduledJob('x', '0 3 * * *')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(scheduler.getScheduledJobs()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    expect(() => scheduler.process(async () => 1)).toThrowError(expect.objectContaining({ code: 'ERR_CLOSED' }));
    expect(await newScheduler({ prefix }).getScheduledJobs()).toHaveLength(1);
  });
});

describe('bad input', () => {
  test.each([
    ['no pattern', '', undefined],
    ['words', 'every day', undefined],
    ['too many fields', '* * * * * * * *', undefined],
    ['an hour that there is not', '0 25 * * *', undefined],
    ['an unknown time zone', '0 3 * * *', { tz: 'Mars/Olympus' }],
    ['two time zones', '0 3 * * *', { tz: 'UTC', timezone: 'Asia/Tokyo' }],
    ['pattern and interval', '0 3 * * *', { every: 5 }],
    ['an interval of nothing', '', { every: 0 }],
    ['an unknown option', '0 3 * * *', { evry: 5 }],
  ])('%s is refused', async (_what, cron, options) => {
    const scheduler = newScheduler();
    await expect(scheduler.upsertScheduledJob('x', cron, {}, options as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
    });
    expect(await scheduler.getScheduledJobs()).toEqual([]);
  });

  test('unknown options of the service, and names that are none', async () => {
    expect(() => new SchedulerService({ queu: 'x' } as never)).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option: 'queu' } }),
    );
    const scheduler = newScheduler();
    for (const name of ['', 5, undefined]) {
      await expect(scheduler.upsertScheduledJob(name as never, '0 3 * * *')).rejects.toMatchObject({
        code: 'ERR_INVALID_ARGUMENT',
      });
    }
  });
});
