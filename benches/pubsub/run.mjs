// Messages published at an even rate to one subscriber, both ends of one contender, each in a process of its own.
//
//   npm run bench:pubsub                              50,000 messages a second, 5 rounds of 5 seconds
//   npm run bench:pubsub -- --rate 10000 --rounds 3 --milliseconds 2000
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { alternate } from '../harness/rounds.mjs';
import { table, withRange } from '../harness/statistics.mjs';
import { clients } from './clients.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    rate: { type: 'string', default: '50000' },
    milliseconds: { type: 'string', default: '5000' },
    contenders: { type: 'string', default: Object.keys(clients).join(',') },
  },
});

const server = await startRedis();
try {
  console.log(machine(server, ['oxcart', 'ioredis']));
  console.log('TCP loopback, JSON messages of about 150 bytes. Median (range). CPU in microseconds per message.');
  const contenders = options.contenders.split(',');
  const results = await alternate({
    script: new URL('./child.mjs', import.meta.url),
    contenders,
    rounds: Number(options.rounds),
    job: { port: server.port, rate: Number(options.rate), milliseconds: Number(options.milliseconds) },
  });
  const rows = contenders.map((contender) => {
    const column = (field) => results.get(contender).map((result) => result[field]);
    return [
      contender,
      withRange(column('perSecond').map((perSecond) => perSecond / 1_000)),
      withRange(column('p50')),
      withRange(column('p99')),
      withRange(column('mainMicros')),
      withRange(column('totalMicros')),
      withRange(column('publisherMicros')),
      String(column('lost').reduce((sum, lost) => sum + lost, 0)),
      String(column('misplaced').reduce((sum, misplaced) => sum + misplaced, 0)),
    ];
  });
  const head = ['client', 'k published/s', 'end to end p50 ms', 'p99 ms', 'subscriber main us', 'subscriber total us'];
  console.log(`\n### ${options.rate} messages a second to one subscriber\n`);
  console.log(table([...head, 'publisher main us', 'lost', 'out of order'], rows));
} finally {
  await server.stop();
}
