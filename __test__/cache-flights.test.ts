import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CacheService } from '../ts/index.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

let server: RedisServer;
let cache: CacheService;

beforeAll(async () => {
  server = await RedisServer.start();
  cache = new CacheService({ redis: { url: server.url }, prefix: `${uniquePrefix('flights')}:` });
});

afterAll(async () => {
  await cache.close();
  await server.stop();
});

/** A factory that stands still until it is let go. */
function gate<T>() {
  let open!: (value: T) => void;
  let fail!: (error: Error) => void;
  const gated = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  let enter!: () => void;
  const entered = new Promise<void>((resolve) => {
    enter = resolve;
  });
  const factory = vi.fn(() => {
    enter();
    return gated;
  });
  return { factory, entered, open, fail };
}

let next = 0;
const freshKey = () => `k${next++}`;

describe('one flight for a key', () => {
  it('runs one factory for 1,000 callers, who share its value', async () => {
    const key = freshKey();
    const { factory, entered, open } = gate<{ n: number }>();
    const callers = Array.from({ length: 500 }, () => cache.getOrSet(key, factory));
    await entered;
    callers.push(...Array.from({ length: 500 }, () => cache.getOrSet(key, factory)));
    open({ n: 1 });
    const values = await Promise.all(callers);
    expect(factory).toHaveBeenCalledTimes(1);
    expect(values.every((value) => value === values[0] && value.n === 1)).toBe(true);
  });

  it('shares an error too, and keeps nothing of it', async () => {
    const key = freshKey();
    const { factory, entered, fail } = gate<number>();
    const callers = Array.from({ length: 1_000 }, () => cache.getOrSet(key, factory));
    await entered;
    const error = new Error('no such user');
    fail(error);
    const outcomes = await Promise.allSettled(callers);
    expect(factory).toHaveBeenCalledTimes(1);
    expect(outcomes.every((outcome) => outcome.status === 'rejected' && outcome.reason === error)).toBe(true);
    expect(await cache.getOrSet(key, () => 1)).toBe(1);
  });

  it('takes factories that throw, or are not async', async () => {
    const key = freshKey();
    const thrown = new Error('at once');
    await expect(
      cache.getOrSet(key, () => {
        throw thrown;
      }),
    ).rejects.toBe(thrown);
    expect(await cache.getOrSet(key, () => 'plain')).toBe('plain');
  });

  it('does not make get wait for a factory', async () => {
    const key = freshKey();
    const { factory, entered, open } = gate<number>();
    const running = cache.getOrSet(key, factory);
    await entered;
    expect(await cache.get(key)).toBeNull();
    open(1);
    expect(await running).toBe(1);
  });

  it('reads Redis once for many readers', async () => {
    const key = freshKey();
    await cache.set(key, 1);
    await cache.clear('nothing'); // empties level 1
    const before = (await cache.getStats()).levels.level2.hits;
    expect(await Promise.all(Array.from({ length: 100 }, () => cache.get(key)))).toEqual(Array(100).fill(1));
    expect((await cache.getStats()).levels.level2.hits - before).toBe(1);
  });
});

describe('a value that was invalidated while it was made', () => {
  const invalidations: Record<string, (key: string) => Promise<unknown>> = {
    delete: (key) => cache.delete(key),
    mdel: (key) => cache.mdel([key]),
    set: (key) => cache.set(key, 'new'),
    'set with nx': (key) => cache.set(key, 'new', { nx: true }),
    mset: (key) => cache.mset([{ key, value: 'new' }]),
    'set to null': (key) => cache.set(key, null),
    tag: (key) => cache.invalidateByTag(`tag-${key}`),
    pattern: (key) => cache.deletePattern(`${key}*`),
    clear: () => cache.clear('k'),
    flush: () => cache.flush(),
  };

  for (const [name, invalidate] of Object.entries(invalidations)) {
    it(`is not kept: ${name}`, async () => {
      const key = freshKey();
      const old = gate<string>();
      const tags = [`tag-${key}`];
      const early = cache.getOrSet(key, old.factory, { tags });
      await old.entered;
      await invalidate(key);
      // Who asks after the invalidation does not get what was read before it.
      const later = vi.fn(async () => 'fresh');
      const late = await cache.getOrSet(key, later, { tags });
      expect(late).toBe(name.includes('set') && name !== 'set to null' ? 'new' : 'fresh');
      old.open('old');
      expect(await early).toBe('old');
      expect(await cache.get(key)).toBe(late);
      expect(await cache.getRedis(key)).toBe(late);
    });
  }

  it('is not kept by an invalidation that nobody waited for', async () => {
    const key = freshKey();
    const old = gate<string>();
    const early = cache.getOrSet(key, old.factory);
    await old.entered;
    const deleting = cache.delete(key);
    expect(await cache.getOrSet(key, () => 'fresh')).toBe('fresh');
    old.open('old');
    await Promise.all([early, deleting]);
    // Whether the fresh value was kept is a matter of luck: it was read while the delete was on its way.
    expect(['fresh', null]).toContain(await cache.get(key));
    expect(['fresh', null]).toContain(await cache.getRedis(key));
  });

  it('leaves a factory for another key alone', async () => {
    const [key, other] = [freshKey(), freshKey()];
    const { factory, entered, open } = gate<number>();
    const running = cache.getOrSet(key, factory);
    await entered;
    await cache.delete(other);
    open(1);
    await running;
    expect(await cache.getRedis(key)).toBe(1);
  });

  it('is not kept by a get that Redis answered before', async () => {
    const key = freshKey();
    await cache.set(key, 'old');
    await cache.clear('nothing');
    const reading = cache.get(key);
    const writing = cache.set(key, 'new');
    expect(['old', 'new']).toContain(await reading);
    await writing;
    expect(await cache.get(key)).toBe('new');
    expect(await cache.getLocal(key)).toBe('new');
  });
});

describe('wrap', () => {
  it('gives a function with the types and the errors of the wrapped one', async () => {
    const prefix = freshKey();
    const fn = vi.fn(async (id: number, lang: string) => ({ id, lang }));
    const wrapped = cache.wrap((id, lang) => `${prefix}:${id}:${lang}`, fn, { ttl: 10, tags: [prefix] });
    expect(await wrapped(1, 'en')).toEqual({ id: 1, lang: 'en' });
    expect(await wrapped(1, 'en')).toEqual({ id: 1, lang: 'en' });
    expect(await wrapped(1, 'de')).toEqual({ id: 1, lang: 'de' });
    expect(fn.mock.calls).toEqual([
      [1, 'en'],
      [1, 'de'],
    ]);
    expect(await cache.ttl(`${prefix}:1:en`)).toBe(10);
    await cache.invalidateByTag(prefix);
    await wrapped(1, 'en');
    expect(fn).toHaveBeenCalledTimes(3);
    const failing = cache.wrap(
      () => {
        throw new Error('no key');
      },
      async () => 1,
    );
    await expect(failing()).rejects.toThrow('no key');
  });
});
