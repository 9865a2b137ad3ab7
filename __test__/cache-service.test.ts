import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { type CacheOptions, CacheService, defineTtls, RedisService } from '../ts/index.js';
import { coherent } from './helpers/coherent.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

let server: RedisServer;
let redis: RedisService;
const open: CacheService<any, any>[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new RedisService({ url: server.url });
  // From then on a copy ends for a reason.
  await coherent(make());
});

afterAll(async () => {
  await Promise.all(open.map((cache) => cache.close()));
  await redis.close();
  await server.stop();
});

function make(options: CacheOptions = {}): CacheService & { prefix: string } {
  const prefix = options.prefix ?? `${uniquePrefix('cache')}:`;
  const cache = new CacheService({ redis: { url: server.url }, ...options, prefix });
  cache.on('error', (error) => {
    throw error;
  });
  open.push(cache);
  return Object.assign(cache, { prefix });
}

const code = (value: string) => expect.objectContaining({ code: value });

interface User {
  name: string;
}

describe('get and set', () => {
  it('keep what JSON keeps, falsy values among it', async () => {
    const cache = make();
    for (const value of ['text', '', '5', 0, -1.5, true, false, [1, 'a'], { deep: { list: [null] } }, 'é 日本 😀']) {
      await cache.set('k', value);
      expect(await cache.get('k')).toEqual(value);
      expect(await cache.getRedis('k')).toEqual(value);
      expect(await cache.getLocal('k')).toEqual(value);
      expect(JSON.parse((await redis.get(`${cache.prefix}k`))!)).toEqual(value);
    }
    expect(await cache.get('missing')).toBeNull();
    expect(await cache.getLocal('missing')).toBeNull();
    expect(await cache.getRedis('missing')).toBeNull();
  });

  it('read what others wrote, as text if it is no JSON', async () => {
    const cache = make();
    await redis.set(`${cache.prefix}plain`, 'hello there');
    await redis.set(`${cache.prefix}json`, '{"a":1}');
    expect(await cache.get('plain')).toBe('hello there');
    expect(await cache.get('json')).toEqual({ a: 1 });
    expect(await cache.get('json', { parse: false })).toBe('{"a":1}');
    expect(await cache.get('json', { parse: true })).toEqual({ a: 1 });
    await cache.set('text', 'x', { tags: ['t'] });
    expect(await cache.get('text', { parse: false })).toBe('"x"');
    expect(await cache.get('none', { parse: false })).toBeNull();
  });

  it('have every form of the documents', async () => {
    const cache = make({ defaultTtl: 50 });
    await cache.set('a', 1, 10);
    await cache.set('b', 1, { ttl: 20, tags: ['t'] });
    await cache.set({ key: 'c', value: 1, ttl: 30, tags: ['t'] });
    await cache.set({ key: 'd', value: 1 });
    expect(await Promise.all(['a', 'b', 'c', 'd'].map((key) => cache.ttl(key)))).toEqual([10, 20, 30, 50]);
    expect(await cache.set('a', 2, { nx: true })).toBe(false);
    expect(await cache.set('e', 2, { nx: true })).toBe(true);
    expect(await cache.set('f', 2, { xx: true })).toBe(false);
    expect(await cache.set('a', 2, { xx: true })).toBe(true);
    expect(await cache.set('a', 3)).toBeUndefined();
    const fetcher = vi.fn(async () => ({ n: 1 }));
    expect(await cache.get('fetched', fetcher)).toEqual({ n: 1 });
    expect(await cache.get('fetched', fetcher, 5)).toEqual({ n: 1 });
    expect(fetcher).toHaveBeenCalledTimes(1);
    expect(await cache.ttl('fetched')).toBe(300);
  });

  it('know lives and domains by name', async () => {
    const ttls = defineTtls({ STORY: 60, SEARCH: 5 });
    const cache = new CacheService({
      redis: { url: server.url },
      prefix: `${uniquePrefix('names')}:`,
      ttls,
      domains: { users: { ttl: 70 }, products: { prefix: 'p/' } },
    });
    open.push(cache);
    await cache.set('a', 1, { ttlKey: 'STORY' });
    expect(await cache.ttl('a')).toBe(60);
    await cache.getOrSet('b', () => 1, { ttlKey: 'SEARCH' });
    expect(await cache.ttl('b')).toBe(5);
    await cache.set('users', 7, { name: 'Ada' }, {});
    await cache.set('products', 'x', 1, { ttl: 9, tags: ['vendor:1'] });
    expect(await cache.get<User>('users', 7)).toEqual({ name: 'Ada' });
    expect(await cache.get('users:7')).toEqual({ name: 'Ada' });
    expect([await cache.ttl('users:7'), await cache.ttl('p/x')]).toEqual([70, 9]);
    await cache.invalidateByTag('vendor:1');
    expect(await cache.get('products', 'x')).toBeNull();
    // @ts-expect-error a life that was not defined
    await expect(cache.set('a', 1, { ttlKey: 'NOPE' })).rejects.toThrow(code('ERR_INVALID_ARGUMENT'));
    await expect(cache.get('nobody', 1 as never)).rejects.toThrow(/`users`, `products`/);
  });

  it('give the types that were asked for', () => {
    const cache = make();
    expectTypeOf(cache.get<User>('k')).resolves.toEqualTypeOf<User | null>();
    expectTypeOf(cache.get('k', async () => ({ name: 'x' }))).resolves.toEqualTypeOf<{ name: string }>();
    expectTypeOf(cache.getOrSet('k', () => 5)).resolves.toEqualTypeOf<number>();
    expectTypeOf(cache.mget<User>(['k'])).resolves.toEqualTypeOf<(User | null)[]>();
    expectTypeOf(cache.set('k', 1)).resolves.toEqualTypeOf<void>();
    expectTypeOf(cache.set('k', 1, { nx: true })).resolves.toEqualTypeOf<boolean>();
    const wrapped = cache.wrap(
      (id: number) => `u:${id}`,
      async (id: number) => ({ id }),
    );
    expectTypeOf(wrapped).toEqualTypeOf<(id: number) => Promise<{ id: number }>>();
  });

  it('treat null and undefined as no value', async () => {
    const cache = make();
    for (const nothing of [null, undefined]) {
      await cache.set('k', 1);
      await cache.set('k', nothing);
      expect(await cache.exists('k')).toBe(false);
      const factory = vi.fn(async () => nothing);
      expect(await cache.getOrSet('k', factory)).toBe(nothing);
      expect(await cache.getOrSet('k', factory)).toBe(nothing);
      expect(factory).toHaveBeenCalledTimes(2);
      await cache.mset([
        { key: 'k', value: nothing },
        { key: 'l', value: 1 },
      ]);
      expect(await cache.mget(['k', 'l'])).toEqual([null, 1]);
    }
    expect(await cache.set('k', null, { nx: true })).toBe(false);
  });

  it('see what was written before in the same turn, awaited or not', async () => {
    const cache = make();
    await cache.set('k', 1);
    await cache.get('k');
    void cache.set('k', 2);
    expect(await cache.get('k')).toBe(2);
    void cache.delete('k');
    expect(await cache.get('k')).toBeNull();
    await cache.mset([{ key: 'k', value: 3 }]);
    await cache.get('k');
    void cache.flush();
    expect(await cache.get('k')).not.toBe(undefined);
    await cache.set('n', 1, { tags: ['t'] });
    await cache.get('n');
    void cache.invalidateByTag('t');
    expect(await cache.get('n')).toBeNull();
    const many = Array.from({ length: 200 }, (_, n) => ({ key: `m${n}`, value: 1 }));
    await cache.mset(many);
    await cache.mget(many.map(({ key }) => key));
    const removing = cache.mdel(many.map(({ key }) => key));
    expect(await cache.getLocal('m199')).toBeNull();
    // Its answer moves the epochs of 200 keys once more, which those of other tests may share.
    await removing;
  });
});

