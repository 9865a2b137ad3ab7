// Plays every scenario with each cache and writes the table of docs/parity/cache.md.
//
//   npm run bench:scoreboard [-- --only oxcart --row tag]
//
// --only: one cache; --row: titles that contain this. With either, the table is printed and not written.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { packageVersion } from '../harness/machine.mjs';
import { ask } from '../harness/server-info.mjs';
import { testTools } from '../harness/test-tools.mjs';
import { adapters } from './adapters/index.mjs';
import { page } from './page.mjs';
import { scenarios } from './scenarios/index.mjs';

const ROW_LIMIT_MS = 60_000;
const { values: options } = parseArgs({ options: { only: { type: 'string' }, row: { type: 'string' } } });
const caches = Object.values(adapters).filter(({ name }) => options.only === undefined || name === options.only);
const rows = scenarios.filter(({ title }) => options.row === undefined || title.includes(options.row));
const script = fileURLToPath(new URL('./row.mjs', import.meta.url));

async function play(adapter, { title, needs }) {
  const missing = needs.filter((feature) => adapter.lacks.includes(feature));
  if (missing.length > 0) return { missing };
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [script, adapter.name, title], {
      timeout: ROW_LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    return JSON.parse(stdout.trim().split('\n').at(-1));
  } catch (error) {
    if (error.killed) return { wrong: `not done within ${ROW_LIMIT_MS / 1000} s` };
    return { wrong: `the process crashed: ${/^\w*Error: .*$/m.exec(error.stderr ?? '')?.[0] ?? error.message}` };
  }
}

const results = [];
for (const scenario of rows) {
  const outcomes = new Map();
  for (const adapter of caches) {
    const outcome = await play(adapter, scenario);
    outcomes.set(adapter.name, outcome);
    console.error(`${scenario.title} · ${adapter.name}: ${outcome.wrong ?? outcome.missing?.join(', ') ?? 'right'}`);
  }
  results.push({ scenario, outcomes });
}

const { RedisServer } = await testTools();
const server = await RedisServer.start();
const versions = caches.map(({ packages }) => packages.map((name) => `${name} ${packageVersion(name)}`).join(', '));
const redis = (await ask(server.port, 'INFO', 'server')).match(/redis_version:(\S+)/)[1];
await server.stop();
const text = page({ caches, results, versions, redis });
if (options.only === undefined && options.row === undefined) {
  writeFileSync(fileURLToPath(new URL('../../docs/parity/cache.md', import.meta.url)), text);
} else {
  console.log(text);
}
