// Queues, workers, event readers, subscriptions and plain commands on a server that dies, or goes silent, under them.

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { PubSubService } from '../ts/pubsub-service.js';
import { Queue } from '../ts/queue.js';
import { QueueEvents } from '../ts/queue-events.js';
import { RedisService } from '../ts/redis.js';
import type { RedisConfig } from '../ts/types/redis-config.js';
import { Worker } from '../ts/worker.js';
import { FlakyProxy } from './helpers/flaky-proxy.js';
import { RedisServer } from './helpers/redis-server.js';
import { waitFor } from './helpers/wait-for.js';

/** Every call's deadline, with room for a machine that is busy. */
const COMMAND_TIMEOUT = 2_000;
const SETTLES_WITHIN = COMMAND_TIMEOUT + 1_500;

/** Mixed traffic on one connection, which notes what became of each call. */
class Traffic {
  readonly added = new Set<string>();
  readonly completed = new Set<string>();
  readonly told = new Set<string>();
  readonly heard: number[] = [];
  readonly codes = new Map<string, number>();
  slowest = 0;
  calls = 0;
  #on = true;
  readonly #loops: Promise<void>[] = [];
  readonly queue: Queue;
  readonly worker: Worker;
  readonly events: QueueEvents;
  readonly pubsub: PubSubService;
  readonly redis: RedisService;

  constructor(config: RedisConfig) {
    const connection = { ...config, commandTimeout: COMMAND_TIMEOUT };
    this.queue = new Queue('traffic', { connection });
    this.worker = new Worker('traffic', async (job) => job.data, {
      connection,
      concurrency: 10,
      lockDuration: 4_000,
      stalledInterval: 1_000,
      maxStalledCount: 10,
    });
    this.events = new QueueEvents('traffic', { connection });
    this.pubsub = new PubSubService({ redis: connection });
    this.redis = new RedisService(connection);
    for (const one of [this.queue, this.worker, this.events, this.pubsub, this.redis]) {
      (one as Queue).on('error', () => undefined);
    }
    this.worker.on('completed', (job) => this.completed.add(job.id));
    this.events.on('completed', ({ jobId }) => this.told.add(jobId));
  }

  async start(): Promise<void> {
    await Promise.all([this.worker.waitUntilReady(), this.events.waitUntilReady()]);
    await this.pubsub.subscribe({ channel: 'news', handler: (n: number) => void this.heard.push(n) });
    let n = 0;
    this.#loop(async () => void this.added.add((await this.queue.add('a', { n: n++ }, { attempts: 10 })).id));
    this.#loop(async () => void (await this.redis.set(`key-${n % 50}`, 'x'.repeat(100))));
    this.#loop(async () => void (await this.redis.get(`key-${n % 50}`)));
    this.#loop(async () => void (await this.redis.call('INCR', 'counter')));
    this.#loop(async () => void (await this.pubsub.publish({ channel: 'news', message: n })));
    this.#loop(async () => void (await this.queue.getJobCounts()));
  }

  async stop(): Promise<void> {
    this.#on = false;
    await Promise.all(this.#loops);
  }

  async close(): Promise<void> {
    await Promise.all([this.worker, this.events, this.pubsub, this.redis, this.queue].map((one) => one.close()));
  }

  #loop(call: () => Promise<void>): void {
    const run = async () => {
      while (this.#on) {
        const start = performance.now();
        this.calls++;
        await call().catch((error: { code?: string }) => {
          const code = error.code ?? String(error);
          this.codes.set(code, (this.codes.get(code) ?? 0) + 1);
        });
        this.slowest = Math.max(this.slowest, performance.now() - start);
        await sleep(2);
      }
    };
    this.#loops.push(run());
  }
}

async function becomesNormal(traffic: Traffic, back: number): Promise<number> {
  const { completed, told, heard } = traffic;
  const [jobs, events, messages] = [completed.size, told.size, heard.length];
  await waitFor(() => completed.size > jobs && told.size > events && heard.length > messages, {
    what: 'a job, an event and a message after the outage',
  });
  return performance.now() - back;
}

async function everyJobCompletes(traffic: Traffic): Promise<void> {
  await waitFor(
    async () => {
      const counts = await traffic.queue.getJobCounts();
      return counts['waiting'] === 0 && counts['active'] === 0 && counts['delayed'] === 0;
    },
    { timeoutMs: 20_000, what: 'every job to complete' },
  );
  const lost: string[] = [];
  for (const id of traffic.added) {
    if ((await traffic.queue.getJobState(id)) !== 'completed') lost.push(id);
  }
  expect(lost).toEqual([]);
}

const KNOWN_CODES = [
  'ERR_CONNECTION_LOST',
  'ERR_COMMAND_TIMED_OUT',
  'ERR_CONNECTION_FAILED',
  'ERR_MAX_RETRIES_REACHED',
];

describe('mixed traffic', () => {
  test('over a server that is killed and comes back five seconds later', { timeout: 90_000 }, async () => {
    const server = await RedisServer.start({ appendonly: true });
    const traffic = new Traffic({ host: server.host, port: server.port });
    await traffic.start();
    await waitFor(() => traffic.completed.size > 50 && traffic.heard.length > 50);

    await server.kill();
    await sleep(5_000);
    await server.restart();
    const tookMs = await becomesNormal(traffic, performance.now());

    expect(tookMs).toBeLessThan(2_000);
    await traffic.stop();
    expect(traffic.slowest).toBeLessThan(SETTLES_WITHIN);
    expect([...traffic.codes.keys()].filter((code) => !KNOWN_CODES.includes(code))).toEqual([]);
    expect(traffic.codes.size).toBeGreaterThan(0);
    await everyJobCompletes(traffic);
    await traffic.close();
    await server.stop();
  });

  test('over a connection that goes silent for five seconds instead of closing', { timeout: 90_000 }, async () => {
    const server = await RedisServer.start();
    const proxy = await FlakyProxy.start({ port: server.port });
    const traffic = new Traffic({ host: proxy.host, port: proxy.port, keepAlive: 500, connectTimeout: 1_000 });
    await traffic.start();
    await waitFor(() => traffic.completed.size > 50 && traffic.heard.length > 50);

    proxy.silence();
    await sleep(5_000);
    proxy.heal();
    const tookMs = await becomesNormal(traffic, performance.now());

    expect(tookMs).toBeLessThan(2_000);
    await traffic.stop();
    expect(traffic.slowest).toBeLessThan(SETTLES_WITHIN);
    expect([...traffic.codes.keys()].filter((code) => !KNOWN_CODES.includes(code))).toEqual([]);
    expect(traffic.codes.size).toBeGreaterThan(0);
    await everyJobCompletes(traffic);
    await traffic.close();
    await proxy.stop();
    await server.stop();
  });
});