describe('the levels', () => {
  it('give one frozen object to all, which is the same JSON from the first read on', async () => {
    const cache = make();
    const made = { at: new Date(0), list: [1] };
    const first = await cache.getOrSet('k', () => made);
    expect(first).toEqual({ at: '1970-01-01T00:00:00.000Z', list: [1] });
    expect(await cache.getOrSet('k', () => made)).toBe(first);
    expect(await cache.get('k')).toBe(first);
    expect(() => (first.list as number[]).push(2)).toThrow(TypeError);
    made.list.push(2);
    expect(cache.getOrSet('k', () => made)).toBe(cache.getOrSet('k', () => made));
  });

  it('give copies with clone: true', async () => {
    const cache = make({ clone: true });
    const callers = await Promise.all([1, 2, 3].map(() => cache.getOrSet('k', async () => ({ list: [1] }))));
    callers[0]!.list.push(2);
    expect(callers[1]).toEqual({ list: [1] });
    for (const read of [() => cache.get('k'), () => cache.getOrSet('k', () => null), () => cache.getLocal('k')]) {
      const value = (await read()) as { list: number[] };
      value.list.push(9);
      expect(await read()).toEqual({ list: [1] });
    }
    const [a, b] = [await cache.mget<{ list: number[] }>(['k']), await cache.mget(['k'])];
    a[0]!.list.push(9);
    expect(b).toEqual([{ list: [1] }]);
  });

  it('end a copy with its entry, and after level1.ttl', async () => {
    const cache = make({ level1: { ttl: 0.15 } });
    await cache.set('short', 1, 0.05);
    await cache.set('long', 1);
    expect(await cache.get('short')).toBe(1);
    expect(await cache.get('long')).toBe(1);
    expect(await cache.getLocal('long')).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await cache.get('short')).toBeNull();
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(await cache.getLocal('long')).toBeNull();
    expect(await cache.get('long')).toBe(1);
  });

  it('follow defaultTtl where that is shorter than level1.ttl', async () => {
    const cache = make({ defaultTtl: 0.05 });
    expect(await cache.getOrSet('k', () => 1)).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await cache.getOrSet('k', () => 2)).toBe(2);
  });

  it('work without level 1', async () => {
    const cache = make({ level1: { enabled: false } });
    await cache.set('k', 1);
    expect(await cache.get('k')).toBe(1);
    await redis.set(`${cache.prefix}k`, '2');
    expect(await cache.get('k')).toBe(2);
    expect(await cache.getLocal('k')).toBeNull();
    expect((await cache.getStats()).levels.level1).toMatchObject({ hits: 0, keyCount: 0, memoryUsed: 0 });
  });

  it('put keyPrefix of the connection in front', async () => {
    const cache = make({ redis: { url: server.url, keyPrefix: 'app:' } });
    await cache.set('k', 1);
    expect(await redis.get(`app:${cache.prefix}k`)).toBe('1');
    expect(await cache.clear()).toBe(1);
  });

  it('count hits, misses and what they hold', async () => {
    const cache = make();
    expect((await cache.getStats()).hitRate).toBe(0);
    await cache.get('k'); // miss
    await cache.getOrSet('k', () => 1); // miss
    await cache.getOrSet('k', () => 1); // level 1
    await cache.get('k'); // level 1
    await redis.set(`${cache.prefix}l`, '1');
    await cache.mget(['k', 'l', 'm']); // level 1, level 2, miss
    await cache.get('l', { parse: false }); // level 1
    const stats = await cache.getStats();
    expect(stats).toMatchObject({ hits: 5, misses: 3, hitRate: 5 / 8, keyCount: 2 });
    expect(stats.levels.level1).toMatchObject({ hits: 4, misses: 4, hitRate: 0.5, keyCount: 2 });
    expect(stats.levels.level2).toEqual({ hits: 1, misses: 3, hitRate: 0.25, keyCount: 2, complete: true });
    expect(stats.memoryUsed).toBeGreaterThan(100);
  });
});

