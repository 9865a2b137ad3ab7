// Opens and closes infrastructures, and prints how much memory a round leaves behind.
const { readdirSync, readlinkSync } = require('node:fs');
const { createTestInfra } = require('../../../testing.js');

const rounds = Number(process.argv[2]);

async function round() {
  const infra = createTestInfra();
  infra.queues.registerProcessor('mail', async (job) => job.data.n);
  await infra.queues.addJob('mail', { n: 1 });
  await infra.queues.addJob('mail', { n: 2 }, { delay: 1000 });
  await infra.cache.set('key', 'x'.repeat(1000));
  await infra.pubsub.publish({ channel: 'c', message: 'x' });
  await infra.advanceTime(1000);
  await infra.drain('mail');
  await infra.close();
}

function sockets() {
  const names = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  return names.filter((name) => name.startsWith('socket:')).length;
}

async function main() {
  const before = process.platform === 'linux' ? sockets() : 0;
  for (let n = 0; n < rounds / 4; n += 1) await round();
  globalThis.gc();
  const start = process.memoryUsage();
  let most = 0;
  for (let n = 0; n < rounds; n += 1) {
    await round();
    if (process.platform === 'linux' && n % 100 === 0) most = Math.max(most, sockets());
  }
  globalThis.gc();
  const end = process.memoryUsage();
  console.log(
    JSON.stringify({
      heapGrowth: (end.heapUsed - start.heapUsed) / rounds,
      rssGrowth: (end.rss - start.rss) / rounds,
      sockets: Math.max(most - before, 0),
    }),
  );
}
void main();
