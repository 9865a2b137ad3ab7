// Reads of a cache that pass its first level by. Prints their figures as JSON.
import { createRequire } from 'node:module';
import { measure } from '../harness/cpu.mjs';

const require = createRequire(import.meta.url);
const { contender, socket, concurrency, reads } = JSON.parse(process.argv[2]);
const { CacheService } = require('../../index.js');
const KEYS = 1000;

const url = contender === 'oxcart, memory://' ? 'memory://' : `unix://${socket}`;
const cache = new CacheService({ redis: { url }, prefix: 'bench:', level1: { enabled: false } });
for (let id = 0; id < KEYS; id += 1) {
  await cache.set(
    `user:profile:${id}`,
    { id, name: `User ${id}`, email: `user${id}@example.org`, roles: ['reader'] },
    3600,
  );
}

async function read(count, prefix, expected) {
  let next = 0;
  const reader = async () => {
    while (next < count) {
      const value = await cache.get(`${prefix}${next++ % KEYS}`);
      if ((value !== null) !== expected) throw new Error(`expected ${expected ? 'a hit' : 'a miss'}`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, reader));
}

async function measured(prefix, expected) {
  await read(reads / 5, prefix, expected);
  globalThis.gc?.();
  const end = measure();
  await read(reads, prefix, expected);
  const { mainMicros, totalMicros, seconds } = end();
  return { perSecond: reads / seconds, mainMicros: mainMicros / reads, totalMicros: totalMicros / reads };
}

const hits = await measured('user:profile:', true);
const misses = await measured('user:nobody:', false);
console.log(JSON.stringify({ hits, misses }));
await cache.close();
process.exit(0);
