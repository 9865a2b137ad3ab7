// Flows whose workers die all the time.

import { type ChildProcess, fork } from 'node:child_process';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Job } from '../ts/job.js';
import { JobBench } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

const FLOWS = 200;
const PROCESSES = 3;
const KILLS = 8;

let server: RedisServer;
let redis: Redis;
const alive = new Set<ChildProcess>();

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.port);
});

afterAll(async () => {
  for (const child of alive) child.kill('SIGKILL');
  redis.disconnect();
  await server.stop();
});

async function start(queues: string[]): Promise<void> {
  const child = fork(new URL('./fixtures/flow-worker.mjs', import.meta.url), [server.url, ...queues]);
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`a worker ended with ${code} before it was ready`)));
  });
}

async function killOne(): Promise<void> {
  const victims = [...alive];
  const victim = victims[Math.floor(Math.random() * victims.length)]!;
  const gone = new Promise((resolve) => victim.once('exit', resolve));
  victim.kill('SIGKILL');
  await gone;
}

/** When, by the server's clock, each job of a queue first began or, for good, ended. */
async function times(queue: string, ...events: string[]): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const [id, [, event, , jobId]] of await redis.xrange(`bull:${queue}:events`, '-', '+')) {
    if (events.includes(event!) && !found.has(jobId!)) found.set(jobId!, Number(id.split('-')[0]));
  }
  return found;
}

/** In how many places the queue has the job. */
async function places(job: Job): Promise<number> {
  const key = (name: string) => `${job.queueQualifiedName}:${name}`;
  const sets = ['completed', 'failed', 'delayed', 'prioritized', 'waiting-children'];
  const found = await Promise.all([
    ...sets.map((set) => redis.zscore(key(set), job.id)),
    ...['wait', 'active'].map((list) => redis.lpos(key(list), job.id)),
  ]);
  return found.filter((place) => place !== null).length;
}

test('every parent runs after its children, and every job ends once, however many workers are killed', {
  timeout: 180_000,
}, async () => {
  const bench = new JobBench({ url: server.url });
  const [tops, middles, leaves] = ['tops', 'middles', 'leaves'].map((name) => bench.queue(uniquePrefix(name)));
  const names = [tops!, middles!, leaves!].map(({ name }) => name) as [string, string, string];
  await Promise.all(Array.from({ length: PROCESSES }, () => start(names)));
  const leaf = (data: number) => ({
    name: 'leaf',
    queueName: names[2],
    data,
    opts: { attempts: 2, ignoreDependencyOnFailure: true },
  });
  const middle = (first: number) => ({
    name: 'middle',
    queueName: names[1],
    children: [leaf(first), leaf(first + 1)],
  });
  const nodes = await bench.flows().addBulk(
    Array.from({ length: FLOWS }, (_, flow) => ({
      name: 'top',
      queueName: names[0],
      children: [middle(4 * flow), middle(4 * flow + 2)],
    })),
  );

  // Each dies at work: the next one only after some progress.
  for (let kill = 1; kill <= KILLS; kill++) {
    const enough = (FLOWS * 4 * kill) / (KILLS + 2);
    const finished = async () => (await leaves!.getCompletedCount()) + (await leaves!.getFailedCount());
    await waitFor(async () => (await finished()) >= enough, { timeoutMs: 60_000 });
    await killOne();
    await start(names);
  }
  await waitFor(async () => (await tops!.getCompletedCount()) === FLOWS, { timeoutMs: 90_000 });

  const failing = (FLOWS * 4) / 10;
  expect(await tops!.getJobCounts()).toMatchObject({ completed: FLOWS, failed: 0, active: 0 });
  expect(await middles!.getJobCounts()).toMatchObject({ completed: 2 * FLOWS, failed: 0, active: 0 });
  expect(await leaves!.getJobCounts()).toMatchObject({ completed: 4 * FLOWS - failing, failed: failing, active: 0 });
  const begun = [await times(names[0], 'active'), await times(names[1], 'active')];
  const ended = new Map([...(await times(names[1], 'completed')), ...(await times(names[2], 'completed', 'failed'))]);
  let stalled = 0;
  for (const { job: top, children: below = [] } of nodes) {
    const read = async (node: { job: Job }) =>
      (await Promise.all([tops, middles, leaves].map((queue) => queue!.getJob(node.job.id)))).find((job) => job)!;
    const parents = [{ job: top, children: below }, ...below];
    for (const { job, children = [] } of parents) {
      const parent = await read({ job });
      expect(parent.returnvalue, `children that ${parent.name} ${parent.id} saw`).toBe(2);
      const began = begun.find((times) => times.has(job.id))!.get(job.id)!;
      for (const child of children) expect(began).toBeGreaterThanOrEqual(ended.get(child.job.id)!);
      expect(await parent.getDependenciesCount({ unprocessed: true })).toEqual({ unprocessed: 0 });
    }
    for (const node of [...parents, ...below.flatMap(({ children = [] }) => children)]) {
      const job = await read(node);
      expect(await places(job), `places of ${job.name} ${job.id}`).toBe(1);
      stalled += job.stalledCounter;
    }
  }
  // They died at work, or the test has shown nothing.
  expect(stalled).toBeGreaterThan(0);
  await bench.close();
});
