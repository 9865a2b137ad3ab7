import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import {
  type CacheOptions,
  CacheService,
  CacheStrategy,
  CacheValueTooLargeException,
  type CacheWarmProgress,
  InvalidCacheDomainException,
  RedisService,
} from '../ts/index.js';
import { createTestInfra } from '../ts/testing/index.js';
import { coherent } from './helpers/coherent.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

let server: RedisServer;
let redis: RedisService;
const open: CacheService<any, any>[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new RedisService({ url: server.url });
  await coherent(make());
});
afterAll(async () => {
  await Promise.all(open.map((cache) => cache.close()));
  await redis.close();
  await server.stop();
});

function make<const Options extends CacheOptions<any, any>>(options?: Options) {
  const cache = new CacheService<any, any>({
    prefix: `${uniquePrefix('domains')}:`,
    ...options,
    redis: { url: server.url },
  });
  open.push(cache);
  return cache;
}

const code = (value: string) => expect.objectContaining({ code: value });

/** A source that counts what is asked of it. */
class Source {
  readonly rows = new Map<string, unknown>();
  readonly load = vi.fn(async (id: string) => this.rows.get(id));
  readonly write = vi.fn(async (id: string, value: unknown) => {
    this.rows.set(id, value);
  });
  readonly remove = vi.fn(async (id: string) => {
    this.rows.delete(id);
  });
}

let source: Source;
beforeEach(() => {
  source = new Source();
});

describe('strategies', () => {
  it('read-through loads once for many callers, stores for the life of the domain, and writes to the cache alone', async () => {
    const cache = make({
      domains: { users: { ttl: 50, prefix: 'u:', strategy: CacheStrategy.READ_THROUGH, load: source.load } },
    });
    source.rows.set('7', { name: 'Ann' });
    const found = await Promise.all(Array.from({ length: 20 }, () => cache.get('users', 7)));
    expect(found).toEqual(Array(20).fill({ name: 'Ann' }));
    expect(source.load).toHaveBeenCalledOnce();
    expect(source.load.mock.calls[0]).toMatchObject(['7', { domain: 'users', attempt: 1 }]);
    expect(await cache.ttl('u:7')).toBe(50);
    await cache.set('users', 7, { name: 'Bob' }, {});
    expect(await cache.get('users', 7)).toEqual({ name: 'Bob' });
    expect(source.rows.get('7')).toEqual({ name: 'Ann' });
    expect(await cache.get('users', 8)).toBeNull();
    expect(await cache.exists('u:8')).toBe(false);
  });

  it('what the source throws reaches the reader, and nothing is stored', async () => {
    const load = vi.fn().mockRejectedValueOnce(new Error('source down')).mockResolvedValue(1);
    const cache = make({ domains: { users: { strategy: 'READ_THROUGH', load } } });
    await expect(cache.get('users', 1)).rejects.toThrow('source down');
    expect(await cache.get('users', 1)).toBe(1);
  });

  it('cache-aside knows no source', async () => {
    const cache = make({ domains: { users: {} } });
    expect(await cache.get('users', 1)).toBeNull();
    await cache.set('users', 1, 'x', { ttl: 9 });
    expect(await cache.get('users', 1)).toBe('x');
    expect(await cache.ttl('users:1')).toBe(9);
    expect(await cache.delete('users', 1)).toBe(true);
    expect(await cache.delete('users', 1)).toBe(false);
  });

  it('write-through writes the source first, then the cache, in the order of the calls', async () => {
    const { write, remove } = source;
    const cache = make({ domains: { users: { strategy: CacheStrategy.WRITE_THROUGH, write, remove } } });
    write.mockImplementationOnce(async (id, value) => {
      // The first write is the slow one; the second must not overtake it.
      expect(await cache.getRedis('users:1')).toBeNull();
      await new Promise((resolve) => setTimeout(resolve, 30));
      source.rows.set(id, value);
    });
    await Promise.all([cache.set('users', 1, 'a', {}), cache.set('users', 1, 'b', {})]);
    expect(source.rows.get('1')).toBe('b');
    expect(await cache.get('users', 1)).toBe('b');
    expect(await cache.getRedis('users:1')).toBe('b');
    await cache.delete('users', 1);
    expect([source.rows.has('1'), await cache.get('users', 1)]).toEqual([false, null]);
  });

  it('write-through that fails leaves no word of the cache about what the source holds', async () => {
    const { write } = source;
    const cache = make({ domains: { users: { strategy: CacheStrategy.WRITE_THROUGH, write } } });
    await cache.set('users', 1, 'a', {});
    write.mockRejectedValueOnce(new Error('constraint'));
    await expect(cache.set('users', 1, 'b', {})).rejects.toThrow('constraint');
    expect(await cache.get('users', 1)).toBeNull();
    await cache.set('users', 1, 'c', {});
    expect(await cache.get('users', 1)).toBe('c');
  });

  it('write-around writes the source, and the next read loads', async () => {
    const { write, load } = source;
    const cache = make({ domains: { users: { strategy: CacheStrategy.WRITE_AROUND, write, load } } });
    await cache.set('users', 1, 'a', {});
    expect(await cache.exists('users:1')).toBe(false);
    expect(await cache.get('users', 1)).toBe('a');
    await cache.set('users', 1, 'b', {});
    expect(await cache.get('users', 1)).toBe('b');
    expect(load).toHaveBeenCalledTimes(2);
  });

  it('null and undefined remove', async () => {
    const { write, remove } = source;
    const cache = make({ domains: { users: { strategy: CacheStrategy.WRITE_THROUGH, write, remove } } });
    await cache.set('users', 1, 0, {});
    expect(await cache.get('users', 1)).toBe(0);
    await cache.set('users', 1, null, {});
    expect(remove).toHaveBeenCalledOnce();
    expect(await cache.get('users', 1)).toBeNull();
  });
});

