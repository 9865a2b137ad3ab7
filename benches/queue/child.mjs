// One scenario with one contender. Prints its figures as JSON.
import { randomUUID } from 'node:crypto';
import { measure } from '../harness/cpu.mjs';
import { ask, datasetBytes, serverMicros } from '../harness/server-info.mjs';
import { percentile } from '../harness/statistics.mjs';
import { contender } from './contenders.mjs';

const { contender: who, port, scenario, concurrency, jobs } = JSON.parse(process.argv[2]);
const library = contender(who, port);
const name = `bench-${randomUUID()}`;
const data = {
  userId: 'user_2a9f',
  template: 'welcome',
  context: { name: 'Ada', link: 'https://example.org/confirm', locale: 'en' },
  requestedAt: '2026-02-07T10:00:00.000Z',
};
const BULK = 500;

const addAll = {
  async add(queue, count) {
    let next = 0;
    const caller = async () => {
      while (next < count) {
        next += 1;
        await queue.add(data);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, caller));
  },
  async addBulk(queue, count) {
    for (let done = 0; done < count; done += BULK) {
      await queue.addBulk(Array.from({ length: Math.min(BULK, count - done) }, () => data));
    }
  },
};

/** Processes what waits in the queue, `concurrency` at a time; resolves to the worker when all of it is completed. */
function processAll(count) {
  return new Promise((resolve, reject) => {
    let completed = 0;
    const worker = library.work(
      name,
      concurrency,
      async () => undefined,
      () => {
        completed += 1;
        if (completed === count) resolve(worker);
      },
      reject,
    );
  });
}

async function throughput(queue) {
  // Warm both ends up on the same code paths.
  await (scenario === 'addBulk' ? addAll.addBulk : addAll.add)(queue, 1000);
  await (await processAll(1000)).close();
  if (scenario === 'process') await addAll.addBulk(queue, jobs);
  globalThis.gc?.();

  const serverBefore = await serverMicros(port);
  const end = measure();
  const worker = scenario === 'process' ? await processAll(jobs) : await addAll[scenario](queue, jobs);
  const { mainMicros, totalMicros, seconds } = end();
  const serverAfter = await serverMicros(port);

  const counts = await queue.counts();
  const left = scenario === 'process' ? 0 : jobs;
  if (counts.waiting !== left || counts.active !== 0 || counts.failed !== 0) {
    throw new Error(`expected ${left} waiting jobs, found ${JSON.stringify(counts)}`);
  }
  await worker?.close();
  return {
    perSecond: jobs / seconds,
    mainMicros: mainMicros / jobs,
    totalMicros: totalMicros / jobs,
    serverMicros: (serverAfter - serverBefore) / jobs,
  };
}

/** From `add()` to the start of the processor, one job at a time, to an idle worker. */
async function latency(queue) {
  const waits = [];
  let started;
  const worker = library.work(
    name,
    1,
    async (job) => {
      started(performance.now() - job.data.at);
    },
    () => undefined,
    (error) => {
      throw error;
    },
  );
  for (let turn = 0; turn < jobs + 50; turn++) {
    // The worker is idle again, and waits for the next job.
    await new Promise((resolve) => setTimeout(resolve, 5));
    const begun = new Promise((resolve) => {
      started = resolve;
    });
    await queue.add({ at: performance.now() });
    const wait = await begun;
    if (turn >= 50) waits.push(wait * 1000);
  }
  await worker.close();
  return { p50: percentile(waits, 0.5), p90: percentile(waits, 0.9), p99: percentile(waits, 0.99) };
}

/** What waiting jobs cost the server, all keys of the queue included. */
async function memory(queue) {
  const before = await datasetBytes(port);
  await addAll.addBulk(queue, jobs);
  const bytes = ((await datasetBytes(port)) - before) / jobs;
  await ask(port, 'FLUSHALL');
  return { bytes };
}

const queue = await library.open(name);
const result = (await { latency, memory }[scenario]?.(queue)) ?? (await throughput(queue));
console.log(JSON.stringify(result));
await queue.close();
process.exit(0);
