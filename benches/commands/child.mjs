// One contender, one scenario, one process. Prints its figures as JSON.
import { measure } from '../harness/cpu.mjs';
import { percentile } from '../harness/statistics.mjs';
import { clients } from './clients.mjs';

const WARM_UP_MS = 400;
const KEYS = 1000;
const VALUE = 'x'.repeat(100);

const { contender, port, operation, inFlight, arrivals, milliseconds, timer } = JSON.parse(process.argv[2]);
const client = await clients[contender]({ port });
for (let key = 0; key < KEYS; key += 1) await client.set(`key:${key}`, VALUE);

let turn = 0;
const nextKey = () => `key:${(turn = (turn + 1) % KEYS)}`;
const operations = {
  get: () => client.get(nextKey()),
  set: () => client.set(nextKey(), VALUE),
  // Four reads to one write, as a cache in front of a database sees it.
  mixed: () => (turn % 5 === 0 ? client.set(nextKey(), VALUE) : client.get(nextKey())),
};
const operate = operations[operation];

/** `inFlight` callers, each issuing its next call when the last one is answered, until `stop` says so. */
function load(milliseconds, latencies) {
  const until = performance.now() + milliseconds;
  const sampleEvery = inFlight === 1 ? 1 : 16;
  let done = 0;
  const closedLoop = async () => {
    while (performance.now() < until) {
      // The clock is read in one round of 16, so that reading it costs a contender next to nothing.
      for (let round = 0; round < 16; round += 1) {
        if (latencies && done % sampleEvery === 0) {
          const start = performance.now();
          await operate();
          latencies.push((performance.now() - start) * 1000);
        } else {
          await operate();
        }
        done += 1;
      }
    }
  };
  // Each call is issued from a loop turn of its own, as the handlers of separate HTTP requests do.
  const spread = () =>
    new Promise((resolve, reject) => {
      let open = inFlight;
      const next = () => {
        if (performance.now() >= until) {
          open -= 1;
          if (open === 0) resolve();
          return;
        }
        const start = done % sampleEvery === 0 ? performance.now() : 0;
        operate().then(() => {
          if (start !== 0 && latencies) latencies.push((performance.now() - start) * 1000);
          done += 1;
          setImmediate(next);
        }, reject);
      };
      for (let caller = 0; caller < inFlight; caller += 1) setImmediate(next);
    });
  const callers = arrivals === 'spread' ? [spread()] : Array.from({ length: inFlight }, closedLoop);
  return Promise.all(callers).then(() => done);
}

await load(WARM_UP_MS);
globalThis.gc?.();

const lateness = [];
let timerHandle;
if (timer) {
  let due = performance.now() + 1;
  const tick = () => {
    const now = performance.now();
    lateness.push(now - due);
    due = now + 1;
    timerHandle = setTimeout(tick, 1);
  };
  timerHandle = setTimeout(tick, 1);
}
const latencies = [];
const end = measure();
const done = await load(milliseconds, latencies);
const { mainMicros, totalMicros, seconds } = end();
clearTimeout(timerHandle);

console.log(
  JSON.stringify({
    perSecond: done / seconds,
    mainMicros: mainMicros / done,
    totalMicros: totalMicros / done,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    timerP99: timer ? percentile(lateness, 0.99) : undefined,
  }),
);
await client.close();
// A contender may keep the process alive; its figures are already out.
process.exit(0);
