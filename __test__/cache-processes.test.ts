import { type ChildProcess, fork } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CacheService, RedisService } from '../ts/index.js';
import { coherent } from './helpers/coherent.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
const children: ChildProcess[] = [];
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await server.stop();
});

type Coherence = 'tracking' | 'bus';

/** Another process with a cache of the same prefix. */
async function another(prefix: string, coherence: Coherence): Promise<(...call: unknown[]) => Promise<any>> {
  const child = fork(new URL('./fixtures/cache-process.mjs', import.meta.url), [server.url, prefix, coherence]);
  children.push(child);
  const waiting = new Map<number, [(value: unknown) => void, (error: Error) => void]>();
  let last = 0;
  child.on('message', ({ id, value, error }: { id: number; value: unknown; error?: string }) => {
    const [resolve, reject] = waiting.get(id)!;
    waiting.delete(id);
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  });
  const tell = (...call: unknown[]) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, [resolve, reject]);
      child.send({ id: last, call });
    });
  await waitFor(() => tell('coherent'), { what: 'the other process' });
  return tell;
}

async function caches(coherence: Coherence): Promise<[CacheService, (...call: unknown[]) => Promise<any>, string]> {
  const prefix = `${uniquePrefix('processes')}:`;
  const here = new CacheService({ redis: { url: server.url }, prefix, coherence });
  const there = await another(prefix, coherence);
  await coherent(here);
  return [here, there, prefix];
}

describe.each<Coherence>(['tracking', 'bus'])('caches of two processes (%s)', (coherence) => {
  it.each<[string, unknown[]]>([
    ['a write', ['set', 'k', 2]],
    ['a delete', ['delete', 'k']],
    ['a bulk write', ['mset', [{ key: 'k', value: 2 }]]],
    ['a tag', ['invalidateByTag', 't']],
    ['a pattern', ['deletePattern', 'k*']],
    ['a new expiry', ['expire', 'k', 5]],
    ['a flush', ['flush']],
  ])('hear of %s within milliseconds', async (_what, change) => {
    const [here, there] = await caches(coherence);
    await here.set('k', 1, { tags: ['t'] });
    await here.set('other', 1);
    // Read twice: the hot view of the thread has a copy, too.
    expect([await here.get('k'), await here.get('k'), await here.get('other')]).toEqual([1, 1, 1]);
    await there(...change);
    await waitFor(async () => (await here.getLocal('k')) === null, { intervalMs: 1 });
    const now = await here.get('k');
    expect(now).toBe(change[0] === 'set' || change[0] === 'mset' ? 2 : change[0] === 'expire' ? 1 : null);
    if (change[0] !== 'flush' && change[0] !== 'deletePattern') expect(await here.getLocal('other')).toBe(1);
    await here.close();
  });

  // What the bus cannot tell.
  if (coherence !== 'bus') {
    it('hear of writers that know nothing of caches', async () => {
      const [here, there, prefix] = await caches(coherence);
      const redis = new RedisService({ url: server.url });
      await here.set('k', 1);
      expect(await there('get', 'k')).toBe(1);
      await redis.set(`${prefix}k`, '2');
      await waitFor(async () => (await here.get('k')) === 2 && (await there('get', 'k')) === 2, { intervalMs: 1 });
      await redis.close();
      await here.close();
    });
  }

  it('hear of what a source gave', async () => {
    const [here, there] = await caches(coherence);
    await here.set('k', 1, { ttl: 0.05 });
    await waitFor(async () => (await there('get', 'k')) === null);
    await there('begin', 'k');
    expect(await there('finish', 2)).toBe(2);
    await waitFor(async () => (await here.get('k')) === 2, { intervalMs: 1 });
    await here.close();
  });

  it('agree after both wrote for a while', async () => {
    const [here, there] = await caches(coherence);
    const keys = ['a', 'b', 'c'];
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        Array.from({ length: 60 }, async (_, n) => {
          const key = keys[n % 3]!;
          if (n % 4 === 0) await there('set', key, `there ${round} ${n}`);
          else if (n % 4 === 1) await here.set(key, `here ${round} ${n}`);
          else if (n % 4 === 2) await here.get(key);
          else await there('get', key);
        }),
      );
      for (const key of keys) {
        const stored = await here.getRedis(key);
        await waitFor(async () => (await here.get(key)) === stored && (await there('get', key)) === stored);
      }
    }
    await here.close();
  });
});
