// A worker's throughput before, while and after a million completed jobs are cleaned, and what the server was held up by.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { ask, waitedForCpuMs } from '../harness/server-info.mjs';
import { contender } from './contenders.mjs';

const FINISHED = 1_000_000;
/** So many jobs wait for the worker all the time. */
const WAITING = 40_000;
const BULK = 200;
const SLOW_MICROS = 10_000;
const WINDOW_MS = 4000;
/** Slower commands than this are looked through for the slowest; none of them says nothing. */
const NOTED_MICROS = 500;
const SLOWEST = `
local slowest, above = 0, 0
for _, entry in ipairs(redis.call('SLOWLOG', 'GET', '-1')) do
  slowest = math.max(slowest, entry[3])
  above = above + (entry[3] > tonumber(ARGV[1]) and 1 or 0)
end
return slowest .. ' ' .. above`;

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

/** Adds jobs as the worker does them, so that the same happens before, while and after it is measured. */
function startFeeder(queue, worker) {
  let stopped = false;
  let added = 0;
  const feeding = (async () => {
    while (!stopped) {
      if (added - worker.done() >= WAITING) await sleep(20);
      else {
        await queue.addBulk(Array.from({ length: BULK }, () => ({})));
        added += BULK;
      }
    }
  })();
  return {
    stop() {
      stopped = true;
      return feeding;
    },
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
  const worker = startWorker(port, name);
  const feeder = startFeeder(queue, worker);
  try {
    while (worker.done() < 20_000) await sleep(50);
    await ask(port, 'CONFIG', 'SET', 'slowlog-max-len', '100000');
    await ask(port, 'CONFIG', 'SET', 'slowlog-log-slower-than', String(NOTED_MICROS));
    const before = await rate(worker, sleep(WINDOW_MS));
    await ask(port, 'SLOWLOG', 'RESET');
    const [began, waited] = [performance.now(), await waitedForCpuMs(port)];
    // The worker's own jobs are younger.
    const during = await rate(worker, queue.clean(Date.now() - 1_700_000_100_000));
    const seconds = (performance.now() - began) / 1000;
    const waitedMs = (await waitedForCpuMs(port)) - waited;
    const [slowest, above] = (await ask(port, 'EVAL', SLOWEST, '0', String(SLOW_MICROS))).split(' ').map(Number);
    const after = await rate(worker, sleep(WINDOW_MS));
    const { waiting } = await queue.counts();
    if (during.result.length !== FINISHED) throw new Error(`removed ${during.result.length} of ${FINISHED} jobs`);
    if (waiting === 0) throw new Error('the worker ran out of jobs: its throughput says nothing');
    const alone = (before.perSecond + after.perSecond) / 2;
    const jobs = (number) => Math.round(number).toLocaleString('en-US');
    return [
      `\n### cleaning ${jobs(FINISHED)} completed jobs beside a worker, 16 at a time, 1 ms each\n`,
      `${jobs(during.result.length)} jobs removed in ${seconds.toFixed(1)} s; the slowest command took ` +
        `${slowest === 0 ? `less than ${NOTED_MICROS / 1000}` : (slowest / 1000).toFixed(1)} ms, ${above} took more than ` +
        `${SLOW_MICROS / 1000} ms, while the server waited ${jobs(waitedMs)} ms in all for a CPU; the worker did ${jobs(before.perSecond)} jobs/s before, ${jobs(during.perSecond)} meanwhile and ` +
        `${jobs(after.perSecond)} after (${Math.round((100 * during.perSecond) / alone)} % of alone)`,
    ].join('\n');
  } finally {
    await feeder.stop();
    await worker.stop();
    await queue.close();
  }
}
