import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CacheOptions, CacheService, RedisService } from '../ts/index.js';
import { PostgresServer } from './helpers/postgres-server.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let directory: string;
let redis: RedisService;
const children: ChildProcess[] = [];
beforeAll(async () => {
  server = await RedisServer.start();
  directory = await mkdtemp(join(tmpdir(), 'oxcart-database-'));
  redis = new RedisService({ url: server.url });
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await redis.close();
  await server.stop();
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
});

type Level3 = NonNullable<CacheOptions['level3']>;

function level3(url: string, more: Level3 = {}): Pick<CacheOptions, 'level1' | 'level3'> {
  // Level 1 would answer before the others are asked. What the machine does beside this must not make a read a miss.
  return { level1: { enabled: false }, level3: { enabled: true, url, timeout: 5, ...more } };
}

function open(url: string, prefix: string, more: Level3 = {}): CacheService {
  return new CacheService({ redis: { url: server.url }, prefix, onError: 'throw', ...level3(url, more) });
}

/** Another process with a cache of the same prefix. */
function another(url: string, prefix: string): [ChildProcess, (...call: unknown[]) => Promise<any>] {
  const options = JSON.stringify(level3(url));
  const child = fork(new URL('./fixtures/cache-process.mjs', import.meta.url), [server.url, prefix, '', options]);
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
  return [child, tell];
}

const sqlite = () => `sqlite:${join(directory, `${uniquePrefix('file')}.db`)}`;

/** Loads keys until their rows are in the table: a first read makes it, and rows are stored behind the callers. */
async function load(cache: CacheService, keys: string[], options: object = {}): Promise<void> {
  await waitFor(
    async () => {
      for (const key of keys) {
        await redis.call('FLUSHALL');
        await cache.getOrSet(key, async () => `made ${key}`, options);
      }
      await redis.call('FLUSHALL');
      const before = (await cache.getStats()).levels.level3!.hits;
      await cache.mget(keys);
      return (await cache.getStats()).levels.level3!.hits - before === keys.length;
    },
    { what: 'rows of all keys', timeoutMs: 30_000 },
  );
  await redis.call('FLUSHALL');
}

