import { type ChildProcess, fork } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CacheFactoryContext, CacheService, RedisService } from '../ts/index.js';
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

type Tell = (...call: unknown[]) => Promise<any>;

/** Another process with a cache of the same prefix, which does what it is told. */
async function another(prefix: string): Promise<{ tell: Tell; child: ChildProcess }> {
  const child = fork(new URL('./fixtures/cache-process.mjs', import.meta.url), [server.url, prefix]);
  children.push(child);
  const waiting = new Map<number, [(value: unknown) => void, (error: Error) => void]>();
  let last = 0;
  child.on('message', ({ id, value, error }: { id: number; value: unknown; error?: string }) => {
    const [resolve, reject] = waiting.get(id)!;
    waiting.delete(id);
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  });
  const tell: Tell = (...call) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, [resolve, reject]);
      child.send({ id: last, call });
    });
  await waitFor(() => tell('coherent'), { what: 'the other process' });
  return { tell, child };
}

function skipped(context: CacheFactoryContext): number {
  context.skip();
  return 1;
}

describe('a load in another process', () => {
  it.each<[string, object | undefined, (cache: CacheService, redis: RedisService, prefix: string) => Promise<unknown>]>(
    [
      ['a delete', undefined, (cache) => cache.delete('k')],
      ['a bulk delete', undefined, (cache) => cache.mdel(['other', 'k'])],
      ['a write', undefined, (cache) => cache.set('k', 'new')],
      ['a write with tags', undefined, (cache) => cache.set('k', 'new', { tags: ['t'] })],
      ['a bulk write', undefined, (cache) => cache.mset([{ key: 'k', value: 'new' }])],
      ['a tag', { tags: ['t'] }, (cache) => cache.invalidateByTag('t')],
      ['a pattern', undefined, (cache) => cache.deletePattern('k*')],
      ['a clear of its namespace', undefined, (cache) => cache.clear('k')],
      ['a flush', undefined, (cache) => cache.flush()],
      ['a foreign write', undefined, (_, redis, prefix) => redis.set(`${prefix}k`, '"new"')],
    ],
  )('does not bring back the value of before %s', async (what, options, invalidate) => {
    const prefix = `${uniquePrefix('late')}:`;
    const { tell } = await another(prefix);
    const here = new CacheService({ redis: { url: server.url }, prefix });
    const redis = new RedisService({ url: server.url });
    await tell('begin', 'k', options);
    await invalidate(here, redis, prefix);
    expect(await tell('finish', 'old')).toBe('old');
    const left = /write/.test(what) ? 'new' : null;
    expect(await here.getRedis('k')).toBe(left);
    expect(await tell('get', 'k')).toBe(left);
    expect(await redis.call('EXISTS', `${prefix}#lease:k`)).toBe(0);
    await here.close();
    await redis.close();
  });

  it('is stored when nothing came between, and its lease is no entry to anybody', async () => {
    const prefix = `${uniquePrefix('kept')}:`;
    const { tell } = await another(prefix);
    const here = new CacheService({ redis: { url: server.url }, prefix });
    const redis = new RedisService({ url: server.url });
    await tell('begin', 'k');
    expect(await redis.get(`${prefix}k`)).toBeNull();
    expect(await redis.call('EXISTS', `${prefix}#lease:k`)).toBe(1);
    expect([await here.get('k'), await here.exists('k'), (await here.getStats()).keyCount]).toEqual([null, false, 0]);
    await tell('finish', 'value');
    expect(await redis.get(`${prefix}k`)).toBe('"value"');
    expect(await redis.call('EXISTS', `${prefix}#lease:k`)).toBe(0);
    await here.close();
    await redis.close();
  });

  it('that ends with nothing leaves nothing behind', async () => {
    const prefix = `${uniquePrefix('nothing')}:`;
    const here = new CacheService({ redis: { url: server.url }, prefix });
    const redis = new RedisService({ url: server.url });
    expect(await here.getOrSet('a', () => null)).toBeNull();
    await expect(here.getOrSet('b', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await here.getOrSet('c', (context) => skipped(context), { lock: 'distributed' })).toBe(1);
    await waitFor(async () => ((await redis.call('KEYS', `${prefix}*`)) as string[]).length === 0);
    await here.close();
    await redis.close();
  });
});

describe('lock: distributed', () => {
  it('asks the source once for 10,000 callers in four processes', async () => {
    const prefix = `${uniquePrefix('flood')}:`;
    const others = await Promise.all(Array.from({ length: 4 }, () => another(prefix)));
    const floods = others.map(({ tell }) => tell('flood', 'cold', 2_500, { lock: 'distributed' }));
    const outcomes = await Promise.all(floods);
    expect(outcomes.reduce((sum, { runs }) => sum + runs, 0)).toBe(1);
    expect(new Set(outcomes.flatMap(({ values }) => values)).size).toBe(1);
  });

  it('takes over from a process that died', async () => {
    const prefix = `${uniquePrefix('died')}:`;
    const { tell, child } = await another(prefix);
    const here = new CacheService({ redis: { url: server.url }, prefix });
    await coherent(here);
    await tell('begin', 'k', { lock: 'distributed' });
    const waiting = here.getOrSet('k', () => 'made here', { lock: 'distributed' });
    child.kill('SIGKILL');
    expect(await waiting).toBe('made here');
    await here.close();
  });

  it('waits no longer than its deadline for a holder that lives', async () => {
    const prefix = `${uniquePrefix('slow')}:`;
    const { tell } = await another(prefix);
    const here = new CacheService({ redis: { url: server.url }, prefix });
    await tell('begin', 'k', { lock: 'distributed' });
    await expect(
      here.getOrSet('k', () => new Promise(() => undefined), { lock: 'distributed', hardTimeout: 0.3 }),
    ).rejects.toThrow(expect.objectContaining({ code: 'ERR_WAIT_TIMED_OUT' }));
    const stored = tell('finish', 'there');
    expect(await stored).toBe('there');
    await here.close();
  });
});
