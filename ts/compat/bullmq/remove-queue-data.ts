import type { RedisClient } from './redis-client.js';

/**
 * Deletes every key of a queue, a page of keys at a time, whatever works on it; meant for tests. `queue.obliterate` is for
 * a queue in use.
 */
export async function removeAllQueueData(
  client: Pick<RedisClient, 'scanStream' | 'pipeline'>,
  queueName: string,
  prefix = 'bull',
): Promise<void> {
  const pattern = `${prefix}:${queueName}:`.replace(/[*?[\]\\]/g, '\\$&');
  for await (const keys of client.scanStream({ match: `${pattern}*` }) as AsyncIterable<string[]>) {
    if (keys.length === 0) continue;
    const pipeline = client.pipeline();
    for (const key of keys) pipeline.del(key);
    await pipeline.exec();
  }
}
