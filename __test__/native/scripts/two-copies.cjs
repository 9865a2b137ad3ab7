// Two copies of the package in one process, each in the main thread and in a worker thread at once.
const { isMainThread, Worker, workerData } = require('node:worker_threads');

const [port, first, second] = isMainThread ? process.argv.slice(2) : workerData;

async function use(directory, name) {
  const { RedisService, OxcartError } = require(directory);
  const redis = new RedisService({ host: '127.0.0.1', port: Number(port) });
  await Promise.all(Array.from({ length: 500 }, (_, i) => redis.incrby(`copies:${name}`, i)));
  const total = await redis.get(`copies:${name}`);
  const error = await redis.call('NONSENSE').catch((error) => error);
  if (!(error instanceof OxcartError)) throw new Error(`${name}: an error of another copy`);
  return [total, RedisService];
}

(async () => {
  const [[a, classA], [b, classB]] = await Promise.all([
    use(first, `${isMainThread}-first`),
    use(second, `${isMainThread}-second`),
  ]);
  if (classA === classB) throw new Error('not two copies');
  if (!isMainThread) return;
  const worker = new Worker(__filename, { workerData: [port, first, second] });
  const code = await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  process.stdout.write(JSON.stringify({ a, b, code }));
})();
