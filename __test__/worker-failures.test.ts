// Workers that are stuck, frozen or run for long.

import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../ts/job.js';
import { collect, JobBench } from './helpers/job-bench.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { waitFor } from './helpers/wait-for.js';

/** `OXCART_LONG_TESTS=1` runs the times and numbers that users are promised; the default shows the same in less time. */
const isLong = process.env['OXCART_LONG_TESTS'] === '1';

let server: RedisServer;
let bench: JobBench;
const children: ChildProcess[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await bench.close();
});

afterAll(() => server.stop());

interface Heard {
  ready?: true;
  started?: string;
  completed?: string;
  error?: string;
  stalled?: string;
  lost?: string[];
}

async function stuckWorker(queue: string, what: 'block' | 'wait', ms: number, options: object) {
  const url = new URL('./fixtures/stuck-worker.mjs', import.meta.url);
  const child = fork(url, [server.url, queue, what, String(ms), JSON.stringify(options)]);
  children.push(child);
  const heard: Heard[] = [];
  child.on('message', (message: Heard) => heard.push(message));
  await waitFor(() => heard.some(({ ready }) => ready), { timeoutMs: 30_000 });
  return { child, heard };
}

describe.skipIf(inMemory)('a worker in another process', () => {
  const [blockMs, lockMs] = isLong ? [60_000, 5_000] : [6_000, 1_000];

  test('that blocks its event loop keeps its lock: nothing stalls, nothing runs twice', {
    timeout: blockMs + 60_000,
  }, async () => {
    const queue = bench.queue();
    const { heard } = await stuckWorker(queue.name, 'block', blockMs, { lockDuration: lockMs, stalledInterval: 500 });
    const job = await queue.add('a', {});
    await waitFor(() => heard.some(({ started }) => started === job.id));
    const stalled: string[] = [];
    const ran: string[] = [];
    const other = bench.worker(queue.name, async (one) => void ran.push(one.id), { stalledInterval: 200 });
    other.on('stalled', (id) => stalled.push(id));
    await waitFor(() => heard.some(({ completed }) => completed === job.id), { timeoutMs: blockMs + 30_000 });
    expect([stalled, ran]).toEqual([[], []]);
    expect(heard.filter(({ error, lost, stalled: id }) => error || lost || id)).toEqual([]);
    expect(await queue.getJob(job.id)).toMatchObject({ attemptsStarted: 1, attemptsMade: 1, stalledCounter: 0 });
    expect((await queue.getJob(job.id))?.returnvalue).toBe('block');
  });

  test.skipIf(process.platform === 'win32')(
    'that is frozen past its lock and woken has its late result refused; the job ran once more elsewhere',
    { timeout: 90_000 },
    async () => {
      const queue = bench.queue();
      const events = await bench.events(queue.name);
      const completed: unknown[] = [];
      events.on('completed', ({ returnvalue }) => completed.push(returnvalue));
      const { child, heard } = await stuckWorker(queue.name, 'wait', 500, {
        lockDuration: 1_000,
        stalledInterval: 300,
      });
      const job = await queue.add('a', {}, { attempts: 3 });
      await waitFor(() => heard.some(({ started }) => started === job.id));
      child.kill('SIGSTOP');
      const other = bench.worker(queue.name, async () => 'elsewhere', { stalledInterval: 300, lockDuration: 1_000 });
      const done = collect<[Job, string]>(other, 'completed', 1);
      expect((await done)[0]?.[1]).toBe('elsewhere');
      child.kill('SIGCONT');
      await waitFor(() => heard.some(({ error, lost }) => error === 'ERR_JOB_LOCK_LOST' || lost), {
        timeoutMs: 30_000,
      });
      await sleep(1_000);
      expect(completed).toEqual(['elsewhere']);
      expect(heard.some((message) => message.completed)).toBe(false);
      expect(await queue.getJob(job.id)).toMatchObject({
        returnvalue: 'elsewhere',
        attemptsStarted: 2,
        attemptsMade: 1,
        stalledCounter: 1,
      });
      // Who woke goes on with the next job.
      await other.close();
      const next = await queue.add('next', {});
      await waitFor(() => heard.some((message) => message.completed === next.id), { timeoutMs: 30_000 });
    },
  );

  test('that ran many jobs has the heap that it had after few', { timeout: isLong ? 1_200_000 : 120_000 }, async () => {
    const [jobs, first] = isLong ? [1_000_000, 10_000] : [30_000, 10_000];
    const queue = bench.queue();
    const url = new URL('./fixtures/heap-worker.mjs', import.meta.url);
    const child = fork(url, [server.url, queue.name, String(jobs), String(first)], { execArgv: ['--expose-gc'] });
    children.push(child);
    type Memory = Record<'heapUsed' | 'external' | 'rss', number>;
    const { before, after, done } = await new Promise<{ before: Memory; after: Memory; done: number }>(
      (resolve, reject) => {
        child.once('message', (message) => resolve(message as never));
        child.once('exit', (code) => reject(new Error(`ended with ${code}`)));
      },
    );
    if (isLong) console.log({ before, after });
    expect(done).toBe(jobs);
    // A leak of one small object for each job would be more than this.
    const perJob = (after.heapUsed - before.heapUsed) / (jobs - first);
    expect(perJob).toBeLessThan(isLong ? 1 : 25);
    expect(after.external - before.external).toBeLessThan(4 << 20);
  });
});
