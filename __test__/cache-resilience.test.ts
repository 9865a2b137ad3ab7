import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CacheService } from '../ts/index.js';
import { coherent } from './helpers/coherent.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let cache: CacheService;
const errors: Error[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  cache = new CacheService({ redis: { url: server.url }, prefix: `${uniquePrefix('resilience')}:` });
  cache.on('error', (error) => errors.push(error));
  await coherent(cache);
});
afterAll(async () => {
  await cache.close();
  await server.stop();
});

let next = 0;
const freshKey = () => `k${next++}`;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const never = () => new Promise<never>(() => undefined);
const failing = () => vi.fn(() => Promise.reject(new Error('the source is down')));

/** A value of which only the stale part of its life is left. */
async function staleKey(options: object = { grace: 60 }): Promise<string> {
  const key = freshKey();
  await cache.getOrSet(key, () => 'old', { ttl: 0.05, ...options });
  await waitFor(async () => (await cache.get(key)) === null, { intervalMs: 5 });
  return key;
}

describe('grace', () => {
  it('serves the stale value while the source fails, and asks it once per back-off', async () => {
    const key = await staleKey();
    const factory = failing();
    const values = await Promise.all(Array.from({ length: 100 }, () => cache.getOrSet(key, factory, { grace: 60 })));
    expect(new Set(values)).toEqual(new Set(['old']));
    for (let n = 0; n < 10; n++) expect(await cache.getOrSet(key, factory, { grace: 60 })).toBe('old');
    expect(factory).toHaveBeenCalledTimes(1);
    expect(errors.at(-1)?.message).toBe('the source is down');
    // Nobody else sees it.
    expect([await cache.get(key), await cache.exists(key), await cache.ttl(key), ...(await cache.mget([key]))]).toEqual(
      [null, false, -2, null],
    );
    await expect(cache.getOrSet(key, failing())).rejects.toThrow('the source is down');
  });

  it('asks again after the back-off, and takes what the source then gives', async () => {
    const key = await staleKey();
    const options = { grace: 60, backoff: 0.05, ttl: 60 };
    expect(await cache.getOrSet(key, failing(), options)).toBe('old');
    await waitFor(async () => (await cache.getOrSet(key, () => 'new', options)) === 'new');
    expect(await cache.get(key)).toBe('new');
  });

  it('ends with the life of the value, however often it was served', async () => {
    const key = await staleKey({ grace: 0.3 });
    const options = { grace: 0.3, backoff: 60 };
    expect(await cache.getOrSet(key, failing(), options)).toBe('old');
    await sleep(350);
    await expect(cache.getOrSet(key, failing(), options)).rejects.toThrow('the source is down');
  });

  it('shorter than the life does not shorten it', async () => {
    const key = freshKey();
    await cache.getOrSet(key, () => 1, { ttl: 30, grace: 0.01 });
    await sleep(50);
    expect(await cache.getRedis(key)).toBe(1);
    expect(await cache.ttl(key)).toBeGreaterThan(25);
  });

  it.each<[string, (key: string) => Promise<unknown>]>([
    ['a delete', (key) => cache.delete(key)],
    ['a tag', () => cache.invalidateByTag('grace')],
    ['a pattern', (key) => cache.deletePattern(`${key}*`)],
  ])('does not serve what %s removed', async (_, remove) => {
    const options = { grace: 60, tags: ['grace'] };
    const key = await staleKey(options);
    expect(await cache.getOrSet(key, failing(), options)).toBe('old');
    await remove(key);
    await expect(cache.getOrSet(key, failing(), options)).rejects.toThrow('the source is down');
  });

  it('gives the factory the stale value', async () => {
    const key = await staleKey();
    expect(await cache.getOrSet(key, ({ stale, key: named }) => `${stale} ${named === key}`, { grace: 60 })).toBe(
      'old true',
    );
  });

  it('without a value to stand in, a backoff keeps the error', async () => {
    const key = freshKey();
    const factory = failing();
    for (let n = 0; n < 5; n++) await expect(cache.getOrSet(key, factory, { backoff: 60 })).rejects.toThrow('down');
    expect(factory).toHaveBeenCalledTimes(1);
    await cache.set(key, 'written');
    expect(await cache.getOrSet(key, factory, { backoff: 60 })).toBe('written');
  });
});

describe('stale while revalidate', () => {
  it('answers at once, and refreshes behind the callers', async () => {
    const key = await staleKey({ swr: 60 });
    let open!: (value: string) => void;
    const factory = vi.fn(() => new Promise<string>((resolve) => (open = resolve)));
    const options = { swr: 60, ttl: 60 };
    for (let n = 0; n < 5; n++) expect(await cache.getOrSet(key, factory, options)).toBe('old');
    expect(factory).toHaveBeenCalledTimes(1);
    open('new');
    await waitFor(async () => (await cache.get(key)) === 'new');
  });
});

