// 1,000 requests a second to cached routes, and 20 to cold ones, of a web server: with Redis there, silent (a proxy takes
// its bytes and closes nothing), and there again. Fails when the cached ones' p99 is 5 ms or more while it is silent, when a
// cold one waits for longer than the cache's deadline for Redis, or when Redis is not used again without a restart.
//
//   npm run bench:outage [-- --seconds 10]
import { fork } from 'node:child_process';
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { ask } from '../harness/server-info.mjs';
import { format, table } from '../harness/statistics.mjs';
import { testTools } from '../harness/test-tools.mjs';

const RATE = 1_000;
const COLD_RATE = 20;
const ROUTES = 100;
const TARGET_MS = 5;
/** The deadline of what a cache can do without, 1 s, and what a busy machine adds. */
const COLD_TARGET_MS = 1_250;

const { values: options } = parseArgs({ options: { seconds: { type: 'string', default: '10' } } });
const seconds = Number(options.seconds);
const { FlakyProxy } = await testTools();
const redis = await startRedis();
const proxy = await FlakyProxy.start({ port: redis.port });
const child = fork(new URL('./child.mjs', import.meta.url), [String(proxy.port)]);
const port = await new Promise((resolve) => child.once('message', resolve));
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

/** Milliseconds that a request took. */
function request(path) {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, (response) => {
      response.on('error', reject);
      if (path === '/coherent') response.once('data', (chunk) => resolve(String(chunk)));
      else response.resume().once('end', () => resolve(performance.now() - started));
    }).on('error', reject);
  });
}

let cold = 0;
async function load(label) {
  const requests = { cached: [], cold: [] };
  const started = performance.now();
  let sent = 0;
  let sentCold = 0;
  for (;;) {
    const elapsed = performance.now() - started;
    if (elapsed > seconds * 1000) break;
    for (; sent < (elapsed * RATE) / 1000; sent++) requests.cached.push(request(`/cached/${sent % ROUTES}`));
    for (; sentCold < (elapsed * COLD_RATE) / 1000; sentCold++) requests.cold.push(request(`/cold/${++cold}`));
    await sleep(1);
  }
  const quantiles = async (pending) => {
    const sorted = (await Promise.all(pending)).sort((a, b) => a - b);
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
    return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) };
  };
  return { label, cached: await quantiles(requests.cached), cold: await quantiles(requests.cold) };
}

const coherent = async () => {
  const end = performance.now() + 15_000;
  while ((await request('/coherent')) !== 'true') {
    if (performance.now() > end) throw new Error('Redis was not used again within 15 s');
    await sleep(50);
  }
};

try {
  console.log(machine(redis, ['oxcart']));
  await coherent();
  for (let route = 0; route < ROUTES; route++) await request(`/cached/${route}`);
  await load('warm-up');
  const phases = [await load('Redis there')];
  proxy.silence();
  phases.push(await load('Redis silent'));
  proxy.heal();
  await coherent();
  phases.push(await load('Redis there again'));
  const cells = ({ count, p50, p99, max }) => [String(count), format(p50, 2), format(p99, 2), format(max, 1)];
  console.log(
    `\n### ${RATE} requests a second to cached routes, ${COLD_RATE} to cold ones, milliseconds at the client\n`,
  );
  console.log(
    table(
      ['phase', 'routes', 'requests', 'p50', 'p99', 'max'],
      phases.flatMap(({ label, cached, cold: never }) => [
        [label, 'cached', ...cells(cached)],
        [label, 'cold', ...cells(never)],
      ]),
    ),
  );
  const silent = phases[1];
  const failures = [
    silent.cached.p99 >= TARGET_MS && `cached routes had a p99 of ${format(silent.cached.p99, 2)} ms`,
    silent.cold.max > COLD_TARGET_MS && `a cold route took ${format(silent.cold.max, 0)} ms`,
    (await ask(redis.port, 'EXISTS', `outage:/cold/${cold}`)) !== '1' && 'the last value is not in Redis',
  ].filter(Boolean);
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  process.exitCode = failures.length > 0 ? 1 : 0;
} finally {
  child.disconnect();
  agent.destroy();
  await proxy.stop();
  await redis.stop();
}
