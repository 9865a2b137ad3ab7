// Every kind of job through the stock package of Bull 4, on the server at the port given. Prints the outcome as JSON: what
// happened to each job, in an order that does not depend on timing.
import { fileURLToPath } from 'node:url';
import Bull from 'bull';

const redis = { host: '127.0.0.1', port: Number(process.argv[2]) };
const outcome = {};

async function until(what, happened) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const value = await happened();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within 30 seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function allKinds() {
  const queue = new Bull('all-kinds', { redis });
  await queue.isReady();
  const seen = { waiting: 0, completed: 0, failed: 0, progress: 0, removed: 0, paused: 0, resumed: 0, drained: 0 };
  const listener = new Bull('all-kinds', { redis });
  await listener.isReady();
  for (const name of Object.keys(seen)) listener.on(`global:${name}`, () => (seen[name] += 1));

  await queue.pause();
  await queue.add('low', {}, { priority: 10 });
  await queue.add('first', { text: 'ü' });
  await queue.add('second', {});
  await queue.add('jumps', {}, { lifo: true });
  await queue.add('high', {}, { priority: 1 });
  await queue.add('delayed', {}, { delay: 300 });
  await queue.add('retried', {}, { attempts: 3, backoff: { type: 'fixed', delay: 50 } });
  await queue.add('exponential', {}, { attempts: 2, backoff: { type: 'exponential', delay: 20 } });
  await queue.add('broken', {}, { attempts: 2 });
  await queue.add('discarded', {}, { attempts: 5 });
  await queue.add('named', {}, { jobId: 'my-id' });
  await queue.add('named', {}, { jobId: 'my-id' });
  await queue.addBulk([1, 2, 3].map((n) => ({ name: `bulk${n}`, data: { n } })));
  await queue.add('fleeting', {}, { removeOnComplete: true });
  const doomed = await queue.add('doomed', {});
  await doomed.remove();
  await queue.add('often', {}, { repeat: { every: 50, limit: 3 } });
  const { active: _, delayed, ...before } = await queue.getJobCounts();
  outcome.before = { ...before, delayed };
  outcome.paused = await queue.isPaused();
  outcome.waiting = (await queue.getWaiting()).map((job) => job.name).sort();
  outcome.repeatable = (await queue.getRepeatableJobs()).map((job) => [job.name, job.every]);

  const order = [];
  const tries = {};
  queue.process('*', 1, async (job) => {
    order.push(job.name);
    tries[job.name] = (tries[job.name] ?? 0) + 1;
    if (job.name === 'retried' && job.attemptsMade < 2) throw new Error('again');
    if (job.name === 'exponential' && job.attemptsMade < 1) throw new Error('again');
    if (job.name === 'broken') throw new Error('broken');
    if (job.name === 'discarded') {
      await job.discard();
      throw new Error('for good');
    }
    if (job.name === 'first') {
      await job.progress({ done: 50 });
      await job.log('a line');
      await job.update({ changed: true });
    }
    return job.data.n ?? job.name;
  });
  await queue.resume();
  await until('all jobs are done', async () => {
    const counts = await queue.getJobCounts();
    const open = counts.waiting + counts.active + counts.delayed;
    return open === 0 && counts.failed === 2 && tries.often === 3 && tries.fleeting === 1;
  });
  outcome.tries = Object.fromEntries(Object.entries(tries).sort());
  outcome.started = order.filter((name) => ['jumps', 'first', 'second', 'high', 'low'].includes(name));
  outcome.counts = await queue.getJobCounts();
  // What comes late of the events is waited for; what never comes shows in the comparison.
  await until('events', () => seen.completed >= 16 && seen.failed >= 2 && seen.progress >= 1).catch(() => {});
  outcome.seen = { completed: seen.completed, failed: seen.failed, progress: seen.progress };
  const finished = await queue.getJobs(['completed', 'failed']);
  outcome.jobs = finished
    .filter((job) => !String(job.id).startsWith('repeat:'))
    .map((job) => [job.name, job.data, job.returnvalue, job.failedReason, job.attemptsMade, job._progress])
    .map((job) => JSON.stringify(job))
    .sort();
  const first = finished.find((job) => job.name === 'first');
  outcome.logs = await queue.getJobLogs(first.id);
  outcome.state = await first.getState();
  outcome.result = await first.finished();
  const failed = finished.find((job) => job.name === 'broken');
  outcome.reason = await failed.finished().catch((error) => error.message);
  await queue.pause();
  await failed.retry();
  outcome.retried = await failed.getState();
  const later = await queue.add('later', {}, { delay: 60_000 });
  await later.promote();
  outcome.promoted = await later.getState();
  outcome.cleaned = [(await queue.clean(0, 'completed')).length, (await queue.clean(0, 'failed')).length];
  await queue.removeJobs('my-*');
  await queue.empty();
  outcome.emptied = await queue.count();
  await queue.obliterate({ force: true });
  outcome.left = (await queue.client.keys('*')).sort();
  await Promise.all([queue.close(), listener.close()]);
}

async function limited() {
  const queue = new Bull('limited', { redis, limiter: { max: 2, duration: 300 } });
  const at = [];
  queue.process(async () => {
    at.push(Date.now());
  });
  await queue.addBulk(Array.from({ length: 5 }, () => ({ data: {} })));
  await until('five limited jobs', () => at.length === 5);
  outcome.limited = { jobs: at.length, twoPeriods: at[4] - at[0] >= 500 };
  await queue.close();
}

async function sandboxed() {
  const queue = new Bull('sandboxed', { redis });
  queue.process(fileURLToPath(new URL('processor.cjs', import.meta.url)));
  const job = await queue.add({ pid: process.pid, n: 7 });
  outcome.sandboxed = await job.finished();
  await queue.close();
}

async function stalled() {
  const settings = { stalledInterval: 200, lockDuration: 200, maxStalledCount: 1 };
  const dead = new Bull('stalled', { redis, settings: { ...settings, lockRenewTime: 1_000_000 } });
  dead.on('error', () => {});
  let started = 0;
  dead.process(() => {
    started += 1;
    return new Promise(() => {});
  });
  const job = await dead.add({});
  await until('the job that will stall has begun', () => started === 1);
  await dead.close(true);
  const alive = new Bull('stalled', { redis, settings });
  alive.process(async () => 'rescued');
  await until('the stalled job is rescued', async () => (await alive.getJob(job.id))?.finishedOn);
  outcome.stalled = (await alive.getJob(job.id)).returnvalue;
  await alive.close();
}

await allKinds();
await limited();
await sandboxed();
await stalled();
console.log(JSON.stringify(outcome, null, 1));
process.exit(0);
