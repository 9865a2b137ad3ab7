// Locks and limiters against one private redis-server, all contenders alternating.
//
//   npm run bench:limits                                            every scenario, 5 rounds
//   npm run bench:limits -- --only lock                             one scenario
//   npm run bench:limits -- --rounds 3 --milliseconds 1000
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { alternate } from '../harness/rounds.mjs';
import { format, median, table, withRange } from '../harness/statistics.mjs';
import { contenders } from './contenders.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    milliseconds: { type: 'string', default: '1500' },
    only: { type: 'string' },
  },
});
if (options.only !== undefined && !(options.only in contenders)) {
  throw new Error(`no scenario \`${options.only}\`: there are ${Object.keys(contenders).join(', ')}`);
}

const server = await startRedis();
try {
  console.log(machine(server, ['oxcart', 'redlock', 'rate-limiter-flexible', 'ioredis']));
  console.log(
    'TCP loopback, 10,000 keys. Median (range). CPU in microseconds per operation, of a lock: taken and given back.',
  );
  for (const scenario of Object.keys(contenders)) {
    if (options.only && options.only !== scenario) continue;
    for (const inFlight of [1, 100]) {
      const results = await alternate({
        script: new URL('./child.mjs', import.meta.url),
        contenders: contenders[scenario],
        rounds: Number(options.rounds),
        job: { port: server.port, milliseconds: Number(options.milliseconds), scenario, inFlight },
      });
      report(scenario, inFlight, results);
    }
  }
} finally {
  await server.stop();
}

function report(scenario, inFlight, results) {
  const column = (contender, field) => results.get(contender).map((result) => result[field]);
  const own = median(column('oxcart', 'mainMicros'));
  const rows = [...results.keys()].map((contender) => [
    contender,
    withRange(column(contender, 'perSecond').map((perSecond) => perSecond / 1000)),
    withRange(column(contender, 'mainMicros')),
    withRange(column(contender, 'totalMicros')),
    `${format(median(column(contender, 'mainMicros')) / own, 1)}x`,
    withRange(column(contender, 'p50'), 0),
    withRange(column(contender, 'p99'), 0),
  ]);
  console.log(`\n### ${scenario}, ${inFlight} in flight\n`);
  console.log(
    table(['library', 'k ops/s', 'main us/op', 'total us/op', "its main / oxcart's main", 'p50 us', 'p99 us'], rows),
  );
}
