import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CacheService, type OxcartError } from '../ts/index.js';
import { coherent } from './helpers/coherent.js';
import { freePort, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

const code = (value: string) => expect.objectContaining({ code: value });

async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const started = performance.now();
  const value = await work;
  return [value, performance.now() - started];
}

describe('a Redis that is killed', () => {
  it('hangs nobody and breaks nobody, and is used again when it is back', async () => {
    const server = await RedisServer.start();
    const cache = new CacheService({
      redis: { url: server.url, commandTimeout: 400 },
      prefix: 'killed:',
      level1: { ttl: 30 },
    });
    const errors: OxcartError[] = [];
    cache.on('error', (error) => errors.push(error as OxcartError));
    await coherent(cache);
    await cache.set('known', { n: 1 });
    await cache.get('known');
    await server.kill();
    await waitFor(() => cache.state !== 'READY', { timeoutMs: 5_000, what: 'the loss of the connection' });

    // What this process knows is still there.
    expect(await cache.get('known')).toEqual({ n: 1 });
    // Reads find nothing, at once.
    const reads = Promise.all([
      cache.get('a'),
      cache.get('a', { parse: false }),
      cache.getRedis('a'),
      cache.mget(['a', 'known']),
      cache.exists('a'),
      cache.ttl('a'),
    ]);
    const [values, readTime] = await timed(reads);
    expect(values).toEqual([null, null, null, [null, { n: 1 }], false, -2]);
    expect(readTime).toBeLessThan(200);
    // Factories run, once: their values are kept in the process.
    const factory = vi.fn(async () => 'made');
    const [made, makeTime] = await timed(Promise.all([1, 2, 3].map(() => cache.getOrSet('made', factory))));
    expect(made).toEqual(['made', 'made', 'made']);
    expect(await cache.getOrSet('made', factory)).toBe('made');
    expect(await cache.getOrSet('tagged', factory, { tags: ['t'] })).toBe('made');
    expect(await cache.get('tagged')).toBe('made');
    expect(factory).toHaveBeenCalledTimes(2);
    expect(makeTime).toBeLessThan(200);
    const failure = new Error('the source is down as well');
    await expect(cache.getOrSet('b', () => Promise.reject(failure))).rejects.toBe(failure);
    // Writes wait for the server up to their deadline, and then do nothing.
    const writes = Promise.all([
      cache.set('a', 1),
      cache.set('a', 1, { tags: ['t'] }),
      cache.set('a', 1, { nx: true }),
      cache.mset([{ key: 'a', value: 1 }]),
      cache.delete('known'),
      cache.mdel(['made']),
      cache.expire('a', 5),
      cache.increment('n'),
      cache.invalidateByTag('t'),
      cache.deletePattern('x*'),
      cache.clear('x'),
      cache.flush(),
    ]);
    const [written, writeTime] = await timed(writes);
    expect(written).toEqual([undefined, undefined, false, undefined, false, 0, false, Number.NaN, 0, 0, 0, undefined]);
    expect(writeTime).toBeLessThan(2_000);
    // The process forgot what it was told to forget.
    expect(await cache.mget(['known', 'made', 'tagged'])).toEqual([null, null, null]);
    expect((await cache.getStats()).levels.level2.complete).toBe(false);
    expect(await cache.health()).toMatchObject({ status: 'degraded' });
    await expect(cache.ping()).rejects.toThrow(code('ERR_COMMAND_TIMED_OUT'));
    expect(errors.length).toBeGreaterThan(3);
    expect(errors.length).toBeLessThan(60);

    // What they were about: three keys, a tag, two patterns, and everything.
    expect((await cache.health()).missed).toBe(7);
    await server.restart();
    const isBack = async () => (await cache.health()).status === 'healthy';
    await waitFor(isBack, { what: 'the connection, and all that was missed' });
    await cache.set('back', 1);
    expect(await cache.getRedis('back')).toBe(1);
    expect(await cache.health()).toMatchObject({ status: 'healthy' });
    await cache.close();
    await server.stop();
  });

  it('is told to the caller with onError: throw', async () => {
    const server = await RedisServer.start();
    const cache = new CacheService({ redis: { url: server.url, commandTimeout: 200 }, onError: 'throw' });
    cache.on('error', () => undefined);
    await cache.ping();
    await server.kill();
    await waitFor(() => cache.state !== 'READY', { timeoutMs: 5_000, what: 'the loss of the connection' });
    const factory = vi.fn(() => 1);
    await expect(cache.get('a')).rejects.toThrow(code('ERR_OFFLINE'));
    await expect(cache.mget(['a'])).rejects.toThrow(code('ERR_OFFLINE'));
    await expect(cache.getOrSet('a', factory)).rejects.toThrow(code('ERR_OFFLINE'));
    await expect(cache.set('a', 1)).rejects.toThrow(code('ERR_COMMAND_TIMED_OUT'));
    await expect(cache.increment('a')).rejects.toThrow(code('ERR_COMMAND_TIMED_OUT'));
    await expect(cache.invalidateByTag('a')).rejects.toThrow(code('ERR_COMMAND_TIMED_OUT'));
    expect(factory).not.toHaveBeenCalled();
    await cache.close();
    await server.stop();
  });

  it('that never was there does not keep the constructor or a read', async () => {
    const port = await freePort();
    const [cache, time] = await timed((async () => new CacheService({ redis: { host: '127.0.0.1', port } }))());
    cache.on('error', () => undefined);
    expect(time).toBeLessThan(200);
    const [value, readTime] = await timed(cache.getOrSet('a', () => 5));
    expect(value).toBe(5);
    expect(readTime).toBeLessThan(1_000);
    await cache.close();
  });

  it('that hangs costs one deadline, then nothing for a second', async () => {
    const server = await RedisServer.start();
    const cache = new CacheService({ redis: { url: server.url, commandTimeout: 300 } });
    cache.on('error', () => undefined);
    await cache.ping();
    server.freeze();
    const [, first] = await timed(cache.get('a'));
    expect(first).toBeLessThan(1_000);
    const [, others] = await timed(Promise.all(Array.from({ length: 50 }, (_, n) => cache.get(`b${n}`))));
    expect(others).toBeLessThan(250);
    server.thaw();
    await cache.close();
    await server.stop();
  });
});

