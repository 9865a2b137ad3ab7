// What the founding documents show of their Redis, with nothing changed but imports and construction: type-checked with the
// rest of the tests under `strict`, run here.
import { afterAll, beforeAll, expect, expectTypeOf, test } from 'vitest';
import { ConnectionError, LockStatus, RedisException, RedisKeyTooLongException, RedisService } from '../ts/index.js';
import type * as documented from './fixtures/documents/redis-interfaces.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

let server: RedisServer;
let redisService: RedisService;

beforeAll(async () => {
  server = await RedisServer.start();
  redisService = new RedisService({ url: server.url, keyPrefix: `${uniquePrefix('documents')}:` });
});
afterAll(async () => {
  await redisService?.close();
  await server?.stop();
});

test('strings', async () => {
  const strings: documented.StringOperations = redisService;
  await strings.set('views', '10');
  await strings.set('session', 'x', 60);
  expect(await strings.get('views')).toBe('10');
  expect(await strings.get('none')).toBeNull();
  expect(await redisService.ttl('session')).toBeGreaterThan(50);
  expect([await strings.setnx('views', '1'), await strings.setnx('likes', '1')]).toEqual([false, true]);
  expect(await strings.incr('views')).toBe(11);
  expect(await strings.incrby('views', 9)).toBe(20);
  expect(await strings.decr('views')).toBe(19);
  expect(await strings.decrby('views', 9)).toBe(10);
});

test('hashes', async () => {
  const hashes: documented.HashOperations = redisService;
  expect(await hashes.hset('profile', 'name', 'Ada')).toBe(1);
  await hashes.hmset('profile', { city: 'London', visits: '1' });
  expect(await hashes.hget('profile', 'name')).toBe('Ada');
  expect(await hashes.hgetall('profile')).toEqual({ name: 'Ada', city: 'London', visits: '1' });
  expect(await hashes.hgetall('none')).toEqual({});
  expect(await hashes.hmget('profile', ['city', 'none'])).toEqual(['London', null]);
  expect(await hashes.hexists('profile', 'city')).toBe(true);
  expect(await hashes.hdel('profile', 'city')).toBe(1);
  expect(await hashes.hexists('profile', 'city')).toBe(false);
  expect(await hashes.hincrby('profile', 'visits', 5)).toBe(6);
});

test('lists', async () => {
  const lists: documented.ListOperations = redisService;
  expect(await lists.rpush('feed', 'b', 'c', 'd', 'e')).toBe(4);
  expect(await lists.lpush('feed', 'a')).toBe(5);
  expect([await lists.lpop('feed'), await lists.rpop('feed'), await lists.llen('feed')]).toEqual(['a', 'e', 3]);
  expect(await lists.blpop('feed', 1)).toEqual(['feed', 'b']);
  expect(await lists.brpop('feed', 1)).toEqual(['feed', 'd']);
  expect(await lists.brpop('none', 0.01)).toBeNull();
  await lists.rpush('feed', 'x', 'y');
  await lists.ltrim('feed', 0, 1);
  expect(await lists.lrange('feed', 0, -1)).toEqual(['c', 'x']);
});

test('sets', async () => {
  const sets: documented.SetOperations = redisService;
  expect(await sets.sadd('a', '1', '2')).toBe(2);
  expect(await sets.sadd('b', '2', '3')).toBe(2);
  expect((await sets.smembers('a')).sort()).toEqual(['1', '2']);
  expect([await sets.sismember('a', '1'), await sets.sismember('a', '3')]).toEqual([true, false]);
  expect((await sets.sunion('a', 'b')).sort()).toEqual(['1', '2', '3']);
  expect([await sets.sinter('a', 'b'), await sets.sdiff('a', 'b')]).toEqual([['2'], ['1']]);
  expect(['1', '2']).toContain(await sets.srandmember('a'));
  expect(await sets.srandmember('a', 5)).toHaveLength(2);
  expect(await sets.srandmember('none')).toBeNull();
  expect(await sets.srem('a', '1')).toBe(1);
  expect(await sets.spop('a')).toBe('2');
  expect(((await sets.spop('b', 9)) as string[]).sort()).toEqual(['2', '3']);
  expect(await sets.scard('b')).toBe(0);
});

