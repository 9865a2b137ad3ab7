// What crossing between JavaScript and Rust costs the main thread, by the size and the alphabet of a value.
//
//   npm run bench:boundary [-- --rounds 5]
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { alternate } from '../harness/rounds.mjs';
import { format, median, table, withRange } from '../harness/statistics.mjs';

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } });
const contenders = ['oxcart', 'ioredis', 'lean JS'];
const alphabets = [
  { alphabet: 'ASCII', text: 'x', lean: true },
  { alphabet: 'French', text: 'déjà vu, élève ', lean: false },
  { alphabet: 'Chinese', text: '汉字', lean: false },
];
const sizes = [
  { length: 100, operations: 100_000 },
  { length: 1024, operations: 60_000 },
  { length: 16_384, operations: 8000 },
];

const server = await startRedis();
try {
  console.log(machine(server, ['oxcart', 'ioredis']));
  const script = new URL('./child.mjs', import.meta.url);
  const rounds = Number(options.rounds);
  const floor = await alternate({
    script,
    contenders: ['oxcart'],
    rounds,
    job: { measurement: 'native call', operations: 1_000_000 },
  });
  console.log(
    `\nA native call that does nothing: ${withRange(
      floor.get('oxcart').map((result) => result.mainNanos),
      0,
    )} ns\n`,
  );

  const rows = [];
  for (const measurement of ['get', 'set']) {
    for (const { alphabet, text, lean } of alphabets) {
      for (const { length, operations } of sizes) {
        // The control handles one-byte strings only.
        const able = contenders.filter((contender) => lean || contender !== 'lean JS');
        const results = await alternate({
          script,
          contenders: able,
          rounds,
          job: { port: server.port, measurement, operations, text, length },
        });
        const column = (contender, field) => results.get(contender)?.map((result) => result[field] / 1000);
        const ratio = median(column('ioredis', 'mainNanos')) / median(column('oxcart', 'mainNanos'));
        rows.push([
          `${measurement} ${alphabet}, ${format(length, 0)} characters`,
          ...contenders.map((contender) =>
            able.includes(contender) ? withRange(column(contender, 'mainNanos')) : '–',
          ),
          `${format(ratio, 1)}x`,
          withRange(column('oxcart', 'totalNanos')),
        ]);
      }
    }
  }
  console.log('Main-thread microseconds per operation, 64 in flight, median (range)\n');
  console.log(table(['operation', ...contenders, 'ioredis / oxcart', 'oxcart, all threads'], rows));
} finally {
  await server.stop();
}
