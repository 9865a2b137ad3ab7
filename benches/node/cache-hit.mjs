// What a cache hit costs, in nanoseconds: `node benches/node/cache-hit.mjs`. Starts a private redis-server.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';

const require = createRequire(import.meta.url);
const { CacheService } = require('../../index.js');

const KEYS = 1_000;
const HITS = 1_000_000;
const ROUNDS = 7;

const port = await new Promise((resolve) => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});
const server = spawn(
  'redis-server',
  ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
  {
    stdio: 'ignore',
  },
);
process.once('exit', () => server.kill('SIGKILL'));

// The first connection attempts may come before the server listens, and are not worth a warning.
process.removeAllListeners('warning');
const options = { redis: { host: '127.0.0.1', port }, prefix: 'bench:', level1: { ttl: 3600 } };
const caches = {
  shared: new CacheService(options),
  copies: new CacheService({ ...options, clone: true }),
};
const user = (id) => ({
  id,
  name: `User ${id}`,
  email: `user${id}@example.org`,
  roles: ['reader', 'author'],
  settings: { theme: 'dark', language: 'en', notifications: true },
  createdAt: '2026-02-07T10:00:00.000Z',
});
const names = Array.from({ length: KEYS }, (_, id) => `user:profile:${id}`);
const tagged = names.map((name) => `tagged:${name}`);
const factory = () => {
  throw new Error('a hit was a miss');
};
await caches.shared.ping();
for (const [id, name] of names.entries()) {
  await caches.shared.getOrSet(name, () => user(id));
  await caches.copies.get(name);
  await caches.shared.getOrSet(tagged[id], () => user(id), { tags: ['users', `user:${id}`] });
}

const plain = new Map(names.map((name, id) => [name, user(id)]));
const promises = names.map((_, id) => Promise.resolve(user(id)));
const contenders = {
  'await of a stored promise': (count) => awaited(count, (turn) => promises[turn % KEYS]),
  'Map.get': async (count) => {
    let sum = 0;
    for (let turn = 0; turn < count; turn++) sum += plain.get(names[turn % KEYS]).id;
    return sum;
  },
  'getOrSet, not awaited': async (count) => {
    let same = 0;
    for (let turn = 0; turn < count; turn++) if (caches.shared.getOrSet(names[turn % KEYS], factory)) same++;
    return same;
  },
  'await getOrSet': (count) => awaited(count, (turn) => caches.shared.getOrSet(names[turn % KEYS], factory)),
  'await get': (count) => awaited(count, (turn) => caches.shared.get(names[turn % KEYS])),
  'await getOrSet, entry with two tags': (count) =>
    awaited(count, (turn) => caches.shared.getOrSet(tagged[turn % KEYS], factory)),
  'await getOrSet, clone: true': (count) =>
    awaited(count / 10, (turn) => caches.copies.getOrSet(names[turn % KEYS], factory)),
};

async function awaited(count, read) {
  let sum = 0;
  for (let turn = 0; turn < count; turn++) sum += (await read(turn)).id;
  return sum;
}

const times = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
for (let round = 0; round <= ROUNDS; round++) {
  for (const [name, run] of Object.entries(contenders)) {
    const count = name.includes('clone') ? HITS / 10 : HITS;
    // Time on the processor: other work on the machine then matters less.
    const started = process.cpuUsage();
    await run(HITS);
    // The first round warms up.
    if (round > 0) {
      const { user, system } = process.cpuUsage(started);
      times[name].push(((user + system) * 1000) / count);
    }
  }
}
for (const [name, list] of Object.entries(times)) {
  list.sort((a, b) => a - b);
  const [low, median, high] = [list[0], list[list.length >> 1], list.at(-1)].map((nanos) => nanos.toFixed(1));
  console.log(`${name.padEnd(38)} ${median.padStart(8)} ns   (${low} to ${high})`);
}
await Promise.all(Object.values(caches).map((cache) => cache.close()));
server.kill();
