// One contender, one scenario, one process. Prints its figures as JSON.
import { measure } from '../harness/cpu.mjs';
import { percentile } from '../harness/statistics.mjs';
import { open } from './contenders.mjs';

const WARM_UP_MS = 400;
/** More than callers, so that nobody waits for another's lock. */
const KEYS = 10_000;

const { contender, scenario, port, inFlight, milliseconds } = JSON.parse(process.argv[2]);
const { operate, close } = await open(contender, scenario, port);

let turn = 0;
const nextKey = () => `user:${(turn = (turn + 1) % KEYS)}`;

/** `inFlight` callers, each of which begins when its last call is answered. */
async function load(milliseconds, latencies) {
  const until = performance.now() + milliseconds;
  let done = 0;
  const caller = async () => {
    while (performance.now() < until) {
      const start = performance.now();
      await operate(nextKey());
      latencies.push((performance.now() - start) * 1000);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return done;
}

await load(WARM_UP_MS, []);
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
await close();
// A contender may keep the process alive; its figures are already out.
process.exit(0);
