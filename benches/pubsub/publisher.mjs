// Publishes at an even rate: as many messages each millisecond as are due by the clock, whatever the answers do.
import { measure } from '../harness/cpu.mjs';
import { clients } from './clients.mjs';

const { contender, port, rate, milliseconds } = JSON.parse(process.argv[2]);
const client = clients[contender]({ port });
const text = 'x'.repeat(100);
const began = performance.now();
const end = measure();
let sent = 0;
let answered = 0;
const failures = [];
const send = () => {
  sent += 1;
  // One clock for all processes of a machine.
  const message = { id: sent, at: Number(process.hrtime.bigint() / 1_000n), text };
  client.publish('bench', message).then(
    () => {
      answered += 1;
    },
    (error) => failures.push(error),
  );
};
await new Promise((resolve) => {
  const timer = setInterval(() => {
    const elapsed = Math.min(performance.now() - began, milliseconds);
    for (const due = Math.floor((elapsed / 1_000) * rate); sent < due; ) send();
    if (elapsed === milliseconds) {
      clearInterval(timer);
      resolve();
    }
  }, 1);
});
while (answered + failures.length < sent) await new Promise((resolve) => setTimeout(resolve, 1));
const { mainMicros, seconds } = end();
if (failures.length > 0) throw failures[0];
await client.close();
console.log(JSON.stringify({ sent, perSecond: sent / seconds, mainMicros: mainMicros / sent }));
