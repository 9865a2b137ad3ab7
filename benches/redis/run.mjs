// Many commands at once, and large and many-valued replies, against one private redis-server, all contenders alternating.
//
//   npm run bench:redis                          every scenario, 5 rounds
//   npm run bench:redis -- --only "GET of 1 MB"  one scenario
//   npm run bench:redis -- --rounds 3 --milliseconds 1000 --contenders oxcart,ioredis
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { alternate } from '../harness/rounds.mjs';
import { format, median, table, withRange } from '../harness/statistics.mjs';
import { clients } from './clients.mjs';
import { scenarios } from './scenarios.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    milliseconds: { type: 'string', default: '1500' },
    contenders: { type: 'string', default: Object.keys(clients).join(',') },
    only: { type: 'string' },
  },
});

const contenders = options.contenders.split(',');
const server = await startRedis();
try {
  console.log(machine(server, ['oxcart', 'ioredis', 'redis']));
  console.log('TCP loopback. Median (range). CPU in microseconds per operation: a pipeline is one.');
  for (const scenario of Object.keys(scenarios)) {
    if (options.only && options.only !== scenario) continue;
    const results = await alternate({
      script: new URL('./child.mjs', import.meta.url),
      contenders,
      rounds: Number(options.rounds),
      job: { port: server.port, milliseconds: Number(options.milliseconds), scenario },
    });
    report(scenario, results);
  }
} finally {
  await server.stop();
}

function report(scenario, results) {
  const column = (contender, field) => results.get(contender).map((result) => result[field]);
  const base = contenders.includes('ioredis') ? median(column('ioredis', 'mainMicros')) : Number.NaN;
  const rows = contenders.map((contender) => [
    contender,
    withRange(column(contender, 'perSecond'), 0),
    withRange(column(contender, 'mainMicros')),
    withRange(column(contender, 'totalMicros')),
    Number.isNaN(base) ? '–' : `${format(base / median(column(contender, 'mainMicros')), 1)}x`,
    withRange(column(contender, 'p50'), 0),
    withRange(column(contender, 'p99'), 0),
  ]);
  const head = ['client', 'ops/s', 'main us/op', 'total us/op', 'ioredis main / its main', 'p50 us', 'p99 us'];
  console.log(`\n### ${scenario}, ${scenarios[scenario].inFlight} in flight\n`);
  console.log(table(head, rows));
}
