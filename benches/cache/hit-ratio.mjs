// Hit ratios of level 1 on recorded traces: files of big-endian signed 32-bit keys, compressed with xz, one key a request.
//
//   node benches/cache/hit-ratio.mjs --traces <folder> [--limit 1000000]
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runChild } from '../harness/rounds.mjs';
import { table } from '../harness/statistics.mjs';

const { values: options } = parseArgs({
  options: { traces: { type: 'string' }, limit: { type: 'string', default: '1000000000' } },
});
if (options.traces === undefined) throw new Error('--traces is missing: the folder of the *.trace.xz files');
const shares = [0.01, 0.05, 0.1];
const rows = [];
for (const name of readdirSync(options.traces).filter((file) => file.endsWith('.trace.xz'))) {
  for (const strategy of ['LRU', 'LFU']) {
    const job = { file: join(options.traces, name), strategy, shares, limit: Number(options.limit) };
    const { ratios, requests, keys } = await runChild(new URL('./hit-ratio-child.mjs', import.meta.url), job);
    rows.push([name, strategy, String(requests), String(keys), ...ratios.map((ratio) => ratio.toFixed(1))]);
  }
}
console.log('\n### Hits of level 1 in %, by capacity as a part of the unique keys\n');
console.log(table(['trace', 'strategy', 'requests', 'keys', ...shares.map((share) => `${share * 100} %`)], rows));
