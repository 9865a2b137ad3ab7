// What the door bounds: calls in flight, calls that wait, and how long the event loop is kept.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { door } from '../../ts/native.js';
import { RedisService } from '../../ts/redis.js';
import { RedisServer } from '../helpers/redis-server.js';

let server: RedisServer;
let redis: RedisService;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new RedisService({
    host: server.host,
    port: server.port,
    maxOfflineQueueBytes: 2 ** 30,
    commandTimeout: 60_000,
  });
  await redis.ping();
});

afterAll(async () => {
  server?.thaw();
  await redis?.close();
  await server?.stop();
});

test('beyond 256 MB in flight and 512 MB waiting, calls are refused; all others are answered', {
  timeout: 90_000,
}, async () => {
  const megabyte = Buffer.alloc(1 << 20, 1);
  server.freeze();
  const outcomes = { answered: 0, refused: 0 };
  const calls: Promise<void>[] = [];
  const start = (): void => {
    calls.push(
      redis.set('bounds', megabyte).then(
        () => {
          outcomes.answered++;
        },
        (error: { name: string; code: string; retryable: boolean }) => {
          expect(error).toMatchObject({ name: 'OverloadedError', code: 'ERR_OVERLOADED', retryable: true });
          outcomes.refused++;
        },
      ),
    );
  };
  for (let index = 0; index < 800; index++) start();
  await new Promise((resolve) => setImmediate(resolve));
  // A megabyte and its key: 255 fit in flight, 511 wait.
  expect(outcomes.refused).toBe(800 - 255 - 511);
  expect(door.pending).toBe(255 + 511);
  server.thaw();
  await Promise.all(calls);
  expect(outcomes.answered).toBe(255 + 511);
  expect(door.pending).toBe(0);
  // A call is possible again, also one that is larger than the bound for several.
  expect(await redis.set('bounds', 'small')).toBe('OK');
});

test('more than 65,536 calls wait for room, and none is lost or overtaken', async () => {
  await redis.del('bounds:n');
  const replies = await Promise.all(Array.from({ length: 150_000 }, () => redis.incr('bounds:n')));
  expect(replies.every((reply, index) => reply === index + 1)).toBe(true);
  expect(door.pending).toBe(0);
});

test('answers that come all at once let the event loop turn in between', async () => {
  await redis.set('bounds:v', 'value');
  server.freeze();
  let answered = 0;
  const calls = Array.from({ length: 60_000 }, () => redis.get('bounds:v').then(() => answered++));
  await new Promise((resolve) => setImmediate(resolve));
  server.thaw();
  let most = 0;
  while (answered < calls.length) {
    const before = answered;
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, answered - before);
  }
  await Promise.all(calls);
  // A turn has one wake and one continued delivery, of 4,096 answers at most each.
  expect(most).toBeLessThanOrEqual(2 * 4_096);
});

test('commands of as many arguments as fit, all in one turn', async () => {
  const pairs = Array.from({ length: 512 }, (_, index) => [`bounds:${index}`, `v${index}`]).flat();
  const replies = await Promise.all(Array.from({ length: 20 }, () => redis.call('MSET', ...pairs)));
  expect(replies).toEqual(Array.from({ length: 20 }, () => 'OK'));
  expect(await redis.get('bounds:511')).toBe('v511');
});

test('fake timers do not stop the traffic', async () => {
  vi.useFakeTimers({ toFake: ['setImmediate', 'setTimeout', 'queueMicrotask'] });
  try {
    const first = redis.set('bounds:fake', 'time');
    await new Promise<void>((resolve) => process.nextTick(resolve));
    // With one in flight the next waits for the end of the turn, which a fake `setImmediate` would never reach.
    const second = redis.get('bounds:fake');
    expect(await Promise.all([first, second])).toEqual(['OK', 'time']);
  } finally {
    vi.useRealTimers();
  }
});

test('the two halves of the door number the kinds of records alike', async () => {
  const root = join(import.meta.dirname, '..', '..');
  const rust = await readFile(join(root, 'src/node/door/completions.rs'), 'utf8');
  const script = await readFile(join(root, 'ts/native.ts'), 'utf8');
  const list = /enum Kind \{([^}]*)\}/.exec(rust)![1]!;
  const native = [...list.matchAll(/(\w+) = (\d+),/g)].map(([, name, number]) => [name!.toUpperCase(), Number(number)]);
  expect(native.length).toBeGreaterThan(8);
  for (const [name, number] of native) {
    const there = new RegExp(`^const ${name === 'JSON' ? 'JSON_TEXT' : name} = (\\d+);`, 'm').exec(script);
    expect(Number(there?.[1]), String(name)).toBe(number);
  }
});
