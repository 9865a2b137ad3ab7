// Ends by itself when the infrastructure is closed.
const { createTestInfra } = require('../../../testing.js');

async function main() {
  const infra = createTestInfra();
  const ran = [];
  infra.queues.registerProcessor('mail', async (job) => ran.push(job.data.n));
  await infra.queues.addJob('mail', { n: 1 }, { delay: 60_000 });
  await infra.pubsub.subscribe({ channel: 'c', handler: () => undefined });
  await infra.advanceTime(60_000);
  if (ran.length !== 1) throw new Error('the job did not run');
  await infra.close();
  console.log('done');
}
void main();
