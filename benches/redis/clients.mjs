// The contenders: how each of them does what a scenario asks for.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The words of 100 commands that write and read a little of everything. */
const MIXED = Array.from({ length: 20 }, (_, index) => index);

function mixed(pipeline, names) {
  for (const index of MIXED) {
    pipeline[names.set](`mixed:s:${index}`, `value ${index}`);
    pipeline[names.get](`mixed:s:${index}`);
    pipeline[names.incr](`mixed:n:${index}`);
    pipeline[names.hset](`mixed:h:${index}`, 'field', `value ${index}`);
    pipeline[names.hget](`mixed:h:${index}`, 'field');
  }
  return pipeline;
}

const LOWER = { set: 'set', get: 'get', incr: 'incr', hset: 'hset', hget: 'hget' };
const CAMEL = { set: 'set', get: 'get', incr: 'incr', hset: 'hSet', hget: 'hGet' };

export const clients = {
  async oxcart({ port }) {
    const { RedisService } = require('../../index.js');
    const redis = new RedisService({ host: '127.0.0.1', port });
    await redis.ping();
    return {
      pipeline: () => mixed(redis.pipeline(), LOWER).exec(),
      mget: (keys) => redis.mget(keys),
      hgetall: (key) => redis.hgetall(key),
      lrange: (key) => redis.lrange(key, 0, -1),
      get: (key) => redis.get(key),
      set: (key, value) => redis.set(key, value),
      close: () => redis.close(),
    };
  },
  async ioredis({ port }) {
    const { Redis } = require('ioredis');
    const redis = new Redis({ host: '127.0.0.1', port });
    await redis.ping();
    return {
      pipeline: () => mixed(redis.pipeline(), LOWER).exec(),
      mget: (keys) => redis.mget(keys),
      hgetall: (key) => redis.hgetall(key),
      lrange: (key) => redis.lrange(key, 0, -1),
      get: (key) => redis.get(key),
      set: (key, value) => redis.set(key, value),
      close: () => redis.quit(),
    };
  },
  async 'node-redis'({ port }) {
    const { createClient } = require('redis');
    const redis = createClient({ socket: { host: '127.0.0.1', port } });
    await redis.connect();
    return {
      pipeline: () => mixed(redis.multi(), CAMEL).execAsPipeline(),
      mget: (keys) => redis.mGet(keys),
      hgetall: (key) => redis.hGetAll(key),
      lrange: (key) => redis.lRange(key, 0, -1),
      get: (key) => redis.get(key),
      set: (key, value) => redis.set(key, value),
      close: () => redis.close(),
    };
  },
};
