// A worker's throughput before, and while, a million completed jobs are cleaned, and what the server was held up by.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { ask } from '../harness/server-info.mjs';
import { contender } from './contenders.mjs';

const FINISHED = 1_000_000;
const WAITING = 600_000;
const SLOW_MICROS = 10_000;
const WINDOW_MS = 4000;

/** Completed jobs as a worker leaves them. */
const SEED = `
for number = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local id = 'done-' .. number
  redis.call('HSET', KEYS[1] .. id, 'name', 'send', 'data', ARGV[1], 'opts', '{"attempts":0}', 'timestamp', '1700000000000',
    'delay', '0', 'priority', '0', 'processedOn', '1700000000001', 'ats', '1', 'returnvalue', 'null',
    'finishedOn', '1700000000002', 'atm', '1')
  redis.call('ZADD', KEYS[1] .. 'completed', 1700000000002, id)
end`;

/** A worker in a process of its own, which says every 100 ms how many jobs it has done. */
function startWorker(port, name) {
  const script = fileURLToPath(new URL('./steady-worker.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify({ port, name })], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let done = 0;
  child.stdout.setEncoding('latin1').on('data', (text) => {
    done = Number(text.trim().split('\n').at(-1));
  });
  return {
    done: () => done,
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', resolve);
        child.kill('SIGKILL');
      }),
  };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Jobs a second until `until` resolves. */
async function rate(worker, until) {
  const [done, began] = [worker.done(), performance.now()];
  const result = await until;
  return { perSecond: ((worker.done() - done) * 1000) / (performance.now() - began), result };
}

export async function cleanBesideWork(port) {
  const name = `bench-${randomUUID()}`;
  const queue = await contender('oxcart', port).open(name);
  for (let first = 1; first <= FINISHED; first += 2000) {
    const data = '{"userId":"user_2a9f","template":"welcome"}';
    await ask(port, 'EVAL', SEED, '1', queue.prefix, data, String(first), String(first + 1999));
  }
  for (let added = 0; added < WAITING; added += 5000) await queue.addBulk(Array.from({ length: 5000 }, () => ({})));
  const worker = startWorker(port, name);
  try {
    while (worker.done() < 5000) await sleep(50);
    await ask(port, 'CONFIG', 'SET', 'slowlog-log-slower-than', String(SLOW_MICROS));
    const before = await rate(worker, sleep(WINDOW_MS));
    await ask(port, 'SLOWLOG', 'RESET');
    const began = performance.now();
    // The worker's own jobs are younger.
    const during = await rate(worker, queue.clean(Date.now() - 1_700_000_100_000));
    const seconds = (performance.now() - began) / 1000;
    const slow = Number(await ask(port, 'SLOWLOG', 'LEN'));
    return [
      `\n### cleaning ${FINISHED.toLocaleString('en-US')} completed jobs beside a worker, 16 at a time, 1 ms each\n`,
      `${during.result.length.toLocaleString('en-US')} jobs removed in ${seconds.toFixed(1)} s; ${slow} commands above ${SLOW_MICROS / 1000} ms; the worker did ` +
        `${Math.round(before.perSecond).toLocaleString('en-US')} jobs/s before and ${Math.round(during.perSecond).toLocaleString('en-US')} meanwhile ` +
        `(${Math.round((100 * during.perSecond) / before.perSecond)} %)`,
    ].join('\n');
  } finally {
    await worker.stop();
    await queue.close();
  }
}