describe('level 3', () => {
  it('gives what Redis has lost, tells where from, and carries it up', async () => {
    const cache = open(sqlite(), `${uniquePrefix('db')}:`);
    await load(cache, ['a', 'b'], { tags: ['t'] });
    const levels: number[] = [];
    cache.on('hit', ({ level }) => levels.push(level));
    const never = () => Promise.reject(new Error('the source is not to be asked'));
    expect(await cache.getOrSet('a', never)).toBe('made a');
    expect(await cache.get('a')).toBe('made a');
    expect(await cache.mget(['a', 'b', 'c'])).toEqual(['made a', 'made b', null]);
    expect(levels).toEqual([3, 2, 2, 3]);
    const { levels: told, hits } = await cache.getStats();
    expect(told.level3).toMatchObject({ errors: 0, dropped: 0, closed: false });
    expect(told.level3!.rows).toBeGreaterThanOrEqual(2);
    expect(hits).toBe(told.level1.hits + told.level2.hits + told.level3!.hits);
    await cache.close();
  });

  it('keeps values of every kind', async () => {
    const prefix = `${uniquePrefix('db')}:`;
    const cache = new CacheService({
      redis: { url: server.url },
      prefix,
      serializer: 'msgpack',
      compression: { threshold: 100 },
      ...level3(sqlite()),
    });
    await cache.get('first');
    const value = { at: new Date(5), bytes: Buffer.from([0, 1, 255]), long: 'x'.repeat(5_000), falsy: [0, '', false] };
    await cache.set('value', value);
    await redis.call('FLUSHALL');
    expect(await cache.get('value')).toEqual(value);
    await cache.close();
  });

  it('ends what is deleted, tagged, matched, cleared and flushed', async () => {
    const cache = open(sqlite(), `${uniquePrefix('db')}:`);
    const changes: [string, () => Promise<unknown>][] = [
      ['delete', () => cache.delete('s:1')],
      ['mdel', () => cache.mdel(['s:1'])],
      ['tag', () => cache.invalidateByTag('t')],
      ['pattern', () => cache.deletePattern('s:*')],
      ['clear', () => cache.clear('s')],
      ['flush', () => cache.flush()],
    ];
    for (const [name, change] of changes) {
      await load(cache, ['s:1'], { tags: ['t'] });
      await change();
      expect(await cache.get('s:1'), name).toBeNull();
      await redis.call('FLUSHALL');
      expect(await cache.get('s:1'), name).toBeNull();
    }
    await load(cache, ['s:2']);
    expect(await cache.delete('s:2')).toBe(true);
    await cache.close();
  });

  it('does not store what was loaded before a change', async () => {
    const url = sqlite();
    const prefix = uniquePrefix('db');
    const cache = open(url, prefix);
    // Knows the table, and nothing of the other's Redis or process.
    const other = new CacheService({ redis: { url: `memory://${prefix}` }, prefix, ...level3(url) });
    await load(cache, ['warm']);
    let give!: (value: string) => void;
    const loading = cache.getOrSet('k', () => new Promise<string>((resolve) => (give = resolve)));
    await waitFor(() => give !== undefined, { what: 'the load' });
    await other.delete('k');
    give('old');
    expect(await loading).toBe('old');
    await load(cache, ['barrier']);
    expect(await cache.get('k')).toBeNull();
    await Promise.all([cache.close(), other.close()]);
  });

  it('costs misses when the database is away, and tells of it', async () => {
    const errors: Error[] = [];
    const cache = new CacheService({
      redis: { url: server.url },
      prefix: `${uniquePrefix('db')}:`,
      ...level3('postgres://user:secret@127.0.0.1:1/none', { timeout: 0.1 }),
    });
    cache.on('error', (error) => errors.push(error));
    expect(await cache.getOrSet('k', async () => 1)).toBe(1);
    expect(await cache.get('k')).toBe(1);
    expect(await cache.delete('k')).toBe(true);
    expect(await cache.get('k')).toBeNull();
    expect((await cache.getStats()).levels.level3).toMatchObject({ closed: true, hits: 0 });
    await waitFor(() => errors.length > 0, { what: 'an error' });
    expect(errors[0]).toMatchObject({ code: 'ERR_CACHE_DATABASE_FAILED', retryable: true });
    expect(JSON.stringify(errors.map(String))).not.toContain('secret');
    await cache.close();
  });

  it.each<[string, Level3]>([
    ['level3.url', { enabled: true }],
    ['level3.url', { enabled: true, url: 'mysql://user:secret@host/name' }],
    ['level3.table', { enabled: true, url: 'sqlite:x.db', table: 'a"b' }],
    ['level3.maxRows', { enabled: true, url: 'sqlite:x.db', maxRows: 0 }],
    ['level3.timeout', { enabled: true, url: 'sqlite:x.db', timeout: 60 }],
    ['level3.size', { size: 1 } as Level3],
  ])('refuses a bad `%s`', (option, options) => {
    const make = () => new CacheService({ redis: { url: server.url }, level3: options });
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }));
    expect(make).toThrow(option);
    expect(make).not.toThrow('secret');
  });
});

describe.skipIf(inMemory)('level 3 of two processes', () => {
  async function inBoth(url: string): Promise<void> {
    const prefix = `${uniquePrefix('db')}:`;
    const cache = open(url, prefix);
    const [child, tell] = another(url, prefix);
    await load(cache, ['theirs', 'mine']);
    expect(await tell('get', 'theirs')).toBe('made theirs');
    await tell('set', 'set', { by: 'them' });
    await tell('delete', 'mine');
    await redis.call('FLUSHALL');
    expect(await cache.get('mine')).toBeNull();
    expect(await cache.get('set')).toEqual({ by: 'them' });

    // In the middle of writing, and of a load.
    await tell('begin', 'late');
    const answered: number[] = [];
    for (let n = 0; n < 200; n++)
      tell('set', `n:${n}`, n).then(
        () => answered.push(n),
        () => undefined,
      );
    await waitFor(() => answered.length > 5, { what: 'some writes' });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    const known = [...answered];
    await redis.call('FLUSHALL');
    expect(await cache.mget(known.map((n) => `n:${n}`))).toEqual(known);
    expect(await cache.getOrSet('late', async () => 'new')).toBe('new');
    await cache.delete('n:0');
    await redis.call('FLUSHALL');
    expect(await cache.get('n:0')).toBeNull();
    await cache.close();
  }

  it('in SQLite, one killed', () => inBoth(sqlite()), 60_000);

  it('in PostgreSQL, one killed', async () => {
    await using postgres = await PostgresServer.start();
    await inBoth(postgres.url);
    expect(await postgres.ask("SELECT relpersistence FROM pg_class WHERE relname = 'oxcart_cache'")).toBe('u');
  }, 120_000);
});
