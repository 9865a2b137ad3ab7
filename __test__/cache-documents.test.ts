// What the founding documents show of their caches, with nothing changed but imports and construction: type-checked with the
// rest of the tests under `strict`, run here.
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { buildKey, CacheInvalidationHandler, CacheService, PubSubService } from '../ts/index.js';
import type * as documented from './fixtures/documents/interfaces.js';
import { CacheInvalidationService, CacheKeys } from './fixtures/documents/project-platform.js';
import { run } from './fixtures/documents/shop.js';
import { CacheKeyBuilder, StoryCacheService, StoryQueryService } from './fixtures/documents/story-platform.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
const open: { close(): Promise<unknown> }[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});
afterAll(() => server.stop());

const prefixOf = () => `${uniquePrefix('documents')}:`;

function make(): CacheService {
  const cache = new CacheService({ redis: { url: server.url }, prefix: prefixOf() });
  open.push(cache);
  return cache;
}

it('the interfaces of the documents are kept', async () => {
  const cache = make();
  const first: documented.DocumentedCacheService = cache;
  await first.set({ key: 'user:1', value: { n: 1 }, ttl: 60, tags: ['users'] });
  await first.mset([{ key: 'n', value: 5, ttl: 9 }]);
  expect(await first.mget<unknown>(['user:1', 'n', 'none'])).toEqual([{ n: 1 }, 5, null]);
  expect([await first.increment('n'), await first.decrement('n', 2), await first.increment('n', 10)]).toEqual([
    6, 4, 14,
  ]);
  expect([await first.expire('n', 100), await first.ttl('n'), await first.exists('n')]).toEqual([true, 100, true]);
  expect([await first.mdel(['n', 'none']), await first.delete('n')]).toEqual([1, false]);
  expect(await first.getStats()).toMatchObject({ hits: 2, misses: 1, keyCount: 1 });

  const second: documented.DocumentedInvalidationService = cache;
  expect(await second.invalidateByTag('users')).toBe(1);
  await cache.mset(['avatar:list:7', 'avatar:7', 'a', 'b'].map((key) => ({ key, value: key })));
  await second.invalidateResource({ resource: 'avatar', id: '7' });
  await second.invalidateKey('a');
  expect(await second.invalidatePattern('b*')).toBe(1);
  await cache.set('late', 1);
  await second.scheduleInvalidation({ key: 'late', at: new Date(Date.now() + 50) });
  await waitFor(async () => (await cache.getRedis('late')) === null);
  expect(await cache.mget(['avatar:list:7', 'avatar:7', 'a', 'b'])).toEqual([null, null, null, null]);

  const third: documented.SetAndMake = cache;
  await third.set('text', 'plain', 60);
  expect(await third.getOrSet('text', async () => 'other', 60)).toBe('plain');
  expect(await third.deletePattern('te*')).toBe(1);

  const fourth: documented.Layered = cache;
  const fetcher = vi.fn(async () => ({ from: 'database' }));
  expect(await fourth.get('layered', fetcher)).toEqual({ from: 'database' });
  expect(await fourth.get('layered', fetcher, 300)).toEqual({ from: 'database' });
  expect(fetcher).toHaveBeenCalledOnce();
  expect([await fourth.getLocal('layered'), await fourth.getRedis('layered')]).toEqual(
    Array(2).fill({ from: 'database' }),
  );
  await fourth.set('layered', 0);
  expect(await fourth.get('layered', fetcher)).toBe(0);
  await first.flush();
  expect(await first.exists('layered')).toBe(false);
});

it('the key patterns of the fashion backend', () => {
  expect(buildKey('user:profile:{userId}', { userId: 123 })).toBe('user:profile:123');
  expect(buildKey('catalog:list:{category}:{page}', { category: 'shirts', page: 2 })).toBe('catalog:list:shirts:2');
});

