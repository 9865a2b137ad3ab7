import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../ts/job.js';
import { DelayedError, RateLimitError, UnrecoverableError, WaitingError } from '../ts/steering.js';
import { Worker } from '../ts/worker.js';
import { collect, JobBench } from './helpers/job-bench.js';
import { openProbe, type Probe } from './helpers/probe.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;
let redis: Probe;

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
  redis = openProbe(server);
});

afterEach(() => bench.close());

afterAll(async () => {
  await redis.close();
  await server.stop();
});

describe('a job that completes', () => {
  test('gives its result to the worker, to the stored job and to who waits', async () => {
    const queue = bench.queue<{ a: number }, { b: number }>();
    const events = await bench.events(queue.name);
    const job = await queue.add('double', { a: 21 });
    const worker = bench.worker<{ a: number }, { b: number }>(queue.name, async (running, token) => {
      expect(token).toBe(running.token);
      expect(await running.getState()).toBe('active');
      return { b: running.data.a * 2 };
    });
    const [[finished, result, prev]] = (await collect<[Job, unknown, string]>(worker, 'completed', 1)) as [
      [Job, unknown, string],
    ];
    expect([finished.id, result, prev]).toEqual([job.id, { b: 42 }, 'active']);
    expect(finished).toMatchObject({ returnvalue: { b: 42 }, attemptsMade: 1 });
    expect(await job.waitUntilFinished(events, 5_000)).toEqual({ b: 42 });
    const stored = await queue.getJob(job.id);
    expect(stored).toMatchObject({ returnvalue: { b: 42 }, attemptsMade: 1, attemptsStarted: 1 });
    expect(stored!.finishedOn).toBeGreaterThanOrEqual(stored!.processedOn!);
    expect(await job.getState()).toBe('completed');
  });

  test('with undefined has null as result, like any value that JSON knows', async () => {
    const queue = bench.queue();
    const values = [undefined, null, 0, '', false, [], 'text', { deep: [1] }];
    const worker = bench.worker(queue.name, async (job) => values[job.data]);
    const done = collect<[Job, unknown]>(worker, 'completed', values.length);
    const jobs = await queue.addBulk(values.map((_, data) => ({ name: 'v', data })));
    expect((await done).map(([, result]) => result)).toEqual(values);
    for (const [index, { id }] of jobs.entries()) {
      expect((await queue.getJob(id))?.returnvalue).toEqual(
        values[index] ?? (values[index] === undefined ? null : values[index]),
      );
    }
  });

  test.each([
    ['a function', async (job: Job) => job.data],
    ['a function without a promise', (job: Job) => job.data],
    [
      'an object',
      {
        factor: 1,
        async process(this: { factor: number }, job: Job): Promise<number> {
          return job.data * this.factor;
        },
      },
    ],
    [
      'a class',
      class {
        factor = 1;
        async process(job: Job) {
          return job.data * this.factor;
        }
      },
    ],
  ])('may be processed by %s', async (_what, processor) => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, processor as never);
    const done = collect<[Job, unknown]>(worker, 'completed', 1);
    await queue.add('a', 7);
    expect((await done)[0]?.[1]).toBe(7);
  });
});