describe('limits of a domain', () => {
  it('refuse a value that is larger, before the source hears of it', async () => {
    const { write } = source;
    const cache = make({ domains: { users: { strategy: CacheStrategy.WRITE_THROUGH, write, maxSize: 10 } } });
    const error = await cache.set('users', 1, '123456789', {}).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(CacheValueTooLargeException);
    expect(error).toMatchObject({
      code: 'ERR_CACHE_VALUE_TOO_LARGE',
      status: 400,
      details: { limit: 10, key: 'users:1' },
    });
    expect(write).not.toHaveBeenCalled();
    await cache.set('users', 1, '12345678', {});
    expect(write).toHaveBeenCalledOnce();
  });

  it('an unknown domain is told by every call that names one', async () => {
    const cache = make({ domains: { users: {} } });
    for (const call of [
      () => cache.get('orders', 1),
      () => cache.set('orders', 1, 1, {}),
      () => cache.delete('orders', 1),
      () => cache.getStats('orders'),
      () => cache.warm({ domain: 'orders', keys: [1], load: () => 1 }),
      () => cache.invalidate({ domain: 'orders' }),
      () => cache.flushWrites('orders'),
    ]) {
      const error = await call().catch((error: unknown) => error);
      expect(error).toBeInstanceOf(InvalidCacheDomainException);
      expect(error).toMatchObject({ code: 'ERR_INVALID_CACHE_DOMAIN', message: expect.stringContaining('`users`') });
    }
  });

  const load = () => 1;
  const write = () => 1;
  const wrong: [option: string, domain: object][] = [
    ['strategy', { strategy: 'WRITE_OFTEN' }],
    ['load', { strategy: 'READ_THROUGH' }],
    ['write', { strategy: 'WRITE_THROUGH', load }],
    ['write', { write }],
    ['remove', { strategy: 'READ_THROUGH', load, remove: load }],
    ['load', { load: 'x' }],
    ['maxSize', { maxSize: 1.5 }],
    ['ttl', { ttl: 0 }],
    ['tll', { tll: 1 }],
    ['writeBehind', { strategy: 'WRITE_THROUGH', write, writeBehind: {} }],
    ['writeBehind.delay', { strategy: 'WRITE_BEHIND', write, writeBehind: { delay: -1 } }],
    ['writeBehind.concurrency', { strategy: 'WRITE_BEHIND', write, writeBehind: { concurrency: 1.5 } }],
    ['writeBehind.retries', { strategy: 'WRITE_BEHIND', write, writeBehind: { retries: 1 } }],
  ];
  for (const [option, options] of wrong) {
    it(`option ${option} of ${JSON.stringify(options)} is refused by its path`, () => {
      expect(() => make({ domains: { users: options } })).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option: `domains.users.${option}` } }),
      );
    });
  }
});

