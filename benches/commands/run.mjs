// GET, SET and mixed traffic against one private redis-server, all contenders alternating.
//
//   npm run bench:commands                      every scenario, 5 rounds
//   npm run bench:commands -- --only "get 128"  one scenario
//   npm run bench:commands -- --rounds 3 --milliseconds 1000 --contenders oxcart,ioredis
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { alternate } from '../harness/rounds.mjs';
import { format, median, table, withRange } from '../harness/statistics.mjs';
import { clients } from './clients.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    milliseconds: { type: 'string', default: '1500' },
    contenders: { type: 'string', default: Object.keys(clients).join(',') },
    only: { type: 'string' },
  },
});

const scenarios = [
  ...['get', 'set', 'mixed'].flatMap((operation) =>
    [1, 16, 128, 1024].map((inFlight) => ({
      name: `${operation} ${inFlight}`,
      operation,
      inFlight,
      arrivals: 'closed',
      timer: inFlight === 1024 && operation === 'get',
    })),
  ),
  { name: 'get 128 spread', operation: 'get', inFlight: 128, arrivals: 'spread' },
];

const server = await startRedis();
try {
  console.log(machine(server, ['oxcart', 'ioredis', 'redis', '@valkey/valkey-glide']));
  console.log('TCP loopback, 100-byte values. Median (range). CPU in microseconds per operation.');
  for (const scenario of scenarios) {
    if (options.only && options.only !== scenario.name) continue;
    const contenders = options.contenders.split(',');
    const results = await alternate({
      script: new URL('./child.mjs', import.meta.url),
      contenders,
      rounds: Number(options.rounds),
      job: { port: server.port, milliseconds: Number(options.milliseconds), ...scenario },
    });
    report(scenario, contenders, results);
  }
} finally {
  await server.stop();
}

function report(scenario, contenders, results) {
  const column = (contender, field) => results.get(contender).map((result) => result[field]);
  const base = contenders.includes('ioredis') ? median(column('ioredis', 'mainMicros')) : Number.NaN;
  const rows = contenders.map((contender) => [
    contender,
    withRange(column(contender, 'perSecond').map((perSecond) => perSecond / 1000)),
    withRange(column(contender, 'mainMicros')),
    withRange(column(contender, 'totalMicros')),
    Number.isNaN(base) ? '–' : `${format(base / median(column(contender, 'mainMicros')), 1)}x`,
    withRange(column(contender, 'p50'), 0),
    withRange(column(contender, 'p99'), 0),
    ...(scenario.timer ? [withRange(column(contender, 'timerP99'), 1)] : []),
  ]);
  const head = ['client', 'k ops/s', 'main us/op', 'total us/op', 'ioredis main / its main', 'p50 us', 'p99 us'];
  if (scenario.timer) head.push('1 ms timer, p99 lateness ms');
  console.log(`\n### ${scenario.operation}, ${scenario.inFlight} in flight, ${scenario.arrivals} arrivals\n`);
  console.log(table(head, rows));
}
