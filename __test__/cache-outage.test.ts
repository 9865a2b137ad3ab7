import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CacheOptions, CacheService } from '../ts/index.js';
import { coherent } from './helpers/coherent.js';
import { FlakyProxy } from './helpers/flaky-proxy.js';
import { freePort, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let proxy: FlakyProxy;
let cache: CacheService;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());
beforeEach(async () => {
  proxy = await FlakyProxy.start({ port: server.port });
});
afterEach(async () => {
  await cache.close();
  await proxy.stop();
});

async function open(options: Partial<CacheOptions> = {}): Promise<CacheService> {
  const redis = { url: proxy.url, ...options.redis };
  cache = new CacheService({ prefix: `${uniquePrefix('outage')}:`, ...options, redis });
  cache.on('error', () => undefined);
  await coherent(cache);
  return cache;
}

describe('the circuit breaker', () => {
  it('opens, probes and closes, and says so', async () => {
    await open({ level2: { timeout: 0.5, circuitBreaker: { threshold: 2, duration: 0.3 } } });
    const states: string[] = [];
    cache.on('circuit', (state) => states.push(state));
    expect(await cache.health()).toMatchObject({ status: 'healthy', circuit: 'closed' });
    proxy.silence();
    await cache.get('a');
    expect(states).toEqual([]);
    await cache.get('a');
    await waitFor(() => states[0] === 'open');
    proxy.heal();
    await waitFor(async () => {
      await cache.get('a');
      return states.at(-1) === 'closed';
    });
    expect(states.slice(0, 2)).toEqual(['open', 'half-open']);
    await waitFor(async () => (await cache.health()).status === 'healthy');
  });
});

describe('the soft timeout', () => {
  const level2 = { timeout: 20, softTimeout: 0.05 };

  it('sends callers to the source while the read goes on, and keeps what it brings', async () => {
    const prefix = `${uniquePrefix('soft')}:`;
    await open({ prefix, level2 });
    // It has the same entries, and no copy of them in common.
    const writer = new CacheService({ redis: { url: server.url }, prefix, level1: { enabled: false } });
    await writer.set('known', 'stored', 60);
    await writer.close();
    proxy.delay(1_000);
    const started = performance.now();
    expect(await cache.getOrSet('cold', () => 'made', { ttl: 60, tags: ['t'] })).toBe('made');
    expect(await cache.getOrSetMany(['a', 'b'], (keys) => keys.map((key) => `made ${key}`))).toEqual([
      'made a',
      'made b',
    ]);
    const factory = vi.fn(() => new Promise<string>(() => undefined));
    void cache.getOrSet('known', factory);
    await waitFor(() => factory.mock.calls.length === 1);
    // Three round trips would have taken 6 s.
    expect(performance.now() - started).toBeLessThan(5_000);
    await waitFor(async () => (await cache.getLocal('known')) === 'stored');
    // What the source gave stays here.
    expect(await cache.get('cold')).toBe('made');
    expect((await cache.health()).circuit).toBe('closed');
  });

  it('takes a stale value at once where one may stand in', async () => {
    await open({ level2 });
    const options = { ttl: 0.05, swr: 60 };
    await waitFor(async () => {
      await cache.getOrSet('k', () => 'old', options);
      return (await cache.getLocal('k')) === 'old';
    });
    await waitFor(async () => (await cache.getLocal('k')) === null);
    proxy.delay(300);
    const factory = vi.fn(() => new Promise<string>(() => undefined));
    expect(await cache.getOrSet('k', factory, options)).toBe('old');
  });

  it('is no failure with onError: throw', async () => {
    await open({ level2, onError: 'throw' });
    proxy.delay(300);
    expect(await cache.getOrSet('k', () => 'made')).toBe('made');
  });
});