describe('a job that fails', () => {
  test('keeps reason and stack, and its error reaches listeners', async () => {
    const queue = bench.queue();
    const events = await bench.events(queue.name);
    const error = new TypeError('no such address');
    const worker = bench.worker(queue.name, () => Promise.reject(error));
    const failed = collect<[Job, Error, string]>(worker, 'failed', 1);
    const job = await queue.add('mail', {});
    const [[heard, cause, prev]] = (await failed) as [[Job, Error, string]];
    expect([heard.id, cause, prev]).toEqual([job.id, error, 'active']);
    expect(heard.finishedOn).toBeGreaterThan(0);
    await expect(job.waitUntilFinished(events, 5_000)).rejects.toThrow('no such address');
    const stored = await queue.getJob(job.id);
    expect(stored).toMatchObject({ failedReason: 'no such address', attemptsMade: 1 });
    expect(stored?.stacktrace).toHaveLength(1);
    expect(stored?.stacktrace[0]).toContain('TypeError: no such address');
    expect(stored?.stacktrace[0]).toContain('worker.test.ts');
  });

  test('is tried again as often as it may, with the newest stacks kept', async () => {
    const queue = bench.queue();
    let runs = 0;
    const worker = bench.worker(queue.name, async () => {
      throw new Error(`run ${++runs}`);
    });
    const failed = collect<[Job, Error]>(worker, 'failed', 4);
    const job = await queue.add('a', {}, { attempts: 4, backoff: 5, stackTraceLimit: 2 });
    const all = await failed;
    expect(all.map(([one]) => one.attemptsMade)).toEqual([1, 2, 3, 4]);
    expect(all.map(([one]) => one.finishedOn !== undefined)).toEqual([false, false, false, true]);
    const stored = await queue.getJob(job.id);
    expect(stored?.stacktrace.map((trace) => trace.split('\n')[0])).toEqual(['Error: run 3', 'Error: run 4']);
    expect(runs).toBe(4);
  });

  test('waits longer each time with exponential backoff', async () => {
    const queue = bench.queue();
    const starts: number[] = [];
    const worker = bench.worker(queue.name, async () => {
      starts.push(performance.now());
      throw new Error('again');
    });
    const failed = collect(worker, 'failed', 3);
    await queue.add('a', {}, { attempts: 3, backoff: { type: 'exponential', delay: 100 } });
    await failed;
    expect(starts[1]! - starts[0]!).toBeGreaterThanOrEqual(99);
    expect(starts[2]! - starts[1]!).toBeGreaterThanOrEqual(199);
  });

  test('waits as a custom strategy says, and stops when it says so', async () => {
    const queue = bench.queue();
    const asked: unknown[] = [];
    const worker = bench.worker(
      queue.name,
      async () => {
        throw new Error('again');
      },
      {
        settings: {
          backoffStrategy: (attemptsMade, type, error, job) => {
            asked.push([attemptsMade, type, error.message, (job as Job).id]);
            return attemptsMade === 3 ? -1 : 5;
          },
        },
      },
    );
    const failed = collect<[Job]>(worker, 'failed', 3);
    const job = await queue.add('a', {}, { attempts: 10, backoff: { type: 'mine' } });
    await failed;
    expect(asked).toEqual([1, 2, 3].map((made) => [made, 'mine', 'again', job.id]));
    expect(await job.getState()).toBe('failed');
  });

  test('is tried again after its delay when a strategy fails, which is told', async () => {
    const queue = bench.queue();
    const answers: (() => unknown)[] = [
      () => {
        throw new Error('strategy broke');
      },
      () => 'soon',
    ];
    const worker = bench.worker(queue.name, () => Promise.reject(new Error('again')), {
      settings: { backoffStrategy: () => answers.shift()!() as number },
    });
    const errors = collect<[Error]>(worker, 'error', 2);
    const failed = collect(worker, 'failed', 3);
    await queue.add('a', {}, { attempts: 3, backoff: { type: 'mine', delay: 1 } });
    await failed;
    expect((await errors).map(([error]) => error.message)).toEqual([
      'strategy broke',
      'settings.backoffStrategy gave no number',
    ]);
  });

  test('by UnrecoverableError or discard is not tried again', async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, async (job) => {
      if (job.name === 'discarded') job.discard();
      throw job.name === 'foreign'
        ? Object.assign(new Error('x'), { name: 'UnrecoverableError' })
        : job.name === 'ours'
          ? new UnrecoverableError('x')
          : new Error('x');
    });
    const failed = collect<[Job]>(worker, 'failed', 3);
    const jobs = await queue.addBulk(
      ['ours', 'foreign', 'discarded'].map((name) => ({ name, data: {}, opts: { attempts: 5 } })),
    );
    await failed;
    for (const job of jobs) expect(await job.getState()).toBe('failed');
  });

  test.each([
    ['a string', 'just text', 'just text'],
    ['undefined', undefined, 'undefined'],
    ['an object', { code: 7 }, '{ code: 7 }'],
    ['null', null, 'null'],
  ])('with %s thrown has it as its reason', async (_what, thrown, reason) => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, () => Promise.reject(thrown));
    const failed = collect<[Job, Error]>(worker, 'failed', 1);
    const job = await queue.add('a', {});
    const [[, error]] = (await failed) as [[Job, Error]];
    expect(error).toBeInstanceOf(Error);
    expect(error.cause).toBe(thrown);
    expect((await queue.getJob(job.id))?.failedReason).toBe(reason);
  });

  test('because its result has no JSON form is not run a second time', async () => {
    const queue = bench.queue();
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const results = [
      1n,
      cycle,
      () => 1,
      {
        toJSON: () => {
          throw new Error('not me');
        },
      },
    ];
    let runs = 0;
    const worker = bench.worker(queue.name, async (job) => {
      runs++;
      return results[job.data];
    });
    const failed = collect<[Job, Error]>(worker, 'failed', results.length);
    await queue.addBulk(results.map((_, data) => ({ name: 'a', data, opts: { attempts: 3 } })));
    for (const [, error] of await failed) expect(error).toMatchObject({ code: 'ERR_NOT_SERIALIZABLE' });
    expect(runs).toBe(results.length);
    expect(await queue.getFailedCount()).toBe(results.length);
  });

  test('by its timeout fails the attempt and aborts the signal', async () => {
    const queue = bench.queue();
    let aborted: unknown;
    const worker = bench.worker(queue.name, (_job, _token, signal) => {
      signal?.addEventListener('abort', () => {
        aborted = signal.reason;
      });
      return new Promise(() => undefined);
    });
    const failed = collect<[Job, Error]>(worker, 'failed', 1);
    const job = await queue.add('a', {}, { timeout: 50 });
    const [[, error]] = (await failed) as [[Job, Error]];
    expect(error).toMatchObject({ code: 'ERR_WAIT_TIMED_OUT', details: { jobId: job.id, limit: 50 } });
    expect(aborted).toBe(error);
    expect(await job.getState()).toBe('failed');
    expect((await queue.getJob(job.id))?.opts.timeout).toBe(50);
  });

  test('can be put back, with its attempts or without', async () => {
    const queue = bench.queue();
    let works = false;
    const worker = bench.worker(queue.name, async () => {
      if (!works) throw new Error('not yet');
      return 'done';
    });
    const failed = collect<[Job]>(worker, 'failed', 2);
    const jobs = await queue.addBulk([1, 2].map((data) => ({ name: 'a', data })));
    await failed;
    works = true;
    const completed = collect<[Job]>(worker, 'completed', 2);
    await jobs[0]!.retry('failed', { resetAttemptsMade: true });
    expect(await queue.retryJobs()).toBe(1);
    await completed;
    expect((await queue.getJob(jobs[0]!.id))?.attemptsMade).toBe(1);
    expect((await queue.getJob(jobs[1]!.id))?.attemptsMade).toBe(2);
    await expect(jobs[0]!.retry()).rejects.toMatchObject({ code: 'ERR_JOB_NOT_IN_STATE' });
  });
});

