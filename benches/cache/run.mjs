// getOrSet that finds its value, of 1,000 keys, JSON objects of about 200 bytes: in process (L1), awaited one by one; and in
// Redis (L2) with no level in process, 128 in flight.
//
//   npm run bench:cache [-- --rounds 5]
//   npm run bench:cache -- --only L2    one of the two
//   npm run bench:cache -- --hits 1000  so many hits in process, a tenth of that in Redis: to see that it runs
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { alternate } from '../harness/rounds.mjs';
import { format, median, table, withRange } from '../harness/statistics.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    hits: { type: 'string', default: '400000' },
  },
});
const HITS = Number(options.hits);
const levels = [
  {
    name: 'L1',
    title: 'Awaited getOrSet hit in process',
    contenders: [
      'oxcart',
      'lru-cache',
      'lru-cache fetch()',
      'bentocache',
      'bentocache, memory only, not serialized',
      'cacheable',
      'cache-manager',
    ],
    job: { hits: HITS, inFlight: 1 },
  },
  {
    name: 'L2',
    title: 'getOrSet hit in Redis, 128 in flight',
    contenders: ['oxcart, Redis only', 'bentocache, Redis only'],
    job: { hits: Math.ceil(HITS / 10), inFlight: 128 },
  },
].filter(({ name }) => options.only === undefined || name === options.only);
if (levels.length === 0) throw new Error(`--only ${options.only}: there are L1 and L2`);

const server = await startRedis();
try {
  console.log(machine(server, ['oxcart', 'lru-cache', 'bentocache', 'cacheable', 'cache-manager']));
  for (const { title, contenders, job } of levels) {
    const results = await alternate({
      script: new URL('./child.mjs', import.meta.url),
      contenders,
      rounds: Number(options.rounds),
      job: { ...job, port: server.port, keys: 1000 },
    });
    const column = (contender, field) => results.get(contender).map((result) => result[field]);
    const base = median(column(contenders[0], 'nanos'));
    console.log(`\n### ${title}, median (range) in nanoseconds\n`);
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
  }
} finally {
  await server.stop();
}
