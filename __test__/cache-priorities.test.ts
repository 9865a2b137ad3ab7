import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CacheOptions, CachePriority, CacheService } from '../ts/index.js';
import { coherent } from './helpers/coherent.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

let server: RedisServer;
const open: CacheService<any, any>[] = [];
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(async () => {
  await Promise.all(open.map((cache) => cache.close()));
  await server.stop();
});

function make(options: CacheOptions<any, any>): CacheService<any, any> {
  const redis = { url: server.url };
  const cache = new CacheService<any, any>({ prefix: `${uniquePrefix('priorities')}:`, redis, ...options });
  open.push(cache);
  return cache;
}

/** Those of the keys that have a copy in this process. */
async function kept(cache: CacheService<any, any>, keys: readonly string[]): Promise<string[]> {
  const found = await Promise.all(keys.map(async (key) => ((await cache.getLocal(key)) === null ? [] : [key])));
  return found.flat();
}

const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

describe('what level 1 evicts first', () => {
  it('is what has the lowest priority, however it is written and read', async () => {
    const cache = make({
      // With this one no two of the keys share an epoch, so that none ends the copy of another.
      prefix: 'priorities-0:',
      // Room for about a hundred values.
      level1: { maxSize: 100_000, priorities: { 'plan:': 'CRITICAL', 'log:': CachePriority.LOW } },
      domains: { users: { priority: CachePriority.HIGH, prefix: 'u:' }, carts: {} },
    });
    await coherent(cache);
    const value = 'x'.repeat(600);
    const [users, plans, logs, plain] = [ids('u:', 20), ids('plan:', 20), ids('log:', 20), ids('plain:', 20)] as const;
    for (const key of logs) await cache.set(key, value);
    for (const key of plain) await cache.getOrSet(key, () => value);
    for (let id = 0; id < 20; id++) await cache.set('users', id, value, {});
    await cache.mset(plans.map((key) => ({ key, value })));
    expect(await kept(cache, [...users, ...plans, ...logs, ...plain])).toHaveLength(80);

    for (const key of ids('carts:', 60)) await cache.set(key, value);
    expect(await kept(cache, logs)).toEqual([]);
    expect(await kept(cache, [...users, ...plans])).toEqual([...users, ...plans]);

    for (const key of ids('u:more-', 60)) await cache.set(key, value);
    expect(await kept(cache, [...logs, ...plain])).toEqual([]);
    expect(await kept(cache, plans)).toEqual(plans);

    const { priorities, keyCount, memoryUsed } = (await cache.getStats()).levels.level1;
    expect(priorities).toMatchObject({
      LOW: { keyCount: 0, memoryUsed: 0, evicted: 20 },
      HIGH: { keyCount: 80, evicted: 0 },
      CRITICAL: { keyCount: 20, evicted: 0 },
    });
    expect(priorities!.MEDIUM.evicted + priorities!.MEDIUM.keyCount).toBe(80);
    const all = Object.values(priorities!);
    expect(keyCount).toBe(all.reduce((sum, { keyCount }) => sum + keyCount, 0));
    expect(memoryUsed).toBe(all.reduce((sum, { memoryUsed }) => sum + memoryUsed, 0));
    expect(memoryUsed).toBeLessThanOrEqual(100_000);
    expect((await cache.getStats('users')).levels.level1.keyCount).toBe(80);
    expect((await cache.getStats('users')).levels.level1.priorities).toBeUndefined();
    await cache.flush();
    expect((await cache.getStats()).levels.level1).toMatchObject({ keyCount: 0, memoryUsed: 0 });
  });

  it('is not told where all copies are alike', async () => {
    expect((await make({ domains: { users: {} } }).getStats()).levels.level1.priorities).toBeUndefined();
  });

  it('is refused where it makes no sense', () => {
    const invalid = (option: string) =>
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: expect.stringContaining(option) });
    expect(() => make({ domains: { users: { priority: 5 as CachePriority } } })).toThrow(
      invalid('`domains.users.priority` is 5'),
    );
    expect(() => make({ level1: { priorities: { 'a:': 'TOP' as 'LOW' } } })).toThrow(invalid('`level1.priorities.a:`'));
    expect(() => make({ level1: { priorities: 7 as any } })).toThrow(invalid('`level1.priorities`'));
    const domains = { users: { priority: 'LOW' } } as const;
    expect(() => make({ domains, level1: { strategy: 'LFU' } })).toThrow(invalid('`level1.strategy`'));
  });
});
