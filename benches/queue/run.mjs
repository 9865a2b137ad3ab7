// Jobs added and processed beside BullMQ and Bull, all on one private redis-server, alternating.
//
//   npm run bench:queue [-- --rounds 5] [-- --only "process 100"] [-- --without bull]
//
// `--only` names a scenario: add, addBulk or process with its concurrency, "latency 1", "memory", "floor", "clean".
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { alternate } from '../harness/rounds.mjs';
import { format, median, table, withRange } from '../harness/statistics.mjs';
import { cleanBesideWork } from './clean.mjs';
import { leastServerCpu } from './floor.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    without: { type: 'string', multiple: true, default: [] },
  },
});
const contenders = ['oxcart', 'bullmq', 'bull'].filter((name) => !options.without.includes(name));
const scenarios = [
  { scenario: 'add', concurrency: 1, jobs: 4000 },
  { scenario: 'add', concurrency: 100, jobs: 20_000 },
  { scenario: 'addBulk', concurrency: 500, jobs: 50_000 },
  { scenario: 'process', concurrency: 1, jobs: 4000 },
  { scenario: 'process', concurrency: 16, jobs: 20_000 },
  { scenario: 'process', concurrency: 100, jobs: 30_000 },
  { scenario: 'latency', concurrency: 1, jobs: 500 },
  { scenario: 'memory', jobs: 1_000_000, rounds: 1 },
];
const titles = {
  add: (concurrency) => `adding one by one, ${concurrency} in flight`,
  addBulk: () => 'addBulk, 500 a call',
  process: (concurrency) => `processing, ${concurrency} at a time`,
  latency: () => 'from add to the start of an idle processor, microseconds',
  memory: () => 'memory of 1,000,000 waiting jobs in redis-server, bytes a job',
};

function throughputTable(results) {
  const column = (name, field) => results.get(name).map((result) => result[field]);
  const ours = median(column('oxcart', 'perSecond'));
  return table(
    ['queue', 'jobs/s', 'oxcart has', 'main us/job', 'total us/job', 'redis-server us/job'],
    contenders.map((name) => [
      name,
      withRange(column(name, 'perSecond'), 0),
      `${format(ours / median(column(name, 'perSecond')), 1)}x`,
      withRange(column(name, 'mainMicros'), 1),
      withRange(column(name, 'totalMicros'), 1),
      withRange(column(name, 'serverMicros'), 1),
    ]),
  );
}

function plainTable(results) {
  const fields = Object.keys(results.get(contenders[0])[0]);
  return table(
    ['queue', ...fields],
    contenders.map((name) => [
      name,
      ...fields.map((field) =>
        withRange(
          results.get(name).map((result) => result[field]),
          0,
        ),
      ),
    ]),
  );
}

const server = await startRedis();
try {
  console.log(machine(server, ['oxcart', 'bullmq', 'bull', 'ioredis']));
  console.log(
    'TCP loopback, default options, a job of about 200 bytes, an async processor that does nothing. Median (range); CPU in microseconds per job.',
  );
  for (const { rounds = Number(options.rounds), ...scenario } of scenarios) {
    const name = [scenario.scenario, scenario.concurrency].filter(Boolean).join(' ');
    if (options.only && options.only !== name) continue;
    const results = await alternate({
      script: new URL('./child.mjs', import.meta.url),
      contenders,
      rounds,
      job: { port: server.port, ...scenario },
    });
    console.log(`\n### ${titles[scenario.scenario](scenario.concurrency)}\n`);
    console.log('perSecond' in results.get('oxcart')[0] ? throughputTable(results) : plainTable(results));
  }
  if (!options.only || options.only === 'floor') {
    console.log(await leastServerCpu(server.port, Number(options.rounds)));
  }
  if (!options.only || options.only === 'clean') console.log(await cleanBesideWork(server.port));
} finally {
  await server.stop();
}