describe('warm', () => {
  it('loads the ids of a domain, some at a time, and tells of each', async () => {
    let running = 0;
    let most = 0;
    const load = vi.fn(async (id: string) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running--;
      if (id === '3') throw new Error('no 3');
      return id === '4' ? null : { id };
    });
    const cache = make({ domains: { users: { ttl: 77, load } } });
    await cache.set('users', 1, 'there', {});
    const progress: CacheWarmProgress[] = [];
    const keys = Array.from({ length: 12 }, (_, index) => index + 1);
    const result = await cache.warm({ domain: 'users', keys, concurrency: 3, onProgress: (one) => progress.push(one) });
    expect(result).toEqual({
      warmed: 9,
      present: 1,
      absent: 1,
      failed: [{ key: '3', error: expect.objectContaining({ message: 'no 3' }) }],
    });
    expect(most).toBe(3);
    expect(progress.map(({ done }) => done)).toEqual(keys);
    expect(progress[0]?.total).toBe(12);
    expect(await cache.ttl('users:12')).toBe(77);
    expect(await cache.mget(['users:1', 'users:2', 'users:4'])).toEqual(['there', { id: '2' }, null]);
    const again = await cache.warm({ domain: 'users', keys: [1, 2], refresh: true });
    expect(again).toMatchObject({ warmed: 2 });
    expect(await cache.get('users', 1)).toEqual({ id: '1' });
  });

  it('works without a domain, and ends when it is told to', async () => {
    const cache = make();
    await cache.warm({ keys: ['a', 'b'], ttl: 30, tags: ['t'], load: (key) => key.toUpperCase() });
    expect(await cache.mget(['a', 'b'])).toEqual(['A', 'B']);
    expect(await cache.invalidateByTag('t')).toBe(2);
    const controller = new AbortController();
    const load = vi.fn((key: string) => {
      if (key === 'k3') controller.abort(new Error('enough'));
      return key;
    });
    const keys = Array.from({ length: 50 }, (_, index) => `k${index}`);
    const { signal } = controller;
    await expect(cache.warm({ keys, load, concurrency: 1, signal })).rejects.toThrow('enough');
    expect(load).toHaveBeenCalledTimes(4);
  });

  it('refuses what it cannot do', async () => {
    const cache = make({ domains: { users: {} } });
    await expect(cache.warm({ keys: ['a'] })).rejects.toThrow(code('ERR_INVALID_ARGUMENT'));
    await expect(cache.warm({ domain: 'users', keys: ['a'] })).rejects.toThrow(code('ERR_INVALID_ARGUMENT'));
    const load = () => 1;
    await expect(cache.warm({ keys: ['a'], load, concurrency: 0 })).rejects.toThrow(code('ERR_INVALID_ARGUMENT'));
    await expect(cache.warm({ keys: [{}] as never, load })).rejects.toThrow(code('ERR_INVALID_ARGUMENT'));
    await expect(cache.warm({ keys: ['a'], load, parallel: 1 } as never)).rejects.toThrow(code('ERR_INVALID_OPTION'));
  });
});