describe('timeouts of the factory', () => {
  it('soft: takes the stale value, and stores the late one', async () => {
    const key = await staleKey();
    let open!: (value: string) => void;
    let signal!: AbortSignal;
    const slow = (context: { signal: AbortSignal }) => {
      signal = context.signal;
      return new Promise<string>((resolve) => (open = resolve));
    };
    expect(await cache.getOrSet(key, slow, { grace: 60, softTimeout: 0.02, ttl: 60 })).toBe('old');
    expect(signal.aborted).toBe(false);
    open('late');
    await waitFor(async () => (await cache.get(key)) === 'late');
  });

  it('hard: rejects, aborts the signal, asks nobody else meanwhile, and stores the late value', async () => {
    const key = freshKey();
    let open!: (value: string) => void;
    let signal!: AbortSignal;
    const slow = vi.fn((context: { signal: AbortSignal }) => {
      signal = context.signal;
      return new Promise<string>((resolve) => (open = resolve));
    });
    const timedOut = expect.objectContaining({ code: 'ERR_WAIT_TIMED_OUT', details: expect.objectContaining({ key }) });
    const calls = Array.from({ length: 6 }, () => cache.getOrSet(key, slow, { hardTimeout: 0.03 }));
    for (const call of calls) await expect(call).rejects.toThrow(timedOut);
    expect(slow).toHaveBeenCalledTimes(1);
    expect(signal.aborted).toBe(true);
    open('late');
    await waitFor(async () => (await cache.get(key)) === 'late');
  });

  it('hard: a late value that was invalidated meanwhile is not stored', async () => {
    const key = freshKey();
    let open!: (value: string) => void;
    const slow = () => new Promise<string>((resolve) => (open = resolve));
    await expect(cache.getOrSet(key, slow, { hardTimeout: 0.03 })).rejects.toThrow('did not answer');
    await cache.delete(key);
    open('late');
    await sleep(50);
    expect(await cache.getRedis(key)).toBeNull();
  });

  it('one caller that leaves takes nothing from the others', async () => {
    const key = freshKey();
    let open!: (value: string) => void;
    let signal!: AbortSignal;
    const factory = vi.fn((context: { signal: AbortSignal }) => {
      signal = context.signal;
      return new Promise<string>((resolve) => (open = resolve));
    });
    const leaver = new AbortController();
    const other = new AbortController();
    const left = cache.getOrSet(key, factory, { signal: leaver.signal });
    const stays = cache.getOrSet(key, factory, { signal: other.signal });
    await waitFor(async () => factory.mock.calls.length === 1);
    leaver.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    expect(signal.aborted).toBe(false);
    open('made');
    expect(await stays).toBe('made');
  });

  it('the last caller that leaves aborts the factory, and the next one asks anew', async () => {
    const key = freshKey();
    let signal!: AbortSignal;
    const leaver = new AbortController();
    const left = cache.getOrSet(
      key,
      (context) => {
        signal = context.signal;
        return never();
      },
      { signal: leaver.signal },
    );
    await waitFor(async () => signal !== undefined);
    leaver.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    expect(signal.aborted).toBe(true);
    expect(await cache.getOrSet(key, () => 'anew')).toBe('anew');
    await expect(cache.getOrSet(freshKey(), never, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow(
      'before',
    );
  });
});

describe('nested calls', () => {
  it('of the same key, of a circle, and of two that wait for each other, all end', async () => {
    const a = freshKey();
    expect(await cache.getOrSet(a, () => cache.getOrSet(a, () => 'inner'))).toBe('inner');
    const [c, d] = [freshKey(), freshKey()];
    const circle: () => Promise<string> = () =>
      cache.getOrSet(c, () => cache.getOrSet(d, () => cache.getOrSet(c, () => 'end')));
    expect(await circle()).toBe('end');
    const [e, f] = [freshKey(), freshKey()];
    const both = await Promise.all([
      cache.getOrSet(e, async () => {
        await sleep(20);
        return `e(${await cache.getOrSet(f, async () => 'f')})`;
      }),
      cache.getOrSet(f, async () => {
        await sleep(20);
        return `f(${await cache.getOrSet(e, async () => 'e')})`;
      }),
    ]);
    expect(both.every((value) => typeof value === 'string')).toBe(true);
  });
});

describe('freshness', () => {
  it('XFetch refreshes before the end, behind the reader', async () => {
    const key = freshKey();
    const options = { ttl: 5, earlyRefresh: 100 };
    let runs = 0;
    const factory = async () => {
      await sleep(100);
      return ++runs;
    };
    await cache.getOrSet(key, factory, options);
    await waitFor(async () => (await cache.getOrSet<number>(key, factory, options)) > 1, { timeoutMs: 4_000 });
  });

  it('jitter shortens lives, each by its own part', async () => {
    const keys = Array.from({ length: 20 }, freshKey);
    await Promise.all(keys.map((key) => cache.getOrSet(key, () => 1, { ttl: 1_000, jitter: 0.5 })));
    const ttls = await Promise.all(keys.map((key) => cache.ttl(key)));
    expect(Math.min(...ttls)).toBeGreaterThanOrEqual(498);
    expect(Math.max(...ttls)).toBeLessThanOrEqual(1_000);
    expect(new Set(ttls).size).toBeGreaterThan(5);
  });

  it('the factory says the life, the tags, or that nothing is stored', async () => {
    const [a, b, c] = [freshKey(), freshKey(), freshKey()];
    await cache.getOrSet(
      a,
      (context) => {
        context.setTtl(500);
        context.setTags(['late']);
        return 1;
      },
      { ttl: 5, tags: ['t'] },
    );
    expect(await cache.ttl(a)).toBeGreaterThan(400);
    expect(await cache.get(a)).toBe(1);
    await cache.invalidateByTag('late');
    expect([await cache.get(a), await cache.getRedis(a)]).toEqual([null, null]);
    // A tag that was invalidated while the factory ran, before it was named.
    const value = await cache.getOrSet(b, async (context) => {
      await cache.invalidateByTag('late');
      context.setTags(['late']);
      return 'old';
    });
    expect([value, await cache.get(b), await cache.getRedis(b)]).toEqual(['old', null, null]);
    await cache.getOrSet(c, (context) => {
      context.skip();
      return 1;
    });
    expect(await cache.getRedis(c)).toBeNull();
  });

  it('negativeTtl remembers that there was nothing', async () => {
    const key = freshKey();
    const factory = vi.fn(() => undefined);
    await cache.getOrSet(key, factory, { negativeTtl: 60 });
    expect(await cache.getOrSet(key, factory, { negativeTtl: 60 })).toBeNull();
    expect(factory).toHaveBeenCalledTimes(1);
  });

  it.each([
    ['grace', 0],
    ['swr', '1'],
    ['softTimeout', -1],
    ['hardTimeout', Number.POSITIVE_INFINITY],
    ['earlyRefresh', 'yes'],
    ['jitter', 1.5],
    ['negativeTtl', Number.NaN],
    ['lock', 'global'],
    ['backoff', 0],
    ['signal', {}],
  ])('refuses a wrong %s', async (option, value) => {
    const call = cache.getOrSet(freshKey(), () => 1, { [option]: value } as object);
    await expect(call).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', details: expect.objectContaining({ argument: option }) }),
    );
  });
});

describe('getOrSetMany', () => {
  it('calls the loader once, with the missing keys only', async () => {
    const keys = Array.from({ length: 100 }, freshKey);
    await cache.mset(keys.slice(0, 30).map((key) => ({ key, value: `known ${key}` })));
    const loader = vi.fn((missing: readonly string[]) => missing.map((key) => `made ${key}`));
    const [first, second] = await Promise.all([cache.getOrSetMany(keys, loader), cache.getOrSetMany(keys, loader)]);
    expect(first).toEqual(keys.map((key, index) => (index < 30 ? `known ${key}` : `made ${key}`)));
    expect(second).toEqual(first);
    expect(loader.mock.calls.map(([missing]) => missing)).toEqual([keys.slice(30)]);
    expect(await cache.getRedis(keys[99]!)).toBe(`made ${keys[99]}`);
    expect(await cache.getOrSetMany(keys, loader)).toEqual(first);
    expect(loader).toHaveBeenCalledTimes(1);
  });

  it('takes a Map, repeated keys, tags, and values that are not there', async () => {
    const [a, b, c] = [freshKey(), freshKey(), freshKey()];
    const values = await cache.getOrSetMany([a, b, a, c], () => new Map([[a, 0]]), { tags: ['bulk'], ttl: 60 });
    expect(values).toEqual([0, null, 0, null]);
    expect([await cache.getRedis(a), await cache.getRedis(b)]).toEqual([0, null]);
    await cache.invalidateByTag('bulk');
    expect(await cache.get(a)).toBeNull();
    expect(await cache.getOrSetMany([], () => [])).toEqual([]);
  });

  it('shares errors, stands in with stale values, and refuses what is no answer', async () => {
    const keys = [freshKey(), freshKey()];
    await expect(cache.getOrSetMany(keys, () => Promise.reject(new Error('bulk')))).rejects.toThrow('bulk');
    await expect(cache.getOrSetMany(keys, () => [1])).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
    );
    const key = await staleKey();
    expect(await cache.getOrSetMany([key], () => Promise.reject(new Error('bulk')), { grace: 60 })).toEqual(['old']);
  });

  it('does not store what was invalidated while the loader ran', async () => {
    const keys = [freshKey(), freshKey()];
    const loading = cache.getOrSetMany(keys, async (missing) => {
      await cache.delete(keys[0]!);
      return missing.map(() => 'old');
    });
    expect(await loading).toEqual(['old', 'old']);
    expect([await cache.getRedis(keys[0]!), await cache.getRedis(keys[1]!)]).toEqual([null, 'old']);
  });
});