describe('a processor', () => {
  test('reports progress and logs, and changes the data', async () => {
    const queue = bench.queue();
    const events = await bench.events(queue.name);
    const heard: unknown[] = [];
    events.on('progress', ({ jobId, data }) => heard.push([jobId, data]));
    const worker = bench.worker(queue.name, async (job) => {
      expect(job.progress()).toBe(0);
      await job.progress(30);
      expect(job.progress()).toBe(30);
      expect(Number(job.progress)).toBe(30);
      await job.updateProgress({ step: 'last' });
      expect(await job.log('one')).toBe(1);
      expect(await job.log('two')).toBe(2);
      await job.update({ seen: true });
      expect(JSON.parse(JSON.stringify(job)).progress).toEqual({ step: 'last' });
      return 'ok';
    });
    const local: unknown[] = [];
    worker.on('progress', (job, progress) => local.push([job.id, progress]));
    const done = collect(worker, 'completed', 1);
    const job = await queue.add('a', { to: 'ada' });
    await done;
    expect(local).toEqual([
      [job.id, 30],
      [job.id, { step: 'last' }],
    ]);
    await waitFor(() => heard.length === 2);
    expect(heard).toEqual(local);
    const stored = (await queue.getJob(job.id))!;
    expect(stored.data).toEqual({ to: 'ada', seen: true });
    expect(stored.progress()).toEqual({ step: 'last' });
    expect(await queue.getJobLogs(job.id)).toEqual({ logs: ['one', 'two'], count: 2 });
  });

  test('delays its own job without using up an attempt', async () => {
    const queue = bench.queue();
    let runs = 0;
    const worker = bench.worker(queue.name, async (job, token) => {
      if (++runs === 1) {
        await job.moveToDelayed(Date.now() + 150, token);
        throw new DelayedError();
      }
      return runs;
    });
    const done = collect<[Job, unknown]>(worker, 'completed', 1);
    const failures: unknown[] = [];
    worker.on('failed', (...args) => failures.push(args));
    const job = await queue.add('a', {});
    await waitFor(async () => (await job.getState()) === 'delayed');
    const [[finished, result]] = (await done) as [[Job, unknown]];
    expect(result).toBe(2);
    expect(finished.attemptsMade).toBe(1);
    expect(failures).toEqual([]);
  });

  test('puts its own job back to wait', async () => {
    const queue = bench.queue();
    let runs = 0;
    const worker = bench.worker(queue.name, async () => {
      if (++runs < 3) throw runs === 1 ? new WaitingError() : new RateLimitError();
      return runs;
    });
    const done = collect<[Job, unknown]>(worker, 'completed', 1);
    await queue.add('a', {});
    const [[finished, result]] = (await done) as [[Job, unknown]];
    expect(result).toBe(3);
    expect(finished.attemptsMade).toBe(1);
  });

  test('gets no signal unless it asks for one', async () => {
    const queue = bench.queue();
    const seen: unknown[] = [];
    const worker = bench.worker(queue.name, async (...args: unknown[]) => {
      seen.push(args[2]);
    });
    const done = collect(worker, 'completed', 1);
    await queue.add('a', {});
    await done;
    expect(seen).toEqual([undefined]);
  });

  test('that is cancelled hears of it', async () => {
    const queue = bench.queue();
    const worker = bench.worker(
      queue.name,
      (_job, _token, signal) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason));
        }),
    );
    const active = collect<[Job]>(worker, 'active', 1);
    const failed = collect<[Job, Error]>(worker, 'failed', 1);
    const job = await queue.add('a', {});
    await active;
    expect(worker.cancelJob('nobody')).toBe(false);
    expect(worker.cancelJob(job.id, 'the user left')).toBe(true);
    expect((await failed)[0]?.[1].message).toBe('the user left');
  });

  test('that blocks the event loop for longer than the lock does not lose it', async () => {
    const queue = bench.queue();
    let runs = 0;
    const options = { lockDuration: 500, stalledInterval: 200 };
    const lost: unknown[] = [];
    const worker = bench.worker(
      queue.name,
      async () => {
        runs++;
        const end = performance.now() + 1_600;
        while (performance.now() < end);
        return 'done';
      },
      options,
    );
    worker.on('lockRenewalFailed', (ids) => lost.push(ids)).on('stalled', (id) => lost.push(id));
    const done = collect<[Job, unknown]>(worker, 'completed', 1);
    await queue.add('a', {});
    expect((await done)[0]?.[1]).toBe('done');
    expect([runs, lost]).toEqual([1, []]);
  });
});