describe('bad input', () => {
  let server: RedisServer;
  let cache: CacheService<any, any>;
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;

  beforeAll(async () => {
    server = await RedisServer.start();
    cache = new CacheService({
      redis: { url: server.url },
      prefix: `${uniquePrefix('bad')}:`,
      limits: { maxValueSize: 1_000, maxBulkKeys: 3 },
    });
  });
  afterAll(async () => {
    await cache.close();
    await server.stop();
  });

  const any = () => cache as any;
  const table: [name: string, call: () => Promise<unknown>, code: string][] = [
    ['a key that is a number', () => any().get(5), 'ERR_INVALID_ARGUMENT'],
    ['a key that is undefined', () => any().getOrSet(undefined, () => 1), 'ERR_INVALID_ARGUMENT'],
    ['an empty key', () => cache.get(''), 'ERR_INVALID_ARGUMENT'],
    ['an empty key to be set', () => cache.set('', 1), 'ERR_INVALID_ARGUMENT'],
    ['a reserved key', () => cache.set('#tag:x', 1), 'ERR_INVALID_ARGUMENT'],
    ['a long key', () => cache.get('k'.repeat(513)), 'ERR_CACHE_KEY_TOO_LONG'],
    ['a long key of getOrSet', () => cache.getOrSet('k'.repeat(513), () => 1), 'ERR_CACHE_KEY_TOO_LONG'],
    ['a long key to be deleted', () => cache.delete('k'.repeat(513)), 'ERR_CACHE_KEY_TOO_LONG'],
    ['a large value', () => cache.set('k', 'x'.repeat(1_000)), 'ERR_CACHE_VALUE_TOO_LARGE'],
    ['a large value of a factory', () => cache.getOrSet('big', () => 'x'.repeat(999)), 'ERR_CACHE_VALUE_TOO_LARGE'],
    ['many keys', () => cache.mget(['a', 'b', 'c', 'd']), 'ERR_CACHE_BULK_TOO_LARGE'],
    ['many keys to be deleted', () => cache.mdel(['a', 'b', 'c', 'd']), 'ERR_CACHE_BULK_TOO_LARGE'],
    ['keys that are no array', () => any().mget('a'), 'ERR_INVALID_ARGUMENT'],
    ['keys that are no strings', () => any().mdel(['a', 1]), 'ERR_INVALID_ARGUMENT'],
    ['a circular value', () => cache.set('k', circular), 'ERR_NOT_SERIALIZABLE'],
    ['a bigint', () => cache.mset([{ key: 'k', value: 1n }]), 'ERR_NOT_SERIALIZABLE'],
    ['a function as value', () => cache.getOrSet('k', () => () => 1), 'ERR_NOT_SERIALIZABLE'],
    ['no factory', () => any().getOrSet('k'), 'ERR_INVALID_ARGUMENT'],
    ['a ttl of 0', () => cache.set('k', 1, 0), 'ERR_INVALID_ARGUMENT'],
    ['a ttl below 0', () => cache.set('k', 1, { ttl: -1 }), 'ERR_INVALID_ARGUMENT'],
    ['a ttl that is no number', () => cache.set('k', 1, { ttl: Number.NaN }), 'ERR_INVALID_ARGUMENT'],
    ['an endless ttl', () => cache.getOrSet('k', () => 1, Number.POSITIVE_INFINITY), 'ERR_INVALID_ARGUMENT'],
    ['a ttl below a millisecond', () => cache.set('k', 1, 0.0001), 'ERR_INVALID_ARGUMENT'],
    ['a ttl as text', () => any().set('k', 1, '60'), 'ERR_INVALID_ARGUMENT'],
    ['a ttlKey that nobody defined', () => cache.set('k', 1, { ttlKey: 'X' }), 'ERR_INVALID_ARGUMENT'],
    ['no life for expire', () => any().expire('k'), 'ERR_INVALID_ARGUMENT'],
    ['a life of 0 for expire', () => cache.expire('k', 0), 'ERR_INVALID_ARGUMENT'],
    ['a fraction to add', () => cache.increment('k', 0.5), 'ERR_INVALID_ARGUMENT'],
    ['text to subtract', () => any().decrement('k', '1'), 'ERR_INVALID_ARGUMENT'],
    ['an option that does not exist', () => any().set('k', 1, { grace: 5 }), 'ERR_INVALID_OPTION'],
    ['an option of getOrSet that does not exist', () => any().getOrSet('k', () => 1, { sww: 1 }), 'ERR_INVALID_OPTION'],
    ['an option of get that does not exist', () => any().get('k', { stale: true }), 'ERR_INVALID_OPTION'],
    ['nx beside xx', () => cache.set('k', 1, { nx: true, xx: true }), 'ERR_INVALID_OPTION'],
    ['tags that are no array', () => any().set('k', 1, { tags: 'x' }), 'ERR_INVALID_ARGUMENT'],
    ['an empty tag', () => cache.set('k', 1, { tags: [''] }), 'ERR_INVALID_ARGUMENT'],
    ['a long tag', () => cache.invalidateByTag('x'.repeat(257)), 'ERR_INVALID_ARGUMENT'],
    ['many tags', () => cache.invalidateTags(Array(65).fill('x')), 'ERR_INVALID_ARGUMENT'],
    [
      'many tags of getOrSet',
      () => cache.getOrSet('k', () => 1, { tags: Array(65).fill('x') }),
      'ERR_INVALID_ARGUMENT',
    ],
    ['an empty pattern', () => cache.deletePattern(''), 'ERR_INVALID_ARGUMENT'],
    ['a domain that nobody defined', () => any().get('users', 1), 'ERR_INVALID_CACHE_DOMAIN'],
    ['entries that are no array', () => any().mset({}), 'ERR_INVALID_ARGUMENT'],
    ['an entry with an unknown field', () => any().mset([{ key: 'k', value: 1, tag: 'x' }]), 'ERR_INVALID_OPTION'],
  ];

  for (const [name, call, expected] of table) {
    it(`is refused: ${name}`, async () => {
      const tell = vi.fn();
      cache.on('error', tell);
      await expect(call()).rejects.toThrow(code(expected));
      cache.off('error', tell);
      expect(tell).not.toHaveBeenCalled();
      await cache.set('still', 'usable');
      expect(await cache.get('still')).toBe('usable');
    });
  }

  const options: [option: string, options: object][] = [
    ['level3.url', { level3: { enabled: true } }],
    ['serialiser', { serialiser: 'msgpack' }],
    ['serializer', { serializer: () => 1 }],
    ['prefix', { prefix: 5 }],
    ['defaultTtl', { defaultTtl: 0 }],
    ['defaultTtl', { defaultTtl: Number.NaN }],
    ['defaultTtl', { defaultTtl: 10n }],
    ['level1.maxSize', { level1: { maxSize: 0 } }],
    ['level1.strategy', { level1: { strategy: 'FIFO' } }],
    ['level1.unknown', { level1: { unknown: 1 } }],
    ['level2.enabled', { level2: { enabled: 'yes' } }],
    ['level2.softTimeout', { level2: { softTimeout: 0 } }],
    ['level2.timeout', { level2: { timeout: '1' } }],
    ['level2.circuitBreaker.threshold', { level2: { circuitBreaker: { threshold: 0.5 } } }],
    ['level2.circuitBreaker.halfOpen', { level2: { circuitBreaker: { halfOpen: 1 } } }],
    ['limits.maxBulkKeys', { limits: { maxBulkKeys: 1.5 } }],
    ['onError', { onError: 'ignore' }],
    ['clone', { clone: 1 }],
    ['ttls.A', { ttls: { A: -1 } }],
    ['domains.u.strategy', { domains: { u: { strategy: 1 } } }],
    ['port', { redis: { port: 'x' } }],
  ];
  for (const [option, bad] of options) {
    it(`is refused by the constructor: ${option} in ${Object.keys(bad)}`, () => {
      expect(() => new CacheService(bad as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: expect.objectContaining({ option }) }),
      );
    });
  }

  it('has no flush without a prefix', async () => {
    const bare = new CacheService({ redis: { url: server.url }, prefix: '' });
    await expect(bare.flush()).rejects.toThrow(code('ERR_INVALID_OPTION'));
    await expect(bare.clear()).rejects.toThrow(code('ERR_INVALID_OPTION'));
    await bare.close();
  });
});

