// Takes away everything that fake timers fake, once the package is loaded, and uses it.
const { writeSync } = require('node:fs');
const { CacheService, Queue, QueueEvents, RedisService, Worker } = require('../../../index.js');
const exit = process.exit.bind(process);

for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'])
  globalThis[name] = () => ({ unref() {} });
process.nextTick = () => undefined;
Date.now = () => 0;

async function main() {
  const redis = { url: 'memory://frozen' };
  const queue = new Queue('mail', { redis });
  const events = new QueueEvents('mail', { redis });
  await events.waitUntilReady();
  const worker = new Worker('mail', async (job) => job.data.n * 2, { redis });
  const job = await queue.add('double', { n: 21 }, { delay: 20 });
  const doubled = await job.waitUntilFinished(events, 20_000);
  const cache = new CacheService({ redis });
  await cache.set('key', 'value', 60);
  const commands = new RedisService(redis);
  const answers = await Promise.all(Array.from({ length: 1000 }, (_, n) => commands.incr(`n:${n}`)));
  writeSync(1, `${doubled} ${await cache.get('key')} ${answers.length}\n`);
  await worker.close();
  exit(0);
}
void main();
