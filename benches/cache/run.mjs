// An awaited getOrSet that finds its value in process: 1,000 keys, JSON objects of about 200 bytes.
//
//   npm run bench:cache [-- --rounds 5]
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { alternate } from '../harness/rounds.mjs';
import { format, median, table, withRange } from '../harness/statistics.mjs';

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } });
const contenders = [
  'oxcart',
  'lru-cache',
  'lru-cache fetch()',
  'bentocache',
  'bentocache, memory only, not serialized',
];
const HITS = 400_000;

const server = await startRedis();
try {
  console.log(machine(server, ['oxcart', 'lru-cache', 'bentocache']));
  const results = await alternate({
    script: new URL('./child.mjs', import.meta.url),
    contenders,
    rounds: Number(options.rounds),
    job: { port: server.port, hits: HITS, keys: 1000 },
  });
  const column = (contender, field) => results.get(contender).map((result) => result[field]);
  const base = median(column('oxcart', 'nanos'));
  console.log('\n### Awaited getOrSet hit, median (range) in nanoseconds\n');
  console.log(
    table(
      ['cache', 'ns per hit', 'main CPU ns', 'total CPU ns', 'times oxcart'],
      contenders.map((contender) => [
        contender,
        withRange(column(contender, 'nanos'), 0),
        withRange(column(contender, 'mainNanos'), 0),
        withRange(column(contender, 'totalNanos'), 0),
        `${format(median(column(contender, 'nanos')) / base, 1)}x`,
      ]),
    ),
  );
} finally {
  await server.stop();
}
