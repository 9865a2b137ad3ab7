// One contender: a subscriber here, a publisher in a process of its own. Prints the figures of both as JSON.
import { measure } from '../harness/cpu.mjs';
import { runChild } from '../harness/rounds.mjs';
import { percentile } from '../harness/statistics.mjs';
import { clients } from './clients.mjs';

const WARM_UP_MS = 500;
const ARRIVAL_DEADLINE_MS = 30_000;

const job = JSON.parse(process.argv[2]);
const client = clients[job.contender](job);
let received = 0;
let misplaced = 0;
let last = 0;
const latencies = [];
await client.subscribe('bench', ({ id, at }) => {
  received += 1;
  if (id !== last + 1) misplaced += 1;
  last = id;
  latencies.push(Number(process.hrtime.bigint() / 1_000n) - at);
});

const publish = (milliseconds) => runChild(new URL('./publisher.mjs', import.meta.url), { ...job, milliseconds });
await publish(WARM_UP_MS);
[received, misplaced, last, latencies.length] = [0, 0, 0, 0];
const end = measure();
const { sent, perSecond, mainMicros: publisherMicros } = await publish(job.milliseconds);
const deadline = performance.now() + ARRIVAL_DEADLINE_MS;
while (received < sent && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 1));
const { mainMicros, totalMicros } = end();
await client.close();
console.log(
  JSON.stringify({
    perSecond,
    lost: sent - received,
    misplaced,
    publisherMicros,
    mainMicros: mainMicros / received,
    totalMicros: totalMicros / received,
    p50: percentile(latencies, 0.5) / 1_000,
    p99: percentile(latencies, 0.99) / 1_000,
  }),
);
