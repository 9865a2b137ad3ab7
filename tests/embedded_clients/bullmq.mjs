// Every kind of job through the stock packages, on the server at the port given. Prints the outcome as JSON: what happened
// to each job, in an order that does not depend on timing.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const connection = { host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null };
const outcome = {};

async function plainCommands() {
  const redis = new Redis(connection);
  const subscriber = new Redis(connection);
  await subscriber.subscribe('news');
  const message = once(subscriber, 'message');
  outcome.receivers = await redis.publish('news', 'hello');
  outcome.message = await message;
  outcome.pipeline = await redis
    .pipeline()
    .set('a', 1)
    .incr('a')
    .lpush('a', 1)
    .get('a')
    .exec()
    .then((replies) => replies.map(([error, reply]) => error?.message ?? reply));
  outcome.transaction = await redis.multi().hset('h', { x: 1, y: 2 }).hgetall('h').exec();
  redis.defineCommand('double', { numberOfKeys: 1, lua: 'return tonumber(redis.call("get", KEYS[1])) * ARGV[1]' });
  outcome.script = [await redis.double('a', 21), await redis.double('a', 4)];
  outcome.buffer = (await redis.getBuffer('a')).toString('hex');
  outcome.stream = await redis.xadd('s', '1-1', 'f', 'v').then(() => redis.xrange('s', '-', '+'));
  const blocked = new Redis(connection);
  const popped = blocked.blpop('list', 5);
  await redis.rpush('list', 'x');
  outcome.popped = await popped;
  const found = [];
  for await (const keys of redis.scanStream({ match: '*', count: 2 })) found.push(...keys);
  outcome.keys = found.sort();
  await redis.flushall();
  await Promise.all([redis.quit(), subscriber.quit(), blocked.quit()]);
}

async function jobs() {
  const queue = new Queue('all-kinds', { connection });
  const events = new QueueEvents('all-kinds', { connection });
  const flow = new FlowProducer({ connection });
  await events.waitUntilReady();
  const seen = { completed: 0, failed: 0, progress: 0, deduplicated: 0, duplicated: 0 };
  for (const name of Object.keys(seen)) events.on(name, () => (seen[name] += 1));
  const order = [];
  const tries = {};

  await queue.pause();
  await queue.add('low', {}, { priority: 10 });
  const doomed = await queue.add('doomed', {});
  await doomed.remove();
  await queue.add('first', {});
  await queue.add('second', {});
  await queue.add('jumps', {}, { lifo: true });
  await queue.add('high', {}, { priority: 1 });
  await queue.add('delayed', { text: 'ü' }, { delay: 300 });
  await queue.add('retried', {}, { attempts: 3, backoff: { type: 'fixed', delay: 50 } });
  await queue.add('hopeless', {}, { attempts: 3 });
  await queue.add('broken', {}, { attempts: 2 });
  await queue.add('named', {}, { jobId: 'my-id' });
  await queue.add('named', {}, { jobId: 'my-id' });
  await queue.add('once', {}, { deduplication: { id: 'd' } });
  await queue.add('once', {}, { deduplication: { id: 'd' } });
  await queue.addBulk([1, 2, 3].map((n) => ({ name: `bulk${n}`, data: { n } })));
  await queue.add('fleeting', {}, { removeOnComplete: true });
  await queue.upsertJobScheduler('often', { every: 100, limit: 3 }, { name: 'scheduled' });
  const tree = await flow.add({
    name: 'parent',
    queueName: 'all-kinds',
    children: [
      { name: 'child', queueName: 'all-kinds', data: { n: 1 } },
      { name: 'child', queueName: 'all-kinds', data: { n: 2 } },
    ],
  });
  const { active: _, ...before } = await queue.getJobCounts();
  outcome.before = before;

  const worker = new Worker(
    'all-kinds',
    async (job) => {
      order.push(job.name);
      tries[job.name] = (tries[job.name] ?? 0) + 1;
      if (job.name === 'retried' && job.attemptsMade < 2) throw new Error('again');
      if (job.name === 'hopeless') throw new UnrecoverableError('never');
      if (job.name === 'broken') throw new Error('broken');
      if (job.name === 'parent') return Object.values(await job.getChildrenValues()).sort();
      if (job.name === 'first') {
        await job.updateProgress({ done: 50 });
        await job.log('a line');
        await job.updateData({ changed: true });
      }
      return job.data.n ?? job.name;
    },
    { connection, concurrency: 1 },
  );
  await worker.waitUntilReady();
  await queue.resume();
  const deadline = Date.now() + 20_000;
  for (;;) {
    const counts = await queue.getJobCounts();
    const open = counts.waiting + counts.active + counts.delayed + counts.prioritized + counts['waiting-children'];
    if (open === 0 && seen.completed === 19 && seen.failed === 2) break;
    if (Date.now() > deadline) throw new Error(`not done: ${JSON.stringify({ counts, order, seen })}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  outcome.tries = Object.fromEntries(Object.entries(tries).sort());
  outcome.started = order.filter((name) => ['jumps', 'first', 'second', 'high', 'low'].includes(name));
  outcome.counts = await queue.getJobCounts();
  outcome.seen = seen;
  const finished = await queue.getJobs(['completed', 'failed']);
  outcome.jobs = finished
    .filter((job) => !job.id.startsWith('repeat:'))
    .map((job) => [job.name, job.data, job.returnvalue, job.failedReason, job.attemptsMade, job.progress])
    .map((job) => JSON.stringify(job))
    .sort();
  outcome.parent = (await queue.getJob(tree.job.id)).returnvalue;
  const first = finished.find((job) => job.name === 'first');
  outcome.logs = await queue.getJobLogs(first.id);
  outcome.state = await first.getState();
  const failed = finished.find((job) => job.name === 'broken');
  await queue.pause();
  await failed.retry();
  outcome.retried = await failed.getState();
  outcome.schedulers = (await queue.getJobSchedulers()).length;
  outcome.cleaned = (await queue.clean(0, 100, 'completed')).length;
  await queue.drain();
  await worker.close();
  await queue.obliterate({ force: true });
  await Promise.all([queue.close(), events.close(), flow.close()]);
  const redis = new Redis(connection);
  outcome.left = (await redis.keys('*')).sort();
  await redis.quit();
}

async function until(what, happened) {
  const deadline = Date.now() + 30_000;
  while (!(await happened())) {
    if (Date.now() > deadline) throw new Error(`not within 30 seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function limited() {
  const queue = new Queue('limited', { connection });
  await queue.addBulk(Array.from({ length: 5 }, () => ({ name: 'job', data: {} })));
  const at = [];
  const work = async () => at.push(Date.now());
  const worker = new Worker('limited', work, { connection, limiter: { max: 2, duration: 300 } });
  await until('five limited jobs', () => at.length === 5);
  outcome.limited = { jobs: at.length, twoPeriods: at[4] - at[0] >= 500 };
  await worker.close();
  await queue.close();
}

async function sandboxed() {
  const queue = new Queue('sandboxed', { connection });
  const events = new QueueEvents('sandboxed', { connection });
  await events.waitUntilReady();
  const file = fileURLToPath(new URL('processor.cjs', import.meta.url));
  const worker = new Worker('sandboxed', file, { connection });
  const job = await queue.add('job', { pid: process.pid, n: 7 });
  outcome.sandboxed = await job.waitUntilFinished(events);
  await Promise.all([worker.close(), queue.close(), events.close()]);
}

await plainCommands();
await jobs();
await limited();
await sandboxed();
console.log(JSON.stringify(outcome, null, 1));
process.exit(0);