describe('numbers, lives and many keys', () => {
  it('count up and down and keep the life', async () => {
    const cache = make();
    expect(await cache.increment('n')).toBe(1);
    expect(await cache.ttl('n')).toBe(-1);
    expect(await cache.get('n')).toBe(1);
    expect(await cache.increment('n', 10)).toBe(11);
    expect(await cache.decrement('n')).toBe(10);
    expect(await cache.decrement('n', 20)).toBe(-10);
    expect(await cache.get('n')).toBe(-10);
    await cache.set('m', 5, 100);
    expect(await cache.increment('m')).toBe(6);
    expect(await cache.ttl('m')).toBe(100);
    await cache.set('text', 'x');
    await expect(cache.increment('text')).rejects.toThrow(code('ERR_REPLY'));
  });

  it('expire, exist and tell their life as in Redis', async () => {
    const cache = make();
    await cache.set('k', 1);
    expect([await cache.exists('k'), await cache.exists('l')]).toEqual([true, false]);
    expect([await cache.ttl('k'), await cache.ttl('l')]).toEqual([3600, -2]);
    expect([await cache.expire('k', 10), await cache.expire('l', 10)]).toEqual([true, false]);
    expect(await cache.ttl('k')).toBe(10);
    await cache.get('k');
    await cache.expire('k', 0.03);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(await cache.get('k')).toBeNull();
  });

  it('read, write and delete in bulk', async () => {
    const cache = make();
    await cache.mset([
      { key: 'a', value: 1, ttl: 10 },
      { key: 'b', value: { x: 1 } },
      { key: 'c', value: '' },
    ]);
    expect(await cache.ttl('a')).toBe(10);
    expect(await cache.mget(['c', 'a', 'none', 'b', 'a'])).toEqual(['', 1, null, { x: 1 }, 1]);
    expect(await cache.mget([])).toEqual([]);
    expect(await cache.mdel(['a', 'none', 'b'])).toBe(2);
    expect(await cache.delMany(['c'])).toBeUndefined();
    expect(await cache.mget(['a', 'b', 'c'])).toEqual([null, null, null]);
    expect(await cache.mdel([])).toBe(0);
    await cache.mset([]);
    const keys = Array.from({ length: 1_000 }, (_, n) => `k${n}`);
    await cache.mset(keys.map((key, value) => ({ key, value: value + 0.5 })));
    await cache.clear('nothing'); // empties level 1
    expect(await cache.mget(keys)).toEqual(keys.map((_, value) => value + 0.5));
  });

  it('delete by every name', async () => {
    const cache = make();
    await cache.mset(['a', 'b', 'c'].map((key) => ({ key, value: 1 })));
    expect(await cache.delete('a')).toBe(true);
    expect(await cache.delete('a')).toBe(false);
    expect(await cache.del('b')).toBeUndefined();
    expect(await cache.invalidateKey('c')).toBeUndefined();
    expect(await cache.mget(['a', 'b', 'c'])).toEqual([null, null, null]);
  });
});

