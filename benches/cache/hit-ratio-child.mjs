// Replays one trace and counts what level 1 has; level 2 is the engine in this process. Prints hit ratios as JSON.
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

const open = (prefix, level1) => {
  const cache = new CacheService({ redis: { url: 'memory://traces' }, prefix, level1: { ttl: 86_400, ...level1 } });
  cache.on('error', (error) => {
    throw error;
  });
  return cache;
};
const read = (cache, name) => cache.getOrSet(name, () => 1, 86_400);
const level1 = async (cache) => (await cache.getStats()).levels.level1;

/** What level 1 counts for an entry. */
async function entryBytes() {
  const cache = open('one:', { maxSize: 1 << 20 });
  await read(cache, '00000000');
  const { memoryUsed, keyCount } = await level1(cache);
  await cache.close();
  if (keyCount !== 1) throw new Error(`expected one entry in level 1, found ${keyCount}`);
  return memoryUsed;
}

const bytes = await entryBytes();
const ratios = [];
for (const share of shares) {
  const cache = open(`trace-${share}:`, { maxSize: Math.round(names.size * share) * bytes, strategy });
  for (const key of requests) await read(cache, names.get(key));
  const { hits, misses } = await level1(cache);
  if (hits + misses < requests.length)
    throw new Error(`${requests.length} requests, ${hits + misses} reads of level 1`);
  ratios.push((100 * hits) / (hits + misses));
  await cache.close();
}
console.log(JSON.stringify({ ratios, requests: requests.length, keys: names.size }));
process.exit(0);
