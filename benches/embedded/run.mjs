// The engine in this process beside a real Redis on a unix socket, and beside a queue on SQLite; alternating.
//
//   npm run bench:embedded [-- --rounds 5] [-- --only "queue 100"]
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { alternate } from '../harness/rounds.mjs';
import { format, median, table, withRange } from '../harness/statistics.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, only: { type: 'string' } },
});
const OURS = ['oxcart, memory://', 'oxcart, Redis on a unix socket'];
const BASE = OURS[1];
const queues = [...OURS, 'plainjob on better-sqlite3'];
const scenarios = [
  { name: 'queue 1', script: './queue-child.mjs', contenders: queues, job: { concurrency: 1, jobs: 4_000 } },
  { name: 'queue 16', script: './queue-child.mjs', contenders: queues, job: { concurrency: 16, jobs: 10_000 } },
  { name: 'queue 100', script: './queue-child.mjs', contenders: queues, job: { concurrency: 100, jobs: 20_000 } },
  { name: 'cache 1', script: './cache-child.mjs', contenders: OURS, job: { concurrency: 1, reads: 20_000 } },
  { name: 'cache 100', script: './cache-child.mjs', contenders: OURS, job: { concurrency: 100, reads: 100_000 } },
];
const TITLES = { added: 'add', processed: 'process', hits: 'hits past level 1', misses: 'misses past level 1' };

const server = await startRedis();
try {
  console.log(machine(server, ['oxcart', 'plainjob', 'better-sqlite3']));
  console.log(
    'A job of about 200 bytes, an async processor that reads it. Median (range); CPU in microseconds per call.',
  );
  for (const { name, script, contenders, job } of scenarios) {
    if (options.only && options.only !== name) continue;
    const results = await alternate({
      script: new URL(script, import.meta.url),
      contenders,
      rounds: Number(options.rounds),
      job: { socket: server.socket, ...job },
    });
    for (const part of Object.keys(results.get(BASE)[0])) {
      const column = (contender, field) => results.get(contender).map((result) => result[part][field]);
      const base = median(column(BASE, 'perSecond'));
      console.log(`\n### ${name.split(' ')[0]}: ${TITLES[part]}, ${job.concurrency} at a time\n`);
      console.log(
        table(
          ['contender', 'per second', 'times Redis', 'main us', 'total us'],
          contenders.map((contender) => [
            contender,
            withRange(column(contender, 'perSecond'), 0),
            `${format(median(column(contender, 'perSecond')) / base, 1)}x`,
            withRange(column(contender, 'mainMicros'), 1),
            withRange(column(contender, 'totalMicros'), 1),
          ]),
        ),
      );
    }
  }
} finally {
  await server.stop();
}