it('the story platform: keys, lives by name, queries, wrap and invalidation', async () => {
  const cache = new StoryCacheService(server.url, prefixOf());
  open.push(cache);
  const findBySlug = vi.fn(async (slug: string) => (slug === 'none' ? null : { slug, title: slug.toUpperCase() }));
  const stories = new StoryQueryService({ findBySlug }, cache);
  expect(CacheKeyBuilder.storyDetail('my-story')).toBe('sc:story:detail:slug=my-story');
  expect(CacheKeyBuilder.pattern({ entity: 'story' })).toBe('sc:story:*');
  expect(await stories.getBySlug('tale')).toEqual({ slug: 'tale', title: 'TALE' });
  expect(await stories.getBySlug('tale')).toEqual({ slug: 'tale', title: 'TALE' });
  expect(await stories.getStoryOverviewBySlug('tale')).toEqual({ slug: 'tale', title: 'TALE' });
  expect(findBySlug).toHaveBeenCalledTimes(2);
  expect(await cache.ttl(CacheKeyBuilder.storyDetail('tale'))).toBe(3600);
  expect(await cache.ttl(CacheKeyBuilder.storyOverview('tale'))).toBe(1800);
  await expect(stories.getBySlug('none')).rejects.toThrow('Story not found');
  const search = cache.wrap(
    (text: string, page: number) => `search:${text}:${page}`,
    async (text, page) => [text, page],
    {
      ttlKey: 'SEARCH_RESULTS',
    },
  );
  expect(await search('owl', 2)).toEqual(['owl', 2]);
  expect(await cache.get('search:owl:2')).toEqual(['owl', 2]);
  await cache.set(CacheKeyBuilder.storyList('new'), ['tale']);
  await cache.invalidateStory('tale');
  const gone = [CacheKeyBuilder.storyDetail('tale'), CacheKeyBuilder.storyList('new')];
  expect(await cache.mget(gone)).toEqual([null, null]);
  expect(await cache.exists('search:owl:2')).toBe(true);
});

it('the project platform: invalidation by patterns, and keys refreshed before they expire', async () => {
  const cache = make();
  const service = new CacheInvalidationService(cache, async (id) => ({ id, fresh: true }));
  for (const key of [
    CacheKeys.user('1'),
    CacheKeys.userSessions('1'),
    'org_members:9',
    'project_tasks:3',
    'project:1',
  ]) {
    await cache.set(key, 'old', 30);
  }
  await service.invalidateUser('1');
  expect((await cache.getStats()).keyCount).toBe(1);
  await service.invalidateProject('1');
  expect((await cache.getStats()).keyCount).toBe(0);
  await cache.set(CacheKeys.user('2'), 'old', 30);
  await cache.set(CacheKeys.organization('2'), 'old', 30);
  await cache.set(CacheKeys.user('3'), 'old', 300);
  await service.refreshExpiringKeys();
  expect(await cache.mget(['user:2', 'org:2', 'user:3'])).toEqual([{ id: '2', fresh: true }, 'old', 'old']);
  expect(CacheKeys.apiResponse('/products', { page: 1, sort: 'a' })).toBe(
    CacheKeys.apiResponse('/products', { sort: 'a', page: 1 }),
  );
});

it('the shop: domains, tags and statistics', async () => {
  const { user, before, after, stats, life } = await run(server.url, prefixOf(), '7', 'p1', { price: 5 });
  expect([user, before, after]).toEqual([{ name: 'Ann' }, { price: 5 }, null]);
  expect(stats).toMatchObject({ hits: 1, misses: 1, hitRate: 0.5 });
  expect(life).toBe(1800);
});

it('the invalidation handler hears what any process publishes', async () => {
  const cache = make();
  const channelPrefix = uniquePrefix('handler');
  const pubsub = new PubSubService({ redis: { url: server.url }, channelPrefix });
  const errors = vi.fn();
  pubsub.on('error', errors);
  open.push(pubsub);
  const handler = new CacheInvalidationHandler(cache, pubsub);
  open.push(handler);
  await handler.ready;
  const heard = vi.fn();
  cache.on('invalidate', heard);
  for (const key of ['a', 'b', 'user:1', 'user:2', 'page']) await cache.set(key, key, { tags: [`tag:${key}`] });
  expect(await handler.publishInvalidation({ pattern: 'user:*' })).toBe(1);
  await handler.publishInvalidation({ keys: ['a', 'b'] });
  await handler.publishInvalidation({ tag: 'tag:page' });
  await waitFor(async () =>
    (await cache.mget(['a', 'b', 'user:1', 'user:2', 'page'])).every((value) => value === null),
  );
  await waitFor(() => heard.mock.calls.length === 3);
  expect(heard.mock.calls.map(([event]) => event.strategy)).toEqual(Array(3).fill('EVENT_BASED'));
  await expect(handler.publishInvalidation({})).rejects.toThrow(
    expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
  );
  expect(errors).not.toHaveBeenCalled();
  await pubsub.publish({ channel: 'cache:invalidate', message: { keys: 'all' } });
  await waitFor(() => errors.mock.calls.length === 1);
  await handler.close();
  await cache.set('a', 'kept');
  expect(await pubsub.publish({ channel: 'cache:invalidate', message: { keys: ['a'] } })).toBe(0);
  expect(await cache.get('a')).toBe('kept');
});
