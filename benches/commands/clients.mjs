// The contenders behind one small face: open, get, set, close.
import { createRequire } from 'node:module';
import { leanClient } from './lean-client.mjs';

const require = createRequire(import.meta.url);

export const clients = {
  async oxcart({ port }) {
    const { RedisService } = require('../../index.js');
    const redis = new RedisService({ host: '127.0.0.1', port });
    await redis.ping();
    return { get: (key) => redis.get(key), set: (key, value) => redis.set(key, value), close: () => redis.close() };
  },
  async ioredis({ port }) {
    return ioredis({ port });
  },
  async 'ioredis auto-pipelined'({ port }) {
    return ioredis({ port, enableAutoPipelining: true });
  },
  async 'node-redis'({ port }) {
    const { createClient } = require('redis');
    const redis = createClient({ socket: { host: '127.0.0.1', port } });
    await redis.connect();
    return { get: (key) => redis.get(key), set: (key, value) => redis.set(key, value), close: () => redis.close() };
  },
  async 'valkey-glide'({ port }) {
    const { GlideClient } = require('@valkey/valkey-glide');
    const redis = await GlideClient.createClient({ addresses: [{ host: '127.0.0.1', port }], requestTimeout: 10_000 });
    return { get: (key) => redis.get(key), set: (key, value) => redis.set(key, value), close: () => redis.close() };
  },
  async 'lean JS'({ port }) {
    return leanClient(port);
  },
};

async function ioredis(options) {
  const { Redis } = require('ioredis');
  const redis = new Redis({ host: '127.0.0.1', ...options });
  await redis.ping();
  return { get: (key) => redis.get(key), set: (key, value) => redis.set(key, value), close: () => redis.quit() };
}