describe('what Redis missed', () => {
  it('is made up for when it is back, before it is read again', async () => {
    const prefix = `${uniquePrefix('missed')}:`;
    await open({ prefix, redis: { commandTimeout: 500 } });
    const other = new CacheService({ redis: { url: server.url }, prefix, level1: { enabled: false } });
    await other.set('deleted', 'old', { ttl: 600 });
    await other.set('tagged', 'old', { ttl: 600, tags: ['t'] });
    await other.set('written', 'old', { ttl: 600 });
    expect(await cache.mget(['deleted', 'tagged', 'written'])).toEqual(['old', 'old', 'old']);
    proxy.refuse();
    proxy.cut();
    await waitFor(() => cache.state !== 'READY');
    expect(await Promise.all([cache.delete('deleted'), cache.invalidateByTag('t')])).toEqual([false, 0]);
    await cache.set('written', 'new');
    expect(await cache.health()).toMatchObject({ status: 'degraded', missed: 3 });
    expect(await cache.getOrSet('deleted', () => 'from the source')).toBe('from the source');
    proxy.heal();
    await waitFor(async () => {
      // Until then nobody is given an old value here.
      expect(await cache.getRedis('deleted')).toBeNull();
      return (await cache.health()).status === 'healthy';
    });
    expect(await other.mget(['deleted', 'tagged', 'written'])).toEqual([null, null, null]);
    await other.close();
  });

  it('is bounded', async () => {
    await open({ redis: { commandTimeout: 300 }, level2: { recoveryQueue: { maxSize: 10 } } });
    const errors: unknown[] = [];
    cache.on('error', (error) => errors.push((error as { code?: string }).code));
    proxy.refuse();
    proxy.cut();
    await waitFor(() => cache.state !== 'READY');
    for (let round = 0; round < 3; round++) {
      await cache.mdel(Array.from({ length: 1_000 }, (_, n) => `k${round}-${n}`));
      expect((await cache.health()).missed).toBeLessThanOrEqual(10);
    }
    expect(errors).toContain('ERR_OVERLOADED');
    proxy.heal();
    await waitFor(async () => (await cache.health()).missed === 0);
  });
});

describe('a cache without level 2', () => {
  const prefix = () => `${uniquePrefix('alone')}:`;

  it('needs no Redis, and does all the rest', async () => {
    const errors: Error[] = [];
    const redis = { host: '127.0.0.1', port: await freePort() };
    cache = new CacheService({ redis, prefix: prefix(), level2: { enabled: false } });
    cache.on('error', (error) => errors.push(error));
    expect(await cache.getOrSet('a', () => ({ n: 1 }), { ttl: 60, tags: ['t'] })).toEqual({ n: 1 });
    await cache.mset([
      { key: 'user:1', value: 1 },
      { key: 'user:2', value: 2 },
    ]);
    expect(await cache.mget(['a', 'user:1', 'user:3'])).toEqual([{ n: 1 }, 1, null]);
    expect(await cache.increment('n', 5)).toBe(5);
    await cache.set('user:1', 'no', { nx: true });
    expect([await cache.get('user:1'), await cache.exists('user:2'), await cache.ttl('a')]).toEqual([1, true, 60]);
    expect(await cache.invalidateByTag('t')).toBe(1);
    expect(await cache.get('a')).toBeNull();
    expect(await cache.deletePattern('user:*')).toBe(2);
    expect(await cache.delete('n')).toBe(true);
    expect(await cache.health()).toMatchObject({ status: 'healthy', state: 'READY', circuit: 'closed' });
    await cache.set('later', 1);
    await cache.scheduleInvalidation({ key: 'later', at: new Date() });
    await waitFor(async () => (await cache.get('later')) === null);
    expect(errors).toEqual([]);
  });

  it('is bounded by level1.maxSize', async () => {
    cache = new CacheService({ prefix: prefix(), level1: { maxSize: 400_000 }, level2: { enabled: false } });
    for (let n = 0; n < 1_000; n++) await cache.set(`k${n}`, 'x'.repeat(1_000));
    const { keyCount, memoryUsed } = await cache.getStats();
    expect(keyCount).toBeGreaterThan(50);
    expect(keyCount).toBeLessThan(300);
    expect(memoryUsed).toBeLessThan(100_001);
  });

  it('has a level 1', () => {
    const none = { level1: { enabled: false }, level2: { enabled: false } };
    expect(() => new CacheService(none)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option: 'level2.enabled' } }),
    );
    expect(() => new CacheService({ level2: { enabled: 'no' } } as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option: 'level2.enabled' } }),
    );
  });
});
