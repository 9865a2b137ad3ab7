import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { CacheService, type CacheWriteFailure, RedisService, type WriteBehindOptions } from '../ts/index.js';
import { createTestInfra } from '../ts/testing/index.js';
import { coherent } from './helpers/coherent.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let redis: RedisService;
const open = new Set<CacheService<any, any>>();

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new RedisService({ url: server.url });
});
afterEach(async () => {
  await Promise.all([...open].map((cache) => cache.close()));
  open.clear();
});
afterAll(async () => {
  await redis.close();
  await server.stop();
});

type Write = (id: string, value: any, context: { signal: AbortSignal; attempt: number }) => unknown;

interface Behind {
  write: Write;
  prefix?: string;
  load?: (id: string) => unknown;
  remove?: (id: string) => unknown;
  url?: string;
  settings?: WriteBehindOptions;
}

function make({ write, load, remove, settings, url = server.url, prefix = `${uniquePrefix('behind')}:` }: Behind) {
  const users = { strategy: 'WRITE_BEHIND', write, load, remove, writeBehind: settings } as const;
  const cache = new CacheService({ redis: { url }, prefix, domains: { users } });
  open.add(cache);
  return cache;
}

const code = (value: string) => expect.objectContaining({ code: value });

describe('a write-behind domain', () => {
  it('shows a value at once and writes the last one of an id', async () => {
    const written: unknown[] = [];
    const cache = make({ write: (id, value) => written.push([id, value]), settings: { delay: 0.2 } });
    await cache.set('users', 1, 'a', {});
    await cache.set('users', 1, 'b', {});
    await cache.set('users', 2, { deep: [0, false, ''] }, {});
    expect(await cache.get('users', 1)).toBe('b');
    expect(written).toEqual([]);
    await waitFor(() => written.length === 2, { what: 'two writes' });
    expect(written.sort()).toEqual([
      ['1', 'b'],
      ['2', { deep: [0, false, ''] }],
    ]);
  });

  it('has flushWrites write what waits for more', async () => {
    const write = vi.fn();
    const cache = make({ write, settings: { delay: 600 } });
    await Promise.all(Array.from({ length: 200 }, (_, id) => cache.set('users', id, id, {})));
    expect(write).not.toHaveBeenCalled();
    await cache.flushWrites();
    expect(write.mock.calls.map(([id, value]) => [id, value]).sort()).toEqual(
      Array.from({ length: 200 }, (_, id) => [String(id), id]).sort(),
    );
    await cache.set('users', 1, 'later', {});
    await cache.flushWrites('users');
    expect(write).toHaveBeenCalledTimes(201);
  });

  it('writes one value of an id at a time, in order, whichever process does', async () => {
    const prefix = `${uniquePrefix('behind')}:`;
    let running = 0;
    const seen: number[] = [];
    const write: Write = async (_, value) => {
      expect(++running).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 3));
      seen.push(value);
      running--;
    };
    const caches = [1, 2, 3].map(() => make({ write, prefix, settings: { delay: 0.001, concurrency: 8 } }));
    for (let value = 1; value <= 60; value++) await caches[value % 3]!.set('users', 1, value, {});
    await caches[0]!.flushWrites();
    expect(seen.at(-1)).toBe(60);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(await caches[0]!.getRedis('users:1')).toBe(60);
  });

  it('reads what waits, when the cache has lost it, and loads what does not', async () => {
    const load = vi.fn(async (id: string) => `source ${id}`);
    const cache = make({ write: () => undefined, load, settings: { delay: 600 } });
    await cache.set('users', 1, 'new', {});
    await cache.flush();
    expect(await cache.get('users', 1)).toBe('new');
    expect(load).not.toHaveBeenCalled();
    expect(await cache.get('users', 2)).toBe('source 2');
  });

  it('removes in order with writes', async () => {
    const calls: string[] = [];
    const cache = make({
      write: (id) => calls.push(`write ${id}`),
      remove: (id) => calls.push(`remove ${id}`),
      load: (id) => `source ${id}`,
      settings: { delay: 600 },
    });
    await cache.set('users', 1, 'x', {});
    expect(await cache.delete('users', 1)).toBe(true);
    expect(await cache.get('users', 1)).toBeNull();
    await cache.flushWrites();
    expect(calls).toEqual(['remove 1']);
  });

  it('keeps what MessagePack keeps', async () => {
    const write = vi.fn();
    const users = { strategy: 'WRITE_BEHIND', write, maxSize: 100, writeBehind: { delay: 600 } } as const;
    const prefix = `${uniquePrefix('behind')}:`;
    const cache = new CacheService({ redis: { url: server.url }, prefix, serializer: 'msgpack', domains: { users } });
    open.add(cache);
    const value = { at: new Date(5), by: new Map([['a', 1n]]), bytes: Buffer.from([0, 255]) };
    await cache.set('users', 1, value, {});
    await cache.flush();
    expect(await cache.get('users', 1)).toEqual(value);
    await cache.flushWrites();
    expect(write.mock.calls[0]?.[1]).toEqual(value);
    await expect(cache.set('users', 1, new Map([['a', 'x'.repeat(100)]]), {})).rejects.toThrow(
      code('ERR_CACHE_VALUE_TOO_LARGE'),
    );
  });

  it('survives the end of its process, and a flush of the cache', async () => {
    const prefix = `${uniquePrefix('behind')}:`;
    const first = make({ write: () => Promise.reject(new Error('never')), prefix, settings: { delay: 600 } });
    await first.set('users', 1, 'kept', {});
    await first.flush();
    await first.close();
    const write = vi.fn();
    const second = make({ write, prefix, settings: { delay: 600 } });
    await second.flushWrites();
    expect(write.mock.calls.map(([id, value]) => [id, value])).toEqual([['1', 'kept']]);
  });

  it('with no prefix at all, a pattern delete takes no write away', async () => {
    const url = `memory://${uniquePrefix('bare')}`;
    const write = vi.fn();
    const cache = make({ write, prefix: '', url, settings: { delay: 600 } });
    await cache.set('users', 1, 'kept', {});
    expect(await cache.deletePattern('*')).toBe(1);
    await cache.flushWrites();
    expect(write).toHaveBeenCalledOnce();
  });

  it('tries again, later each time, and tells of it', async () => {
    const infra = createTestInfra({ now: Date.UTC(2026, 0, 1) });
    try {
      const failures: CacheWriteFailure[] = [];
      const times: number[] = [];
      const write = vi.fn(async (_id: string, _value: unknown, { attempt }: { attempt: number }) => {
        times.push(infra.now());
        if (attempt < 5) throw new Error(`attempt ${attempt}`);
      });
      const domains = { users: { strategy: 'WRITE_BEHIND', write, writeBehind: { delay: 2, backoff: 4 } } } as const;
      const cache = new CacheService({ redis: infra.connection, domains });
      open.add(cache);
      cache.on('writeFailed', (failure) => failures.push(failure));
      await cache.set('users', 1, 'x', {});
      for (let second = 0; second < 90 && times.length < 5; second++) await infra.advanceTime(1_000);
      expect(failures.map(({ attempts, dead, id, value }) => [attempts, dead, id, value])).toEqual(
        [1, 2, 3, 4].map((attempt) => [attempt, false, '1', 'x']),
      );
      const pauses = times.slice(1).map((time, at) => time - times[at]!);
      for (const [at, pause] of pauses.entries()) {
        expect(pause).toBeGreaterThanOrEqual(4_000 * 2 ** at * 0.5);
        expect(pause).toBeLessThanOrEqual(4_000 * 2 ** at + 1_000);
      }
      await cache.close();
    } finally {
      await infra.close();
    }
  });

  it('gives a value up after its last attempt, and forgets what the source does not have', async () => {
    const failures: CacheWriteFailure[] = [];
    const cache = make({
      write: () => Promise.reject(new Error('constraint')),
      load: () => 'what the source has',
      settings: { delay: 0.001, backoff: 0.01, maxAttempts: 3 },
    });
    cache.on('writeFailed', (failure) => failures.push(failure));
    await cache.set('users', 1, 'wrong', {});
    const dead = await waitFor(() => failures.find((failure) => failure.dead), { what: 'a dead write' });
    expect(dead).toMatchObject({
      domain: 'users',
      id: '1',
      value: 'wrong',
      attempts: 3,
      error: { message: 'constraint' },
    });
    expect(failures).toHaveLength(3);
    expect(await cache.get('users', 1)).toBe('what the source has');
    await cache.flushWrites();
  });

  it('tells of a dead value as an error when nobody listens', async () => {
    const errors: Error[] = [];
    const settings = { delay: 0.001, maxAttempts: 1 };
    const cache = make({ write: () => Promise.reject(new Error('constraint')), settings });
    cache.on('error', (error) => errors.push(error));
    await cache.set('users', 1, 'wrong', {});
    await waitFor(() => errors.some(({ message }) => message === 'constraint'), { what: 'the error' });
  });

  it('aborts an attempt that takes too long', async () => {
    let reason: unknown;
    const cache = make({
      write: async (_, __, { signal, attempt }) => {
        if (attempt > 1) return;
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        reason = signal.reason;
      },
      settings: { delay: 0.001, timeout: 0.1, backoff: 0.01 },
    });
    const failed = vi.fn();
    cache.on('writeFailed', failed);
    await cache.set('users', 1, 'x', {});
    await cache.flushWrites();
    expect(reason).toMatchObject({ code: 'ERR_WAIT_TIMED_OUT' });
    expect(failed).toHaveBeenCalledOnce();
  });

  it('takes so many ids and no more', async () => {
    const cache = make({ write: () => undefined, settings: { delay: 600, maxPending: 2 } });
    await cache.set('users', 1, 'a', {});
    await cache.set('users', 2, 'a', {});
    await expect(cache.set('users', 3, 'a', {})).rejects.toThrow(code('ERR_OVERLOADED'));
    expect(await cache.get('users', 3)).toBeNull();
    // A newer value of an id that waits takes no room.
    await cache.set('users', 2, 'b', {});
    await cache.flushWrites();
    await cache.set('users', 3, 'a', {});
  });

  it('flushWrites gives up in time', async () => {
    const cache = make({
      write: () => new Promise(() => undefined),
      settings: { delay: 0.001, timeout: 0.5, maxAttempts: 1 },
    });
    cache.on('writeFailed', () => undefined);
    await cache.set('users', 1, 'a', {});
    await expect(cache.flushWrites('users', 0.1)).rejects.toThrow(code('ERR_WAIT_TIMED_OUT'));
  });

  it('close waits for the write that runs', async () => {
    let isDone = false;
    let began = false;
    const cache = make({
      write: async () => {
        began = true;
        await new Promise((resolve) => setTimeout(resolve, 50));
        isDone = true;
      },
      settings: { delay: 0.001 },
    });
    await cache.set('users', 1, 'a', {});
    await waitFor(() => began);
    await cache.close();
    expect(isDone).toBe(true);
    await expect(cache.set('users', 1, 'b', {})).rejects.toThrow(code('ERR_CLOSED'));
  });
});

