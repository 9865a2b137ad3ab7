// Publishing and subscribing with each contender, messages as JSON objects on both sides.
import { createRequire } from 'node:module';
import { PubSubService } from '../../index.mjs';

const require = createRequire(import.meta.url);

export const clients = {
  oxcart: ({ port }) => {
    const pubsub = new PubSubService({ redis: { host: '127.0.0.1', port }, maxPendingMessages: 1_000_000 });
    return {
      publish: (channel, message) => pubsub.publish({ channel, message }),
      subscribe: (channel, handler) => pubsub.subscribe({ channel, handler }),
      close: () => pubsub.close(),
    };
  },
  ioredis: ({ port }) => {
    const { Redis } = require('ioredis');
    const redis = new Redis({ host: '127.0.0.1', port });
    return {
      publish: (channel, message) => redis.publish(channel, JSON.stringify(message)),
      subscribe: async (channel, handler) => {
        redis.on('message', (_channel, text) => handler(JSON.parse(text)));
        await redis.subscribe(channel);
      },
      close: () => redis.quit(),
    };
  },
};