describe('closing', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  it('refuses what comes after, twice', async () => {
    const cache = new CacheService({ redis: { url: server.url } });
    await cache.getOrSet('k', () => 1);
    await Promise.all([cache.close(), cache.close()]);
    await cache.close();
    for (const call of [
      () => cache.get('k'),
      () => cache.getOrSet('k', () => 1),
      () => cache.set('k', 1),
      () => cache.delete('k'),
      () => cache.mget(['k']),
      () => cache.flush(),
      () => cache.ping(),
    ]) {
      await expect(call()).rejects.toThrow(code('ERR_CLOSED'));
    }
    expect(await cache.getLocal('k')).toBeNull();
    expect(cache.state).toBe('DISCONNECTED');
  });

  it('answers what is in flight', async () => {
    const cache = new CacheService({ redis: { url: server.url } });
    const writes = Array.from({ length: 100 }, (_, n) => cache.set(`k${n}`, n));
    const slow = cache.getOrSet('slow', async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return 'made';
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await cache.close();
    await Promise.all(writes);
    expect(await slow).toBe('made');
  });

  it('is done by `await using`, and does not touch others of the same options', async () => {
    const other = new CacheService({ redis: { url: server.url } });
    await coherent(other);
    {
      await using cache = new CacheService({ redis: { url: server.url } });
      await cache.set('k', 'shared');
    }
    expect(await other.getLocal('k')).toBe('shared');
    await other.close();
  });

  it('is not needed for the process to end', async () => {
    const script = `
      const { CacheService } = require(${JSON.stringify(join(import.meta.dirname, '..', 'index.js'))});
      const cache = new CacheService({ redis: { url: ${JSON.stringify(server.url)} } });
      cache.getOrSet('exit', () => 7).then(async (value) => {
        for (let n = 0; n < 100; n++) await cache.get('exit');
        console.log('value', value);
      });`;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { timeout: 10_000 });
    expect(stdout).toBe('value 7\n');
  });
});
