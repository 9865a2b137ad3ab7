// Locks and limiters behind one small face: what each scenario does once with a key.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

const TTL_SECONDS = 30;
/** So much that nothing is refused: what is measured is what is done for every request. */
const LIMIT = 1_000_000;
const WINDOW_SECONDS = 60;

/** Who takes part in which scenario. rate-limiter-flexible has no sliding window, and no slots for what goes on at one time. */
export const contenders = {
  lock: ['oxcart', 'redlock'],
  'fixed window': ['oxcart', 'rate-limiter-flexible'],
  'token bucket': ['oxcart', 'rate-limiter-flexible'],
  'sliding window': ['oxcart'],
};

/** Opens a contender: `{ operate(key), close() }`. */
export async function open(contender, scenario, port) {
  return scenario === 'lock' ? opened[contender].lock(port) : opened[contender].limiter(scenario, port);
}

const opened = {
  oxcart: {
    async lock(port) {
      const { LockService } = require('../../index.js');
      const locks = new LockService({ redis: { host: '127.0.0.1', port } });
      await locks.ping();
      return {
        async operate(key) {
          const id = await locks.acquireLock(key, TTL_SECONDS);
          await locks.releaseLock(key, id);
        },
        close: () => locks.close(),
      };
    },
    async limiter(scenario, port) {
      const { RateLimiter } = require('../../index.js');
      const algorithm = scenario.replace(' ', '-');
      const redis = { host: '127.0.0.1', port, db: 0 };
      const limiter = new RateLimiter({ redis, algorithm, limit: LIMIT, window: WINDOW_SECONDS });
      return { operate: (key) => limiter.consume(key), close: () => limiter.close() };
    },
  },
  redlock: {
    async lock(port) {
      const { default: Redlock } = await import('redlock');
      const redis = ioredis(port);
      const redlock = new Redlock([redis]);
      return {
        async operate(key) {
          const lock = await redlock.acquire([key], TTL_SECONDS * 1000);
          await lock.release();
        },
        close: () => redis.quit(),
      };
    },
  },
  'rate-limiter-flexible': {
    async limiter(scenario, port) {
      const { RateLimiterRedis, BurstyRateLimiter } = require('rate-limiter-flexible');
      const storeClient = ioredis(port);
      const window = (keyPrefix, points, duration) =>
        new RateLimiterRedis({ storeClient, keyPrefix, points, duration });
      // Its counterpart of a bucket: a second window that takes what the first refuses.
      const limiter =
        scenario === 'token bucket'
          ? new BurstyRateLimiter(window('steady', LIMIT, WINDOW_SECONDS), window('burst', LIMIT, WINDOW_SECONDS))
          : window('fixed', LIMIT, WINDOW_SECONDS);
      return { operate: (key) => limiter.consume(key), close: () => storeClient.quit() };
    },
  },
};

function ioredis(port) {
  const { Redis } = require('ioredis');
  return new Redis({ host: '127.0.0.1', port });
}
