// What a waiting job takes: the growth of the process with `memory://`, beside `used_memory` of a private redis-server that
// holds the same jobs. What the same process grows by when it adds the jobs to that server is not the engine's, and is taken
// off; what an engine takes once, a few megabytes, is spread over the jobs. Fails when a job takes more than 1.5 times what
// Redis needs.
//
//   npm run bench:memory [-- --jobs 1000000]
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machine } from '../harness/machine.mjs';
import { startRedis } from '../harness/redis.mjs';
import { format, table } from '../harness/statistics.mjs';

const MOST = 1.5;
const { values: options } = parseArgs({ options: { jobs: { type: 'string' } } });
const sizes = options.jobs ? [Number(options.jobs)] : [100_000, 1_000_000];

/** Bytes that redis-server has in use, as it says itself. */
function usedMemory(port) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('INFO memory\r\n'));
    let text = '';
    socket.setTimeout(5000, () => socket.destroy(new Error('INFO timed out')));
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      text += chunk;
      const found = text.match(/used_memory:(\d+)\r/);
      if (!found) return;
      resolve(Number(found[1]));
      socket.end();
    });
  });
}

function child(job) {
  const script = fileURLToPath(new URL('./child.mjs', import.meta.url));
  const output = execFileSync(process.execPath, ['--expose-gc', script, JSON.stringify(job)], { encoding: 'utf8' });
  return JSON.parse(output.trim().split('\n').pop());
}

const server = await startRedis();
let most = 0;
try {
  console.log(machine(server, ['oxcart']));
  console.log('A job of about 60 bytes of data, added 500 a call. Bytes per waiting job.\n');
  const warm = `redis://127.0.0.1:${server.port}/1`;
  const rows = [];
  for (const [index, jobs] of sizes.entries()) {
    const url = `redis://127.0.0.1:${server.port}/${index + 2}`;
    const before = await usedMemory(server.port);
    const client = child({ contender: 'redis', url, jobs, warm }).bytes;
    const redis = ((await usedMemory(server.port)) - before) / jobs;
    const embedded = (child({ contender: 'embedded', url: 'memory://', jobs, warm }).bytes - client) / jobs;
    most = Math.max(most, embedded / redis);
    rows.push([String(jobs), format(redis, 0), format(embedded, 0), `${format(embedded / redis, 2)}x`]);
  }
  console.log(table(['waiting jobs', 'redis-server', 'memory://', 'times Redis'], rows));
} finally {
  await server.stop();
}
if (most > MOST) {
  console.error(
    `A waiting job takes ${format(most, 2)} times what Redis needs; ${MOST} times is the most that is allowed.`,
  );
  process.exitCode = 1;
}