describe('invalidation', () => {
  it('by tag ends what carries it, in this process and in Redis', async () => {
    const cache = make();
    await cache.set('a', 1, { tags: ['red'] });
    await cache.getOrSet('b', () => 1, { tags: ['red', 'blue'] });
    await cache.getOrSet('c', () => 1, { tags: ['blue'] });
    expect(await cache.mget(['a', 'b', 'c'])).toEqual([1, 1, 1]);
    expect(await cache.invalidateByTag('red')).toBe(2);
    expect(await cache.mget(['a', 'b', 'c'])).toEqual([null, null, 1]);
    expect(await cache.getRedis('b')).toBeNull();
    expect([await cache.exists('b'), await cache.ttl('b'), await cache.exists('c')]).toEqual([false, -2, true]);
    expect(await cache.getOrSet('b', () => 2, { tags: ['red'] })).toBe(2);
    expect(await cache.invalidateTags(['red', 'blue'])).toBe(2);
    expect(await cache.mget(['a', 'b', 'c'])).toEqual([null, null, null]);
    expect(await cache.invalidateTags([])).toBe(0);
  });

  it('by pattern, namespace and flush stays below the prefix', async () => {
    const cache = make();
    const other = make();
    await other.set('user:1', 1);
    await cache.mset(['user:1', 'user:2', 'userx', 'post:1'].map((key) => ({ key, value: 1 })));
    expect(await cache.deletePattern('user:*')).toBe(2);
    expect(await cache.mget(['user:1', 'userx'])).toEqual([null, 1]);
    await cache.set('user:1', 1);
    expect(await cache.invalidatePattern('user:?')).toBe(1);
    expect(await cache.delPattern('none*')).toBeUndefined();
    expect(await cache.clear('post')).toBe(1);
    expect(await cache.mget(['post:1', 'userx'])).toEqual([null, 1]);
    await cache.flush();
    expect(await cache.get('userx')).toBeNull();
    expect(await other.get('user:1')).toBe(1);
    expect(await redis.get(`${other.prefix}user:1`)).toBe('1');
  });

  it('is told to who listens', async () => {
    const cache = make();
    const heard: unknown[] = [];
    for (const event of ['hit', 'miss', 'set', 'delete', 'invalidate'] as const) {
      cache.on(event, (what: object) => heard.push({ [event]: what }));
    }
    await cache.getOrSet('a', () => 1, { tags: ['t'] });
    await cache.getOrSet('a', () => 1);
    await cache.set('b', 1);
    await cache.getRedis('b');
    await cache.mdel(['b', 'c']);
    await cache.invalidateByTag('t');
    await cache.deletePattern('x*');
    await cache.clear('n');
    await cache.flush();
    expect(heard).toEqual([
      { miss: { key: 'a' } },
      { set: { key: 'a' } },
      { hit: { key: 'a', level: 1 } },
      { set: { key: 'b' } },
      { hit: { key: 'b', level: 2 } },
      { delete: { key: 'b' } },
      { delete: { key: 'c' } },
      { invalidate: { count: 1, tags: ['t'], strategy: 'TAG_BASED' } },
      { invalidate: { count: 0, pattern: 'x*', strategy: 'MANUAL' } },
      { invalidate: { count: 0, namespace: 'n', strategy: 'MANUAL' } },
      { invalidate: { count: 1, all: true, strategy: 'MANUAL' } },
    ]);
    // The cheap check on the path of a hit follows listeners that go and come.
    cache.removeAllListeners();
    await cache.set('h', 1);
    const hits = vi.fn();
    await cache.get('h');
    cache.once('hit', hits);
    await cache.get('h');
    await cache.get('h');
    cache.on('hit', hits);
    await cache.get('h');
    expect(hits).toHaveBeenCalledTimes(2);
  });
});
