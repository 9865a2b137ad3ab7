// Processors that are given as files: in child processes and in worker threads.

import { type ChildProcess, fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../ts/job.js';
import { QueueService } from '../ts/queue-service.js';
import { languageArguments } from '../ts/sandbox/processor-file.js';
import type { WorkerOptions } from '../ts/types/queue-options.js';
import { Worker } from '../ts/worker.js';
import { collect, JobBench } from './helpers/job-bench.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
});

afterEach(() => bench.close());

afterAll(() => server.stop());

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/sandbox/${name}`, import.meta.url));
const LOADER = ['--import', new URL('./fixtures/type-stripper.mjs', import.meta.url).href];

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Runs one job and gives its result, or throws the attempt's error. */
async function runOne(worker: Worker, queue: ReturnType<JobBench['queue']>, name: string, data: unknown, opts = {}) {
  const ended = new Promise<{ job: Job; result?: any; error?: Error }>((resolve) => {
    worker.on('completed', (job, result) => job.name === name && resolve({ job, result }));
    worker.on('failed', (job, error) => job && job.name === name && resolve({ job, error }));
  });
  await queue.add(name, data, opts);
  return ended;
}

describe.each([
  ['child process', {}],
  ['worker thread', { useWorkerThreads: true }],
] as [string, WorkerOptions][])('in a %s', (kind, options) => {
  const isThread = kind === 'worker thread';

  function open(file = 'actions.mjs', more: WorkerOptions = {}) {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, fixture(file), { ...options, ...more });
    return { queue, worker };
  }

  test('a job has its whole interface, and its parent sees what it does', async () => {
    const { queue, worker } = open();
    const heard: unknown[] = [];
    worker.on('progress', (_job, progress) => heard.push(progress));
    const { result, job } = await runOne(worker, queue, 'job', { a: 1 }, { attempts: 3 });
    expect(result).toEqual({
      rows: [1, 2],
      token: 'string',
      state: 'active',
      data: { a: 1, seen: true },
      progress: { step: 2 },
      opts: 3,
      name: 'job',
      queue: queue.name,
      made: 0,
    });
    expect(heard).toEqual([10, { step: 2 }]);
    expect(job.progress.valueOf()).toEqual({ step: 2 });
    expect(job.data).toEqual({ a: 1, seen: true });
    const stored = (await queue.getJob(job.id))!;
    expect(stored).toMatchObject({ data: { a: 1, seen: true }, returnvalue: result });
    expect((await queue.getJobLogs(job.id)).logs).toEqual(['one', 'two']);
  });

  test.each([
    ['function.cjs', 'cjs 7'],
    ['compiled.cjs', 'compiled 7'],
    ['class.mjs', 'class 7'],
    ['function', 'cjs 7'],
  ])('%s is run', async (file, expected) => {
    const { queue, worker } = open(file);
    expect((await runOne(worker, queue, 'a', 7)).result).toBe(expected);
  });

  test('TypeScript is run by a loader', async () => {
    const execArgv = LOADER;
    const { queue, worker } = open(
      'typed.ts',
      isThread ? { workerThreadsOptions: { execArgv } } : { workerForkOptions: { execArgv } },
    );
    expect((await runOne(worker, queue, 'a', { n: 21 })).result).toBe(42);
  });

  test('nothing that is returned is null', async () => {
    const { queue, worker } = open();
    const { job } = await runOne(worker, queue, 'nothing', {});
    expect((await queue.getJob(job.id))?.returnvalue).toBeNull();
  });

  test('as many sandboxes are made as jobs run at once, and used again', async () => {
    const { queue, worker } = open('actions.mjs', { concurrency: 3 });
    const done = collect<[Job, { pid: number; thread?: number; run: number }]>(worker, 'completed', 30);
    await queue.addBulk(Array.from({ length: 30 }, () => ({ name: 'where', data: {} })));
    const results = (await done).map(([, result]) => result);
    const sandboxes = new Set(results.map(({ pid, thread }) => `${pid} ${thread}`));
    expect(sandboxes.size).toBeLessThanOrEqual(3);
    expect(results.every(({ pid }) => (pid === process.pid) === isThread)).toBe(true);
    expect(Math.max(...results.map(({ run }) => run))).toBeGreaterThanOrEqual(10);
  });

  test('an error keeps name, code, fields, cause and its own stack', async () => {
    const { queue, worker } = open();
    const { error, job } = await runOne(worker, queue, 'throw', { message: 'out of range' });
    expect(error).toMatchObject({
      name: 'RangeError',
      message: 'out of range',
      code: 'E_RANGE',
      status: 418,
      cause: { name: 'TypeError', message: 'the cause' },
    });
    expect(error?.stack).toContain('RangeError: out of range');
    expect(error?.stack).toContain('actions.mjs');
    const stored = await queue.getJob(job.id);
    expect(stored?.failedReason).toBe('out of range');
    expect(stored?.stacktrace[0]).toContain('actions.mjs');
  });

  test('what is thrown and is no error becomes one', async () => {
    const { queue, worker } = open();
    expect((await runOne(worker, queue, 'text', {})).error?.message).toBe('just text');
  });

  test('steering errors count by name', async () => {
    const { queue, worker } = open();
    const { job } = await runOne(worker, queue, 'steer', { name: 'UnrecoverableError' }, { attempts: 5 });
    expect([job.attemptsMade, await job.getState()]).toEqual([1, 'failed']);
    const delayed = await runOne(worker, queue, 'delay', {}, { attempts: 1 });
    expect(delayed.result).toBe('later');
    expect(await queue.getJob(delayed.job.id)).toMatchObject({ attemptsMade: 1, attemptsStarted: 2 });
    const discarded = await runOne(worker, queue, 'discard', {}, { attempts: 5 });
    expect(await discarded.job.getState()).toBe('failed');
  });

  test('a job waits for children that were added while it ran, and reads what they gave', async () => {
    const { queue, worker } = open('actions.mjs', { concurrency: 2 });
    worker.on('progress', (job) => queue.add('echo', 'child', { parent: { id: job.id, queue: queue.qualifiedName } }));
    const { result, job } = await runOne(worker, queue, 'children', {});
    expect(result).toEqual({ values: ['child'], counts: expect.objectContaining({ processed: 1, unprocessed: 0 }) });
    expect(job).toMatchObject({ attemptsStarted: 2, attemptsMade: 1 });
  });

  test('a result without a JSON form fails the job for good', async () => {
    const { queue, worker } = open();
    const { error, job } = await runOne(worker, queue, 'bigint', {}, { attempts: 5 });
    expect(error).toMatchObject({ code: 'ERR_NOT_SERIALIZABLE' });
    expect(await job.getState()).toBe('failed');
  });

  test.each([
    ['exit', { code: 3 }, /sandbox that ran job .* ended with exit code 3/],
    ['exit', { code: 0 }, /ended with exit code 0/],
  ])(
    'one that ends in its job (%s %o) fails the attempt, and the next job has a new one',
    async (name, data, reason) => {
      const { queue, worker } = open();
      const { error, job } = await runOne(worker, queue, name, data);
      expect(error).toMatchObject({ name: 'SandboxError', code: 'ERR_SANDBOX_CRASHED' });
      expect(error?.message).toMatch(reason);
      expect((error as unknown as { details: unknown }).details).toMatchObject({ jobId: job.id, queue: queue.name });
      expect((await runOne(worker, queue, 'echo', 'fine')).result).toBe('fine');
    },
  );

  test.each(['uncaught', 'unhandled'])('an error that nobody caught (%s) fails the attempt', async (name) => {
    const { queue, worker } = open();
    const { error } = await runOne(worker, queue, name, {});
    expect(error?.message).toMatch(/nobody (caught|handled) this/);
    expect(error?.stack).toContain('actions.mjs');
    expect((await runOne(worker, queue, 'echo', 'fine')).result).toBe('fine');
  });

  test('one that runs out of memory fails the attempt', async () => {
    const { queue, worker } = open(
      'actions.mjs',
      isThread
        ? { workerThreadsOptions: { resourceLimits: { maxOldGenerationSizeMb: 24 } } }
        : { workerForkOptions: { execArgv: ['--max-old-space-size=24'], silent: true } },
    );
    const { error } = await runOne(worker, queue, 'memory', {});
    expect(error).toMatchObject({ code: 'ERR_SANDBOX_CRASHED' });
    expect(error?.message).toContain('ran out of memory');
    expect((await runOne(worker, queue, 'echo', 'fine')).result).toBe('fine');
  });

  test.each([
    ['broken.mjs', 'SyntaxError', /./],
    ['throws.mjs', 'Error', /cannot be loaded/],
    ['no-default.mjs', 'TypeError', /exports no processor: its default export .* is undefined; allowed: a function/],
  ])('a file that cannot be loaded (%s) fails the attempt with the reason', async (file, name, reason) => {
    const { queue, worker } = open(file);
    const { error, job } = await runOne(worker, queue, 'a', {});
    expect(error?.name).toBe(name);
    expect(error?.message).toMatch(reason);
    expect((await queue.getJob(job.id))?.failedReason).toBe(error?.message);
  });

  test('a timeout ends one that blocks, and one that hangs', async () => {
    const { queue, worker } = open();
    const pids: number[] = [];
    worker.on('progress', (_job, pid) => pids.push(pid as number));
    for (const name of ['block', 'hang']) {
      const { error } = await runOne(worker, queue, name, {}, { timeout: 1500 });
      expect(error).toMatchObject({ name: 'TimeoutError', code: 'ERR_WAIT_TIMED_OUT' });
      expect((await runOne(worker, queue, 'echo', name)).result).toBe(name);
    }
    expect(pids).toHaveLength(2);
    if (!isThread) await waitFor(() => !pids.some(isAlive), { what: 'children ended' });
  });

  test('a timeout holds while the file is loaded too', async () => {
    const { queue, worker } = open('never-loads.mjs');
    const { error } = await runOne(worker, queue, 'a', {}, { timeout: 300 });
    expect(error).toMatchObject({ code: 'ERR_WAIT_TIMED_OUT' });
  });

  test('a timed out processor hears of it and may clean up', async () => {
    const { queue, worker } = open();
    const { error, job } = await runOne(worker, queue, 'cleanUp', {}, { timeout: 1000 });
    expect(error).toMatchObject({ code: 'ERR_WAIT_TIMED_OUT' });
    await waitFor(async () => (await queue.getJobLogs(job.id)).count === 1);
    expect((await queue.getJobLogs(job.id)).logs).toEqual(['cleaned up: ERR_WAIT_TIMED_OUT']);
    expect(await job.getState()).toBe('failed');
  });

  test('cancelJob aborts the signal inside', async () => {
    const { queue, worker } = open();
    worker.on('progress', (job) => worker.cancelJob(job.id, 'not wanted'));
    const { error } = await runOne(worker, queue, 'abortable', {});
    expect(error?.message).toBe('stopped: not wanted');
  });

  test('close waits for the job; close by force does not', async () => {
    const graceful = open();
    const done = collect<[Job, number]>(graceful.worker, 'completed', 1);
    const started = collect(graceful.worker, 'active', 1);
    await graceful.queue.add('slow', { ms: 500 });
    await started;
    await graceful.worker.close();
    const [[, pid]] = (await done) as [[Job, number]];
    if (!isThread) expect(isAlive(pid)).toBe(false);

    const forced = open();
    const running = collect<[Job, number]>(forced.worker, 'progress', 1);
    await forced.queue.add('block', {});
    const [[, blocked]] = (await running) as [[Job, number]];
    await forced.worker.close(true);
    if (!isThread) expect(isAlive(blocked)).toBe(false);
  });
});

describe('child processes', () => {
  test('that are killed fail the attempt, which names the signal', async () => {
    const queue = bench.queue();
    const worker = bench.worker(queue.name, new URL('./fixtures/sandbox/actions.mjs', import.meta.url));
    const { error } = await runOne(worker, queue, 'kill', {});
    expect(error?.message).toContain('was ended by SIGKILL');
  });

  describe.skipIf(inMemory || process.platform === 'win32')('do not outlive their parent', () => {
    const owners: ChildProcess[] = [];
    afterAll(() => {
      for (const owner of owners) owner.kill('SIGKILL');
    });

    test.each(['SIGKILL', 'SIGTERM', 'exit'])('that ends by %s, be they idle, hanging or blocked', async (how) => {
      const queue = bench.queue(uniquePrefix('owned'));
      const owner = fork(new URL('./fixtures/sandbox-owner.mjs', import.meta.url), [
        server.url,
        queue.name,
        fixture('actions.mjs'),
      ]);
      owners.push(owner);
      const pids: number[] = [];
      owner.on('message', (message: { child?: number }) => message.child && pids.push(message.child));
      await queue.addBulk(['block', 'hang', 'echo'].map((name) => ({ name, data: {} })));
      await waitFor(() => pids.length === 2, { timeoutMs: 20_000, what: 'two running children' });
      await waitFor(async () => (await queue.getCompletedCount()) === 1);
      const children = process.platform === 'linux' ? childrenOf(owner.pid!) : pids;
      expect(children).toEqual(expect.arrayContaining(pids));
      if (how === 'exit') owner.send('exit');
      else owner.kill(how as NodeJS.Signals);
      await waitFor(() => !children.some(isAlive), { timeoutMs: 20_000, what: 'children ended' });
    });
  });
});

/** Processes whose parent is `pid`. */
function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}

test('QueueService runs a file, also beside processors of other names', async () => {
  const service = new QueueService({ redis: { url: server.url } });
  try {
    const queue = uniquePrefix('files');
    service.registerProcessor(queue, async () => 'here', { name: 'local' });
    service.registerProcessor(queue, fixture('actions.mjs'), { concurrency: 2 });
    const done = collect<[Job, unknown]>(service, 'worker:completed', 2);
    await service.addJob({ queue, name: 'local', data: {} });
    await service.addJob({ queue, name: 'echo', data: 'there' });
    expect((await done).map(([, result]) => result).sort()).toEqual(['here', 'there']);
  } finally {
    await service.close();
  }
});

describe('what is wrong is refused at once', () => {
  const wrong = (processor: unknown, options: WorkerOptions = {}) => {
    try {
      const worker = new Worker('refused', processor as string, { connection: { url: server.url }, ...options });
      void worker.close(true);
      return undefined;
    } catch (error) {
      return error;
    }
  };

  test.each([
    ['a missing file', fixture('missing.js'), {}, 'ERR_INVALID_ARGUMENT', /missing\.js, which does not exist/],
    ['a folder', fixture('.'), {}, 'ERR_INVALID_ARGUMENT', /does not exist/],
    ['a URL of the web', new URL('https://example.org/a.js'), {}, 'ERR_INVALID_ARGUMENT', /URL of a file/],
    ['a number', 7, {}, 'ERR_INVALID_ARGUMENT', /the path or URL of a file/],
    ['threads for a function', () => 1, { useWorkerThreads: true }, 'ERR_INVALID_OPTION', /no file/],
    [
      'fork options for threads',
      fixture('actions.mjs'),
      { useWorkerThreads: true, workerForkOptions: {} },
      'ERR_INVALID_OPTION',
      /workerThreadsOptions/,
    ],
    [
      'thread options for processes',
      fixture('actions.mjs'),
      { workerThreadsOptions: {} },
      'ERR_INVALID_OPTION',
      /workerForkOptions/,
    ],
  ])('%s', (_what, processor, options, code, message) => {
    const error = wrong(processor, options as WorkerOptions);
    expect(error).toMatchObject({ code });
    expect((error as Error).message).toMatch(message);
  });

  test('TypeScript is refused, stripped or left to a loader, as this Node can', () => {
    const file = new URL('./fixtures/sandbox/typed.ts', import.meta.url);
    expect(languageArguments(file, ['--import', 'tsx'])).toEqual([]);
    expect(languageArguments(file, [], '--import=tsx')).toEqual([]);
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    if (major < 22 || (major === 22 && minor < 6)) {
      expect(() => languageArguments(file, [])).toThrow(
        /TypeScript that Node .* does not run by itself; allowed: .*tsx/,
      );
    } else {
      const isBuiltIn = (process.features as { typescript?: string | false }).typescript;
      expect(languageArguments(file, [])).toEqual(isBuiltIn ? [] : ['--experimental-strip-types']);
    }
  });
});
