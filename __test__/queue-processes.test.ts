// Workers in several processes, of which one dies without a word.

import { type ChildProcess, fork } from 'node:child_process';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JobBench } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

const JOBS = 10_000;

let server: RedisServer;
let redis: Redis;
const children: ChildProcess[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.port);
});

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  redis.disconnect();
  await server.stop();
});

async function start(queue: string, who: string): Promise<ChildProcess> {
  const child = fork(new URL('./fixtures/queue-worker.mjs', import.meta.url), [server.url, queue, who]);
  children.push(child);
  child.on('message', (message: { error?: string }) => message.error && errors.push(`${who} ${message.error}`));
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`worker ${who} ended with ${code}`)));
  });
  return child;
}

const errors: string[] = [];

test('10,000 jobs over three processes, one killed half-way: all completed, none lost, doubled only what it ran', {
  timeout: 120_000,
}, async () => {
  const bench = new JobBench({ url: server.url });
  const queue = bench.queue(uniquePrefix('processes'));
  const [first, second, victim] = await Promise.all(['first', 'second', 'victim'].map((who) => start(queue.name, who)));
  const jobs = await queue.addBulk(Array.from({ length: JOBS }, (_, data) => ({ name: 'work', data })));
  expect(new Set(jobs.map((job) => job.id)).size).toBe(JOBS);

  await waitFor(async () => (await queue.getCompletedCount()) >= JOBS / 2, { timeoutMs: 60_000 });
  victim!.kill('SIGKILL');
  await new Promise((resolve) => victim!.once('exit', resolve));
  const left = await queue.getActive();

  await waitFor(async () => (await queue.getCompletedCount()) === JOBS, { timeoutMs: 60_000 });
  expect(await queue.getJobCounts()).toMatchObject({ waiting: 0, active: 0, delayed: 0, failed: 0, completed: JOBS });

  const runs = new Map<string, string[]>();
  for (let at = 0; at < JOBS; at += 1_000) {
    const ids = jobs.slice(at, at + 1_000).map((job) => job.id);
    const pipeline = redis.pipeline();
    for (const id of ids) pipeline.lrange(`runs:${id}`, 0, -1);
    const replies = (await pipeline.exec()) as [Error | null, string[]][];
    ids.forEach((id, index) => {
      runs.set(id, replies[index]![1]);
    });
  }
  expect([...runs.values()].every((who) => who.length >= 1)).toBe(true);
  const twice = [...runs].filter(([, who]) => who.length > 1);
  // It died at work, or the test has shown nothing.
  expect(twice.length).toBeGreaterThan(0);
  const running = new Set(left.map((job) => job.id));
  for (const [id, who] of twice) {
    expect(who, `job ${id}`).toEqual(['victim', expect.stringMatching(/first|second/)]);
    expect(running.has(id), `job ${id} was running when the process was killed`).toBe(true);
  }
  expect(errors).toEqual([]);

  for (const child of [first!, second!]) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.send('close');
    expect(await ended).toBe(0);
  }
  await bench.close();
});