test('sorted sets', async () => {
  const board: documented.SortedSetOperations = redisService;
  for (const [score, member] of [
    [10, 'ann'],
    [20, 'bob'],
    [30, 'cid'],
  ] as const) {
    expect(await board.zadd('board', score, member)).toBe(1);
  }
  expect(await board.zrange('board', 0, -1)).toEqual(['ann', 'bob', 'cid']);
  expect(await board.zrevrange('board', 0, 0, true)).toEqual(['cid', '30']);
  expect(await board.zrange('board', 0, 0, false)).toEqual(['ann']);
  expect(await board.zrangebyscore('board', 15, 30)).toEqual(['bob', 'cid']);
  expect([await board.zscore('board', 'bob'), await board.zscore('board', 'eve')]).toEqual([20, null]);
  expect([await board.zrank('board', 'bob'), await board.zrevrank('board', 'ann')]).toEqual([1, 2]);
  expect(await board.zincrby('board', 2.5, 'ann')).toBe(12.5);
  expect(await board.zrem('board', 'cid')).toBe(1);
  expect(await board.zcard('board')).toBe(2);
});

test('the shop: values, locks, counters, patterns, exceptions', async () => {
  const userData = { name: 'Ann', roles: ['admin'] };

  // Basic operations
  await redisService.set('user:123', userData, { ttl: 1800 });
  const user = await redisService.get('user:123');
  expectTypeOf(user).toEqualTypeOf<string | null>();
  expect(JSON.parse(user!)).toEqual(userData);
  expect(await redisService.get('user:123', { parse: true })).toEqual(userData);

  // Distributed lock
  const lockId = await redisService.acquireLock('order:456', 30);
  expect(lockId).toEqual(expect.any(String));
  expect(await redisService.releaseLock('order:456', lockId!)).toBe(LockStatus.RELEASED);

  // Increment counter
  await redisService.incr('page:views');
  expect(await redisService.get('page:views')).toBe('1');

  // RedisPipelineBatchDto: { operation, key, value?, ttl? }
  const pipeline = redisService.pipeline();
  for (const { key, value, ttl } of [
    { operation: 'SET', key: 'batch:1', value: 'a', ttl: 100 },
    { operation: 'SET', key: 'batch:2', value: 'b', ttl: 100 },
  ]) {
    pipeline.set(key, value, ttl);
  }
  expect(await pipeline.exec()).toEqual([
    [null, 'OK'],
    [null, 'OK'],
  ]);
  expect((await redisService.keys('batch:*')).sort()).toEqual(['batch:1', 'batch:2']);
  expect(await redisService.deleteByPattern('batch:*')).toBe(2);

  // Its limits and constants.
  const limited = new RedisService(
    { url: server.url, keyPrefix: 'techub:', commandTimeout: 5000, connectTimeout: 10_000, keepAlive: 30_000 },
    {
      limits: { maxKeyLength: 512, maxValueSize: 10 * 1024 * 1024 },
      pipelineBatchSize: 100,
      slowCommandThreshold: 100,
      metricsInterval: 60_000,
    },
  );
  try {
    await limited.get('k'.repeat(600));
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(RedisKeyTooLongException);
    expect(error).toBeInstanceOf(RedisException);
    expect(error).not.toBeInstanceOf(ConnectionError);
    expect((error as RedisException).status).toBe(400);
  } finally {
    await limited.close();
  }
});

test('the platforms: low-level use beside the cache', async () => {
  const redis = redisService;
  const [key, ttl, data] = ['projects:1', 60, { id: 1 }];
  await redis.setex(key, ttl, JSON.stringify(data));
  expect(JSON.parse((await redis.get(key))!)).toEqual(data);
  const keys = await redis.keys('projects:*');
  if (keys.length > 0) await redis.del(...keys);
  expect(await redis.exists(key)).toBe(0);
  expect(await redis.publish('realtime:projects', JSON.stringify(data))).toBe(0);
});
