// Adds or processes jobs with one contender. Prints its figures per job as JSON.
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { measure } from '../harness/cpu.mjs';

const require = createRequire(import.meta.url);
const { contender, port, scenario, concurrency, jobs } = JSON.parse(process.argv[2]);
const { Queue, Worker } = contender === 'oxcart' ? require('../../index.js') : require('bullmq');
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const name = `bench-${randomUUID()}`;
const data = {
  userId: 'user_2a9f',
  template: 'welcome',
  context: { name: 'Ada', link: 'https://example.org/confirm', locale: 'en' },
  requestedAt: '2026-02-07T10:00:00.000Z',
};
const options = { attempts: 3, backoff: { type: 'exponential', delay: 1000 }, removeOnComplete: { count: 100 } };

/** CPU that redis-server has used, in microseconds, as it says itself. */
function serverMicros() {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('INFO cpu\r\n'));
    let text = '';
    socket.setTimeout(5000, () => socket.destroy(new Error('INFO timed out')));
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      text += chunk;
      const found = ['sys', 'user'].map((kind) => text.match(new RegExp(`used_cpu_${kind}:([0-9.]+)\r`)));
      if (found.every(Boolean)) {
        resolve(found.reduce((sum, match) => sum + Number(match[1]) * 1e6, 0));
        socket.end();
      }
    });
  });
}

async function add(queue, count) {
  if (scenario === 'addBulk') {
    for (let done = 0; done < count; done += 500) {
      await queue.addBulk(Array.from({ length: 500 }, () => ({ name: 'send', data, opts: options })));
    }
    return;
  }
  let next = 0;
  const caller = async () => {
    while (next < count) {
      next += 1;
      await queue.add('send', data, options);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, caller));
}

/** Processes what waits in the queue, `concurrency` at a time; resolves when all of it is completed. */
function processAll(count) {
  return new Promise((resolve, reject) => {
    let completed = 0;
    const worker = new Worker(name, async (job) => job.data.userId.length, { connection, concurrency });
    worker.on('error', reject);
    worker.on('failed', (_job, error) => reject(error));
    worker.on('completed', () => {
      completed += 1;
      if (completed === count) resolve(worker);
    });
  });
}

const queue = new Queue(name, { connection });
await queue.waitUntilReady();

// Warm both ends up on the same code paths.
await add(queue, 1000);
await (await processAll(1000)).close();

if (scenario === 'process') {
  for (let done = 0; done < jobs; done += 500) {
    await queue.addBulk(Array.from({ length: 500 }, () => ({ name: 'send', data, opts: options })));
  }
}
globalThis.gc?.();

const serverBefore = await serverMicros();
const end = measure();
const worker = scenario === 'process' ? await processAll(jobs) : await add(queue, jobs);
const { mainMicros, totalMicros, seconds } = end();
const serverAfter = await serverMicros();

const counts = await queue.getJobCounts('waiting', 'active', 'failed');
const left = scenario === 'process' ? 0 : jobs;
if (counts.waiting !== left || counts.active !== 0 || counts.failed !== 0) {
  throw new Error(`expected ${left} waiting jobs, found ${JSON.stringify(counts)}`);
}
console.log(
  JSON.stringify({
    perSecond: jobs / seconds,
    mainMicros: mainMicros / jobs,
    totalMicros: totalMicros / jobs,
    serverMicros: (serverAfter - serverBefore) / jobs,
  }),
);
await worker?.close();
await queue.close();
process.exit(0);