describe('a scheduled invalidation', () => {
  const HOUR = 3_600_000;

  it('takes place at its time, by key, tags or pattern', async () => {
    const start = Date.UTC(2026, 0, 1);
    const infra = createTestInfra({ now: start });
    try {
      const cache = new CacheService({ redis: infra.connection, defaultTtl: 48 * 3600 });
      open.add(cache);
      const heard: unknown[] = [];
      cache.on('invalidate', (event) => heard.push(event));
      for (const key of ['a', 'b', 'c:1']) await cache.set(key, key, { tags: [`tag-${key}`] });
      await cache.scheduleInvalidation({ key: 'a', at: new Date(start + HOUR) });
      await cache.scheduleInvalidation({ tags: ['tag-b'], at: start + 2 * HOUR });
      await cache.scheduleInvalidation({ pattern: 'c:*', at: start + 2 * HOUR });
      // The same again moves it.
      await cache.scheduleInvalidation({ pattern: 'c:*', at: start + 3 * HOUR });
      const left = () => cache.mget(['a', 'b', 'c:1']);
      await infra.advanceTime(HOUR - 1_000);
      expect(await left()).toEqual(['a', 'b', 'c:1']);
      await infra.advanceTime(2_000);
      await waitFor(async () => (await cache.get('a')) === null);
      expect(await left()).toEqual([null, 'b', 'c:1']);
      await infra.advanceTime(HOUR);
      await waitFor(async () => (await cache.get('b')) === null);
      expect(await left()).toEqual([null, null, 'c:1']);
      await infra.advanceTime(HOUR);
      await waitFor(async () => (await cache.get('c:1')) === null);
      expect(heard).toMatchObject(Array(3).fill({ strategy: 'TTL_BASED' }));
      await cache.close();
    } finally {
      await infra.close();
    }
  });

  it('outlives the process that asked for it, and one process does it', async () => {
    const prefix = `${uniquePrefix('scheduled')}:`;
    const make = () => {
      const cache = new CacheService({ redis: { url: server.url }, prefix });
      open.add(cache);
      return cache;
    };
    const first = make();
    await first.set('a', 1);
    await first.scheduleInvalidation({ key: 'a', at: Date.now() + 700 });
    await first.close();
    const others = [make(), make()];
    await coherent(others[0]!);
    const heard = vi.fn();
    for (const cache of others) cache.on('invalidate', heard);
    expect(await others[0]!.get('a')).toBe(1);
    expect(await others[1]!.get('a')).toBe(1);
    await waitFor(async () => (await others[0]!.getRedis('a')) === null, { what: 'the invalidation' });
    await waitFor(async () => (await others[1]!.get('a')) === null, { what: 'the copy of the other to end' });
    await waitFor(() => heard.mock.calls.length > 0);
    expect(heard).toHaveBeenCalledOnce();
  });

  it('refuses what is none', async () => {
    const cache = new CacheService({ redis: { url: server.url } });
    open.add(cache);
    const at = Date.now();
    for (const wrong of [
      { at },
      { key: 'a' },
      { key: 'a', tags: ['b'], at },
      { key: 1, at },
      { key: 'a', at: 'soon' },
    ]) {
      await expect(cache.scheduleInvalidation(wrong as never), JSON.stringify(wrong)).rejects.toThrow(
        code('ERR_INVALID_ARGUMENT'),
      );
    }
  });
});
