// Jobs added and processed beside BullMQ, both on one private redis-server, alternating.
//
//   npm run bench:queue [-- --rounds 5] [-- --only "process 100"]
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { alternate } from '../harness/rounds.mjs';
import { format, median, table, withRange } from '../harness/statistics.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, only: { type: 'string' } },
});
const contenders = ['oxcart', 'bullmq'];
const scenarios = [
  { scenario: 'add', concurrency: 1, jobs: 4000 },
  { scenario: 'add', concurrency: 16, jobs: 10_000 },
  { scenario: 'add', concurrency: 100, jobs: 20_000 },
  { scenario: 'addBulk', concurrency: 500, jobs: 20_000 },
  { scenario: 'process', concurrency: 1, jobs: 4000 },
  { scenario: 'process', concurrency: 16, jobs: 10_000 },
  { scenario: 'process', concurrency: 100, jobs: 20_000 },
];

const server = await startRedis();
try {
  console.log(machine(server, ['oxcart', 'bullmq', 'ioredis']));
  console.log(
    'TCP loopback, a job of about 200 bytes, an async processor that reads it. Median (range); CPU in microseconds per job.',
  );
  for (const scenario of scenarios) {
    const name = `${scenario.scenario} ${scenario.concurrency}`;
    if (options.only && options.only !== name) continue;
    const results = await alternate({
      script: new URL('./child.mjs', import.meta.url),
      contenders,
      rounds: Number(options.rounds),
      job: { port: server.port, ...scenario },
    });
    const column = (contender, field) => results.get(contender).map((result) => result[field]);
    const base = median(column('bullmq', 'perSecond'));
    console.log(
      `\n### ${name === 'addBulk 500' ? 'addBulk, 500 a call' : `${scenario.scenario}, ${scenario.concurrency} at a time`}\n`,
    );
    console.log(
      table(
        ['queue', 'jobs/s', 'times BullMQ', 'main us/job', 'total us/job', 'redis-server us/job'],
        contenders.map((contender) => [
          contender,
          withRange(column(contender, 'perSecond'), 0),
          `${format(median(column(contender, 'perSecond')) / base, 1)}x`,
          withRange(column(contender, 'mainMicros'), 1),
          withRange(column(contender, 'totalMicros'), 1),
          withRange(column(contender, 'serverMicros'), 1),
        ]),
      ),
    );
  }
} finally {
  await server.stop();
}