describe('a worker', () => {
  test('runs so many jobs at once, which may be changed', async () => {
    const queue = bench.queue();
    let running = 0;
    let most = 0;
    const worker = bench.worker(
      queue.name,
      async () => {
        most = Math.max(most, ++running);
        await sleep(15);
        running--;
      },
      { concurrency: 3 },
    );
    const first = collect(worker, 'completed', 30);
    await queue.addBulk(Array.from({ length: 30 }, (_, data) => ({ name: 'a', data })));
    await first;
    expect(most).toBe(3);
    worker.concurrency = 6;
    most = 0;
    const second = collect(worker, 'completed', 30);
    await queue.addBulk(Array.from({ length: 30 }, (_, data) => ({ name: 'a', data })));
    await second;
    expect(most).toBe(6);
    expect(() => {
      worker.concurrency = 0;
    }).toThrowError(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }));
  });

  test('takes jobs by priority, then in order', async () => {
    const queue = bench.queue();
    const order: unknown[] = [];
    await queue.add('a', 'low', { priority: 10 });
    await queue.add('a', 'plain 1');
    await queue.add('a', 'high', { priority: 1 });
    await queue.add('a', 'plain 2');
    await queue.add('a', 'in front', { lifo: true });
    const worker = bench.worker(queue.name, async (job) => void order.push(job.data));
    await collect(worker, 'completed', 5);
    expect(order).toEqual(['in front', 'plain 1', 'plain 2', 'high', 'low']);
  });

  test('keeps to a limit', async () => {
    const queue = bench.queue();
    const starts: number[] = [];
    const worker = bench.worker(queue.name, async () => void starts.push(performance.now()), {
      limiter: { max: 2, duration: 300 },
      concurrency: 10,
    });
    const done = collect(worker, 'completed', 6);
    await queue.addBulk(Array.from({ length: 6 }, (_, data) => ({ name: 'a', data })));
    await done;
    expect(starts[2]! - starts[0]!).toBeGreaterThan(250);
    expect(starts[4]! - starts[0]!).toBeGreaterThan(500);
  });

  test('pauses and resumes by itself, and with its queue', async () => {
    const queue = bench.queue();
    const seen: unknown[] = [];
    const worker = bench.worker(queue.name, async (job) => void seen.push(job.data));
    const heard: string[] = [];
    worker.on('paused', () => heard.push('paused')).on('resumed', () => heard.push('resumed'));
    await worker.waitUntilReady();
    await worker.pause();
    expect(worker.isPaused()).toBe(true);
    await queue.add('a', 1);
    await sleep(100);
    expect(seen).toEqual([]);
    await worker.resume();
    await waitFor(() => seen.length === 1);
    await queue.pause();
    await queue.add('a', 2);
    await sleep(100);
    expect(seen).toEqual([1]);
    await queue.resume();
    await waitFor(() => seen.length === 2);
    await waitFor(() => heard.length === 2);
    expect(heard).toEqual(['paused', 'resumed']);
  });

  test('starts with run() when autorun is off, once', async () => {
    const queue = bench.queue();
    await queue.add('a', 1);
    const worker = bench.worker(queue.name, async () => 1, { autorun: false, concurrency: 2 });
    expect(worker.isRunning()).toBe(false);
    await sleep(50);
    expect(await queue.getWaitingCount()).toBe(1);
    worker.concurrency = 4;
    const done = collect(worker, 'completed', 1);
    const ended = worker.run();
    await done;
    expect(worker.isRunning()).toBe(true);
    await expect(worker.run()).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    await worker.close();
    await ended;
  });

  test('says when it starts, idles, closes', async () => {
    const queue = bench.queue();
    const heard: string[] = [];
    const worker = new Worker(queue.name, async () => 1, { connection: bench.connection });
    for (const event of ['ready', 'active', 'completed', 'drained', 'closing', 'closed'] as const) {
      worker.on(event, () => heard.push(event));
    }
    await worker.waitUntilReady();
    const done = collect(worker, 'completed', 1);
    await queue.add('a', 1);
    await done;
    await waitFor(() => heard.includes('drained'));
    await worker.close();
    expect(heard.filter((event) => event !== 'drained')).toEqual(['ready', 'active', 'completed', 'closing', 'closed']);
  });

  test('takes over what a worker that died was running', async () => {
    const queue = bench.queue();
    const options = { lockDuration: 300, stalledInterval: 150 };
    const dying = bench.worker(queue.name, () => new Promise(() => undefined), options);
    const job = await queue.add('a', {});
    await waitFor(async () => (await job.getState()) === 'active');
    await dying.close(true);
    const heir = bench.worker(queue.name, async () => 'inherited', options);
    const stalled = collect<[string]>(heir, 'stalled', 1);
    const done = collect<[Job, unknown]>(heir, 'completed', 1);
    expect((await stalled)[0]?.[0]).toBe(job.id);
    const [[finished, result]] = (await done) as [[Job, unknown]];
    expect([finished.id, result, finished.stalledCounter]).toEqual([job.id, 'inherited', 1]);
  });

  test('fails a job that stalled too often without running it', async () => {
    const queue = bench.queue();
    const job = await queue.add('a', {});
    const options = { lockDuration: 300, stalledInterval: 150, maxStalledCount: 0 };
    const dying = bench.worker(queue.name, () => new Promise(() => undefined), options);
    await waitFor(async () => (await job.getState()) === 'active');
    await dying.close(true);
    let runs = 0;
    const heir = bench.worker(queue.name, async () => void runs++, options);
    const [[failed, error]] = (await collect<[Job, Error]>(heir, 'failed', 1)) as [[Job, Error]];
    expect(failed.id).toBe(job.id);
    expect(error.message).toBe('job stalled more than allowable limit');
    await waitFor(async () => (await job.getState()) === 'failed');
    expect(runs).toBe(0);
  });

  test('that loses a lock aborts the job and reports that its outcome came too late', async () => {
    const queue = bench.queue();
    let reason: any;
    const worker = bench.worker(
      queue.name,
      async (_job, _token, signal) => {
        await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        reason = signal?.reason;
        return 'too late';
      },
      { lockDuration: 400 },
    );
    const lost = collect<[string[]]>(worker, 'lockRenewalFailed', 1);
    const errors = collect<[Error]>(worker, 'error', 1);
    const job = await queue.add('a', {});
    await waitFor(async () => (await job.getState()) === 'active');
    await redis.call('set', `bull:${queue.name}:${job.id}:lock`, 'somebody else');
    expect((await lost)[0]?.[0]).toEqual([job.id]);
    expect((await errors)[0]?.[0]).toMatchObject({ code: 'ERR_JOB_LOCK_LOST' });
    expect(reason).toMatchObject({ code: 'ERR_JOB_LOCK_LOST', details: { jobId: job.id } });
  });

  test('goes on when a listener throws, and tells it as an error', async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, async () => 1);
    const errors: string[] = [];
    worker.on('error', (error) => errors.push(error.message));
    worker.on('completed', () => {
      throw new Error('in a listener');
    });
    worker.on('completed', async () => {
      throw new Error('in an async listener');
    });
    const done = collect(worker, 'completed', 2);
    await queue.add('a', 1);
    await queue.add('a', 2);
    await done;
    await waitFor(() => errors.length === 4);
    expect(errors.sort()).toEqual(['in a listener', 'in a listener', 'in an async listener', 'in an async listener']);
  });

  test('without an error listener warns once and lives', async () => {
    const queue = bench.queue();
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    const worker = bench.worker(queue.name, async () => 1);
    worker.on('active', () => {
      throw new Error('unheard');
    });
    const done = collect(worker, 'completed', 2);
    await queue.addBulk([1, 2].map((data) => ({ name: 'a', data })));
    await done;
    await sleep(10);
    process.off('warning', note);
    expect(warnings.filter(({ message }) => message.includes('unheard'))).toHaveLength(1);
  });
});

