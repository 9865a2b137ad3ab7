// Replays one trace against level 1 alone: there is no server, so every miss asks the factory. Prints hit ratios as JSON.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { CacheService } = require('../../index.js');
const { file, strategy, shares, limit } = JSON.parse(process.argv[2]);

const packed = execFileSync('xz', ['-dc', file], { maxBuffer: 1 << 30 });
const requests = new Int32Array(Math.min(packed.length / 4, limit));
for (let at = 0; at < requests.length; at += 1) requests[at] = packed.readInt32BE(at * 4);
const names = new Map();
for (const key of requests) if (!names.has(key)) names.set(key, String(names.size).padStart(8, '0'));

/** A key of eight characters, the text `1`, and `OVERHEAD` of `src/cache/local_tier.rs`. */
const ENTRY_BYTES = 8 + 1 + 536;

const ratios = [];
for (const share of shares) {
  const capacity = Math.round(names.size * share);
  const cache = new CacheService({
    // Nobody listens there, and nobody asks again.
    redis: { host: '127.0.0.1', port: 1, retryStrategy: () => null },
    prefix: `trace-${share}:`,
    level1: { maxSize: capacity * ENTRY_BYTES, ttl: 86_400, strategy },
  });
  cache.on('error', () => {});
  while (cache.state === 'CONNECTING') await new Promise((resolve) => setTimeout(resolve, 5));
  let misses = 0;
  const factory = () => {
    misses += 1;
    return 1;
  };
  for (const key of requests) await cache.getOrSet(names.get(key), factory, 86_400);
  ratios.push((100 * (requests.length - misses)) / requests.length);
  await cache.close();
}
console.log(JSON.stringify({ ratios, requests: requests.length, keys: names.size }));
process.exit(0);
