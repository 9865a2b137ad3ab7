// Processes and threads that read answers themselves when they end, or when something is thrown.
const { isMainThread, Worker, parentPort, workerData } = require('node:worker_threads');
const { door, NativeRedis } = require('../../../dist/native.js');
const { commandCode } = require('../../../dist/redis/command-method.js');

const [GET, SET, CLIENT] = ['GET', 'SET', 'CLIENT'].map(commandCode);

function connect(port, config = {}) {
  const native = new NativeRedis(door.native, JSON.stringify({ host: '127.0.0.1', port, ...config }));
  const call = (code, ...args) => door.call(native.id, code, args);
  return { native, call };
}

async function calm({ native, call }) {
  for (let i = 0; i < 100 && !native.readsHere; i++) await call(GET, 'calm');
}

const stages = {
  /** Nothing keeps the process. */
  async end(port) {
    const client = connect(port);
    await calm(client);
    process.stdout.write(String(client.native.readsHere));
  },

  async exit(port) {
    const client = connect(port);
    await calm(client);
    process.stdout.write(String(client.native.readsHere), () => process.exit());
  },

  async 'exit-in-flight'(port) {
    const client = connect(port);
    await calm(client);
    await new Promise((resolve) => process.stdout.write(String(client.native.readsHere), resolve));
    client.call(GET, 'calm');
    process.nextTick(() => process.exit());
  },

  async throw(port) {
    const client = connect(port);
    const seen = [];
    process.on('uncaughtException', (error) => seen.push(error.message));
    process.on('unhandledRejection', (error) => seen.push(error.message));
    await client.call(SET, 'calm', 'value');
    await calm(client);
    client.call(GET, 'calm').then(() => {
      process.nextTick(() => {
        throw new Error('thrown');
      });
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.call(GET, 'calm').then(() => {
      throw new Error('rejected');
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    seen.push(await client.call(GET, 'calm'), client.native.readsHere);
    process.stdout.write(seen.join());
  },

  /** Threads on one connection, each with one call in flight and now and then many. */
  async threads(port, count) {
    const results = await Promise.all(
      Array.from({ length: count }, (_, index) => {
        const worker = new Worker(__filename, { workerData: { stage: 'share', port, index } });
        return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      }),
    );
    const sum = (field) => results.reduce((total, result) => total + Number(result[field]), 0);
    process.stdout.write(JSON.stringify({ wrong: sum('wrong'), answered: sum('answered'), read: sum('read') > 0 }));
  },

  async churn(port, rounds) {
    let [reading, left] = [0, rounds];
    const client = connect(port, { connectionName: 'shared' });
    await client.call(SET, 'calm', 'value');
    const lane = async (seed) => {
      while (left-- > 0) {
        const worker = new Worker(__filename, { workerData: { stage: 'die', port, round: left } });
        const failed = new Promise((_, reject) => worker.once('error', reject));
        failed.catch(() => undefined);
        const reads = await Promise.race([failed, new Promise((resolve) => worker.once('message', resolve))]);
        reading += Number(reads);
        // Times spread over what the worker does.
        await new Promise((resolve) => setTimeout(resolve, (left * 7 + seed) % 13));
        await Promise.race([failed, worker.terminate()]);
      }
    };
    await Promise.all([lane(0), lane(5)]);
    await calm(client);
    let connected = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 200 && connected > 2; attempt++) {
      connected = (await client.call(CLIENT, 'LIST')).trim().split('\n').length;
      if (connected > 2) await new Promise((resolve) => setTimeout(resolve, 25));
    }
    process.stdout.write(JSON.stringify({ reading, connected, value: await client.call(GET, 'calm') }));
  },
};

const threads = {
  async share({ port, index }) {
    const client = connect(port);
    let [wrong, answered, read] = [0, 0, false];
    const key = `thread:${index}`;
    while (answered < 2_000) {
      const alone = answered % 300 < 200;
      const values = Array.from({ length: alone ? 1 : 100 }, (_, nth) => `${answered + nth}`);
      const got = await Promise.all(
        values.map((value) => client.call(SET, key, value).then(() => client.call(GET, key))),
      );
      // Of many at once the last write decides; alone it is the only one.
      if (alone ? got[0] !== values[0] : got.some((value) => value !== values[99])) wrong++;
      answered += values.length;
      read ||= client.native.readsHere;
    }
    parentPort.postMessage({ wrong, answered, read });
  },

  /** Every third shares a connection with others. */
  async die({ port, round }) {
    const own = round % 3 !== 0;
    const client = connect(port, { connectionName: own ? `own-${round}` : 'shared' });
    await calm(client);
    parentPort.postMessage(client.native.readsHere);
    for (;;) await client.call(GET, 'calm');
  },
};

if (isMainThread) stages[process.argv[2]](...process.argv.slice(3).map(Number));
else threads[workerData.stage](workerData);