describe('refreshExpiringKeys', () => {
  it('gives what expires soon a new value and life, and touches nothing else', async () => {
    const cache = make();
    const others = make();
    await others.set('soon:1', 'not ours', 5);
    for (let index = 0; index < 250; index++) await cache.set(`soon:${index}`, `old ${index}`, 20);
    await cache.set('late', 'old', 500);
    await cache.set('other', 'old', 20);
    const refresh = vi.fn(async (key: string) => {
      if (key === 'soon:3') throw new Error('no 3');
      return key === 'soon:4' ? null : `new ${key}`;
    });
    const result = await cache.refreshExpiringKeys({ within: 60, pattern: 'soon:*', refresh, ttl: 300 });
    expect(result).toEqual({ refreshed: 248, kept: 1, failed: [{ key: 'soon:3', error: expect.any(Error) }] });
    expect(refresh).toHaveBeenCalledTimes(250);
    expect(await cache.mget(['soon:1', 'soon:3', 'soon:4', 'late', 'other'])).toEqual([
      'new soon:1',
      'old 3',
      'old 4',
      'old',
      'old',
    ]);
    expect(await cache.ttl('soon:1')).toBe(300);
    expect(await others.get('soon:1')).toBe('not ours');
    // Nothing expires soon any more but the two.
    expect(await cache.refreshExpiringKeys({ pattern: 'soon:*', refresh: () => 'x' })).toMatchObject({ refreshed: 2 });
  });

  it('takes lives and tags by key', async () => {
    const cache = make();
    await cache.set('a', 1, 10);
    await cache.refreshExpiringKeys({ refresh: () => 2, ttl: (key) => key.length * 90, tags: (key) => [`tag:${key}`] });
    expect([await cache.get('a'), await cache.ttl('a')]).toEqual([2, 90]);
    expect(await cache.invalidateByTag('tag:a')).toBe(1);
  });

  it('refuses what is wrong', async () => {
    const cache = make();
    for (const wrong of [{ within: 0 }, { pattern: '' }, { refresh: 1 }, { ttl: -1 }, { tags: ['x'] }]) {
      await expect(
        cache.refreshExpiringKeys({ refresh: () => 1, ...wrong } as never),
        JSON.stringify(wrong),
      ).rejects.toThrow(code('ERR_INVALID_ARGUMENT'));
    }
  });
});

describe('invalidate', () => {
  it('takes keys, tags and a pattern at once, or a whole domain', async () => {
    const cache = make({ domains: { users: { prefix: 'u:' }, orders: {} } });
    const heard = vi.fn();
    cache.on('invalidate', heard);
    for (const id of [1, 2, 3]) await cache.set('users', id, id, { tags: [`team:${id}`] });
    await cache.set('orders', 1, 1, {});
    await cache.set('page:1', 1);
    expect(await cache.invalidate({ keys: ['page:1'], tags: ['team:2'], pattern: 'u:3' })).toBe(3);
    expect(await cache.mget(['u:1', 'u:2', 'u:3', 'page:1'])).toEqual([1, null, null, null]);
    expect(await cache.invalidate({ domain: 'users', keys: [1] })).toBe(1);
    await cache.set('users', 9, 9, {});
    // The entry that its tag ended still lies there, and is counted.
    expect(await cache.invalidate({ domain: 'users' })).toBe(2);
    expect(await cache.get('orders', 1)).toBe(1);
    expect(heard.mock.calls.map(([event]) => event.strategy)).toEqual(['MANUAL', 'MANUAL', 'MANUAL']);
    await expect(cache.invalidate({})).rejects.toThrow(code('ERR_INVALID_ARGUMENT'));
    await expect(cache.invalidate({ keys: ['a'], strategy: 'X' as never })).rejects.toThrow(
      code('ERR_INVALID_ARGUMENT'),
    );
  });

  it('ends all that belongs to a resource, and nothing that only looks like it', async () => {
    const cache = make({ level2: { prefixes: { avatar: 'av:' } }, domains: { user: { prefix: 'u:' } } });
    const gone = ['av:7', 'av:data:7', 'av:list:7:page', 'av:7:thumb'];
    const kept = ['av:17', 'av:data:70', 'av:list:71:7x', 'u:7x'];
    for (const key of [...gone, ...kept]) await cache.set(key, key);
    await cache.set('tagged', 1, { tags: ['avatar:7'] });
    await cache.set('u:7', 1);
    await cache.invalidateResource({ resource: 'avatar', id: '7' });
    expect(await cache.mget([...gone, 'tagged'])).toEqual(Array(5).fill(null));
    expect(await cache.mget(kept)).toEqual(kept);
    await cache.invalidateResource({ resource: 'user', id: 7 });
    expect(await cache.get('u:7')).toBeNull();
    // Characters of patterns mean themselves.
    await cache.invalidateResource({ resource: 'avatar', id: '*' });
    expect(await cache.get('av:17')).toBe('av:17');
    await expect(cache.invalidateResource({ resource: 'avatar', id: '' })).rejects.toThrow(
      code('ERR_INVALID_ARGUMENT'),
    );
  });
});