describe('closing', () => {
  test('waits for running jobs and stores their outcomes', async () => {
    const queue = bench.queue();
    const worker = bench.worker(
      queue.name,
      async (job) => {
        await sleep(150);
        return job.data;
      },
      { concurrency: 2 },
    );
    const active = collect(worker, 'active', 2);
    const jobs = await queue.addBulk([1, 2, 3].map((data) => ({ name: 'a', data })));
    await active;
    await Promise.all([worker.close(), worker.close()]);
    await worker.close();
    expect(await Promise.all(jobs.map((job) => job.getState()))).toEqual(['completed', 'completed', 'waiting']);
    expect((await queue.getJob(jobs[0]!.id))?.returnvalue).toBe(1);
  });

  test('gives up waiting after closeTimeout, or by a second, forced call', async () => {
    const queue = bench.queue();
    const hang = () => new Promise<never>(() => undefined);
    const limited = bench.worker(queue.name, hang, { closeTimeout: 100 });
    await queue.add('a', 1);
    await waitFor(async () => (await queue.getActiveCount()) === 1);
    const start = performance.now();
    await limited.close();
    expect(performance.now() - start).toBeLessThan(2_000);
    const patient = bench.worker(queue.name, hang);
    await queue.add('a', 2);
    await waitFor(async () => (await queue.getActiveCount()) === 2);
    const closing = patient.close();
    await patient.close(true);
    await closing;
  });

  test('leaves nothing usable', async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, async () => 1);
    await worker.close();
    expect(worker.isRunning()).toBe(false);
    await expect(worker.pause()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(worker.run()).rejects.toMatchObject({ code: expect.stringMatching(/ERR_/) });
  });

  test('without a server ends', async () => {
    const own = await RedisServer.start();
    const worker = new Worker(uniquePrefix('gone'), async () => 1, { connection: { url: own.url } });
    worker.on('error', () => undefined);
    await worker.waitUntilReady();
    await own.stop();
    await worker.close();
  });
});

describe('bad input', () => {
  test.each([
    ['concurrency', { concurrency: 0 }],
    ['concurrency', { concurrency: 'x' }],
    ['limiter.max', { limiter: { max: 0, duration: 1 } }],
    ['lockDuration', { lockDuration: -1 }],
    ['concurency', { concurency: 5 }],
    ['autorun', { autorun: 'no' }],
    ['settings.backofStrategy', { settings: { backofStrategy: () => 1 } }],
    ['settings.backoffStrategy', { settings: { backoffStrategy: 5 } }],
    ['closeTimeout', { closeTimeout: -1 }],
    ['removeOnComplete', { removeOnComplete: 'x' }],
    ['hots', { connection: { hots: 1 } }],
  ])('option %s of %j is refused', (option, options) => {
    expect(() => new Worker('w', async () => 1, options as never)).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: expect.objectContaining({ option }) }),
    );
  });

  test.each([[undefined], [5], ['./processor.js'], [{}], [{ process: 5 }]])('%j is no processor', (processor) => {
    expect(() => new Worker('w', processor as never, { connection: { url: server.url } })).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
    );
  });
});
