// One contender, one scenario, one process. Prints its figures as JSON.
import { createRequire } from 'node:module';
import { measure } from '../harness/cpu.mjs';
import { percentile } from '../harness/statistics.mjs';
import { clients } from './clients.mjs';
import { scenarios } from './scenarios.mjs';

const WARM_UP_MS = 400;

const { contender, port, scenario, milliseconds } = JSON.parse(process.argv[2]);
const { inFlight, fill, run, isRight } = scenarios[scenario];
if (fill) {
  const { RedisService } = createRequire(import.meta.url)('../../index.js');
  const filler = new RedisService({ host: '127.0.0.1', port });
  await filler.flushall();
  await fill((command, ...args) => filler.call(command, ...args));
  await filler.close();
}
const client = await clients[contender]({ port });
const first = await run(client);
if (!isRight(first)) throw new Error(`${contender} answers something else to ${scenario}`);

/** `inFlight` callers, each issuing its next call when the last one is answered. */
async function load(milliseconds, latencies) {
  const until = performance.now() + milliseconds;
  let done = 0;
  const caller = async () => {
    do {
      const start = performance.now();
      await run(client);
      latencies?.push((performance.now() - start) * 1000);
      done += 1;
    } while (performance.now() < until);
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return done;
}

await load(WARM_UP_MS);
globalThis.gc?.();
const latencies = [];
const end = measure();
const done = await load(milliseconds, latencies);
const { mainMicros, totalMicros, seconds } = end();
console.log(
  JSON.stringify({
    perSecond: done / seconds,
    mainMicros: mainMicros / done,
    totalMicros: totalMicros / done,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
  }),
);
await client.close();
// A contender may keep the process alive; its figures are already out.
process.exit(0);