describe('statistics', () => {
  afterEach(() => vi.useRealTimers());

  it('are those of the reads through a domain, and of its keys', async () => {
    const cache = make({ domains: { users: { load: (id: string) => (id === '9' ? null : id) }, orders: {} } });
    await cache.get('users', 1);
    await cache.get('users', 1);
    await cache.get('users', 9);
    await cache.set('orders', 1, 'x', {});
    await cache.get('orders', 1);
    await cache.get('orders', 2);
    const [users, orders, all] = await Promise.all([
      cache.getStats('users'),
      cache.getStats('orders'),
      cache.getStats(),
    ]);
    expect(users).toMatchObject({ hits: 1, misses: 2, hitRate: 1 / 3, keyCount: 1 });
    expect(orders).toMatchObject({ hits: 1, misses: 1, hitRate: 0.5, keyCount: 1 });
    expect(users.levels.level1).toMatchObject({ hits: 1, keyCount: 1 });
    expect(users.memoryUsed).toBeGreaterThan(0);
    expect(users.memoryUsed + orders.memoryUsed).toBe(all.memoryUsed);
    expect(all).toMatchObject({ hits: 2, misses: 3, keyCount: 2 });
  });

  it('are kept by the minute for a day', async () => {
    const start = Date.UTC(2026, 0, 1, 12);
    const infra = createTestInfra({ now: start });
    try {
      const cache = new CacheService({ redis: infra.connection, domains: { users: {} } });
      open.push(cache);
      const minute = 60_000;
      await cache.get('users', 1);
      await infra.advanceTime(5 * minute);
      await cache.get('users', 2);
      await cache.get('users', 3);
      await infra.advanceTime(5 * minute);
      await cache.get('users', 4);
      const misses = async (from?: number, to?: number) =>
        (await cache.getStats({ domain: 'users', startTime: from, endTime: to && new Date(to) })).misses;
      expect(await misses()).toBe(4);
      expect(await misses(start + minute)).toBe(3);
      expect(await misses(start + 5 * minute, start + 6 * minute)).toBe(2);
      expect(await misses(undefined, start + 4 * minute)).toBe(1);
      expect(await misses(start + 6 * minute, start + 9 * minute)).toBe(0);
      expect((await cache.getStats({ startTime: start + 6 * minute })).misses).toBe(1);
      await infra.advanceTime(3 * 24 * 60 * minute);
      expect(await misses()).toBe(4);
      // What is more than a day ago is no longer told apart.
      expect(await misses(start + 6 * minute)).toBe(0);
    } finally {
      await infra.close();
    }
  });

  it('refuse a time that is none', async () => {
    const cache = make();
    for (const startTime of [Number.NaN, 'now', new Date('x')]) {
      await expect(cache.getStats({ startTime } as never)).rejects.toThrow(code('ERR_INVALID_ARGUMENT'));
    }
    await expect(cache.getStats({ start: 1 } as never)).rejects.toThrow(code('ERR_INVALID_OPTION'));
  });
});

it('domains are known to the types', () => {
  const cache = new CacheService({ redis: { url: 'memory://domain-types' }, domains: { users: {}, orders: {} } });
  open.push(cache);
  expectTypeOf(cache.getStats).parameter(0).extract<string>().toEqualTypeOf<'users' | 'orders'>();
  expectTypeOf(cache.get<{ n: number }>('users', 1)).resolves.toEqualTypeOf<{ n: number } | null>();
});
