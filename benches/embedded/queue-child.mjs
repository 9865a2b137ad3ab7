// Adds jobs, then processes them, with one contender. Prints its figures per job as JSON.
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measure } from '../harness/cpu.mjs';

const require = createRequire(import.meta.url);
const { contender, socket, concurrency, jobs } = JSON.parse(process.argv[2]);
// As short as names of queues are: Lua tells long keys that differ in few places apart slowly, on a server as here.
const name = `mail-${process.pid}`;
const folder = mkdtempSync(join(tmpdir(), 'oxcart-bench-'));
const data = {
  userId: 'user_2a9f',
  template: 'welcome',
  context: { name: 'Ada', link: 'https://example.org/confirm', locale: 'en' },
  requestedAt: '2026-02-07T10:00:00.000Z',
};
const options = { attempts: 3, backoff: { type: 'exponential', delay: 1000 }, removeOnComplete: { count: 100 } };

function oxcart(redis) {
  const { Queue, Worker } = require('../../index.js');
  const queue = new Queue(name, { redis });
  return {
    add: () => queue.add('send', data, options),
    /** Calls `completed` for each job, `concurrency` at a time. */
    async process(completed) {
      const worker = new Worker(name, async (job) => job.data.userId.length, { redis, concurrency });
      worker.on('error', fail);
      worker.on('failed', (_job, error) => fail(error));
      worker.on('completed', completed);
      return () => worker.close();
    },
    async check() {
      const counts = await queue.getJobCounts('waiting', 'active', 'failed');
      if (counts.waiting + counts.active + counts.failed > 0) throw new Error(`left over: ${JSON.stringify(counts)}`);
    },
  };
}

async function plainjob() {
  const Database = require('better-sqlite3');
  const { better, defineQueue, defineWorker } = await import('plainjob');
  const connection = better(new Database(join(folder, 'jobs.db')));
  const logger = { debug() {}, info() {}, warn: fail, error: fail };
  const queue = defineQueue({ connection, logger });
  return {
    add: async () => queue.add('send', data),
    async process(completed) {
      const process = async (job) => JSON.parse(job.data).userId.length;
      const workers = Array.from({ length: concurrency }, () =>
        defineWorker('send', process, { queue, logger, pollIntervall: 1, onCompleted: completed }),
      );
      for (const worker of workers) void worker.start();
      return () => Promise.all(workers.map((worker) => worker.stop()));
    },
    async check() {},
  };
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

const contenders = {
  'oxcart, memory://': () => oxcart({ url: 'memory://' }),
  'oxcart, Redis on a unix socket': () => oxcart({ url: `unix://${socket}` }),
  'plainjob on better-sqlite3': plainjob,
};
const queue = await contenders[contender]();

async function addAll(count) {
  let next = 0;
  const caller = async () => {
    while (next++ < count) await queue.add();
  };
  await Promise.all(Array.from({ length: concurrency }, caller));
}

function processAll(count) {
  return new Promise((resolve) => {
    let completed = 0;
    const ending = queue.process(() => {
      completed += 1;
      if (completed === count) resolve(ending);
    });
  });
}

function figures({ mainMicros, totalMicros, seconds }) {
  return { perSecond: jobs / seconds, mainMicros: mainMicros / jobs, totalMicros: totalMicros / jobs };
}

// Warms the code paths.
await addAll(1000);
await (await processAll(1000))();
globalThis.gc?.();

const endOfAdding = measure();
await addAll(jobs);
const added = figures(endOfAdding());
globalThis.gc?.();
const endOfProcessing = measure();
const close = await processAll(jobs);
const processed = figures(endOfProcessing());
await close();
await queue.check();
rmSync(folder, { recursive: true, force: true });
console.log(JSON.stringify({ added, processed }));
process.exit(0);
