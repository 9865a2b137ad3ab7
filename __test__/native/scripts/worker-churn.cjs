// Starts worker threads that load and use the package, and terminates each in the middle of its calls. The main thread
// loads the package only at the end, to show that the process still works.
const { isMainThread, Worker, parentPort, workerData } = require('node:worker_threads');

if (isMainThread) main(Number(process.argv[2]), Number(process.argv[3]));
else work(workerData);

async function main(port, rounds) {
  let answered = 0;
  let left = rounds;
  const lane = async (seed) => {
    while (left-- > 0) {
      const worker = new Worker(__filename, { workerData: { port, round: left } });
      const failed = new Promise((_, reject) => worker.once('error', reject));
      failed.catch(() => undefined);
      await Promise.race([failed, new Promise((resolve) => worker.once('message', resolve))]);
      answered++;
      // Times spread over what the worker does: connecting, submitting, waiting, being answered.
      await new Promise((resolve) => setTimeout(resolve, (left * 7 + seed) % 23));
      await Promise.race([failed, worker.terminate()]);
    }
  };
  await Promise.all([lane(0), lane(11), lane(17)]);
  const { RedisService } = require('../../../index.js');
  const redis = new RedisService({ host: '127.0.0.1', port });
  await redis.set('after', 'still works');
  // What the terminated threads held is closed; our own connection and this one are left.
  let connected = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 200 && connected > 2; attempt++) {
    const list = await redis.call('CLIENT', 'LIST');
    connected = list.trim().split('\n').length;
    if (connected > 2) await new Promise((resolve) => setTimeout(resolve, 25));
  }
  process.stdout.write(JSON.stringify({ answered, connected, value: await redis.get('after') }));
}

function work({ port, round }) {
  const { RedisService } = require('../../../index.js');
  // Every second worker shares the connection with the others; every third has a strategy in JavaScript.
  const options = { host: '127.0.0.1', port, connectionName: round % 2 ? 'shared' : `own-${round}` };
  if (round % 3 === 0) options.retryStrategy = () => 10;
  const redis = new RedisService(options);
  redis.on('state', () => undefined);
  let first = true;
  const next = () => {
    redis.get(`key:${round}`).then(() => {
      if (first) parentPort.postMessage('answered');
      first = false;
      next();
    });
  };
  for (let i = 0; i < 64; i++) next();
}
