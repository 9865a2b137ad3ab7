import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { OverloadedError } from '../ts/errors.js';
import { QueueService } from '../ts/queue-service.js';
import { JobBench } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

let server: RedisServer;
let bench: JobBench;

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
});

afterEach(() => bench.close());

afterAll(() => server.stop());

test('a full queue refuses jobs, but not delayed ones', async () => {
  const queue = bench.queue(uniquePrefix('queue'), { overload: { maxWaiting: 2 } });
  await queue.addBulk([1, 2].map((data) => ({ name: 'n', data })));
  const refused = queue.add('n', 3);
  await expect(refused).rejects.toBeInstanceOf(OverloadedError);
  await expect(refused).rejects.toMatchObject({
    code: 'ERR_OVERLOADED',
    details: { queue: queue.name, limit: 2 },
    retryable: true,
  });
  await queue.add('n', 4, { delay: 60_000 });
  expect(await queue.getJobCountByTypes('waiting', 'delayed')).toBe(3);
});

test('the oldest job makes room', async () => {
  const queue = bench.queue<number>(uniquePrefix('queue'), { overload: { maxWaiting: 2, policy: 'dropOldest' } });
  await queue.addBulk([1, 2, 3].map((data) => ({ name: 'n', data })));
  expect((await queue.getWaiting()).map(({ data }) => data)).toEqual([2, 3]);
});

test('a producer waits until a worker has made room', async () => {
  const overload = { maxWaiting: 1, policy: 'wait', timeout: 10_000 } as const;
  const queue = bench.queue<number>(uniquePrefix('queue'), { overload });
  await queue.add('n', 1);
  const second = queue.add('n', 2);
  bench.worker(queue.name, async () => undefined);
  expect((await second).data).toBe(2);
  const hasty = bench.queue(uniquePrefix('queue'), { overload: { ...overload, timeout: 50 } });
  await hasty.add('n', 1);
  await expect(hasty.add('n', 2)).rejects.toMatchObject({ code: 'ERR_OVERLOADED' });
});

test('a queue of a service may have a bound', async () => {
  const service = new QueueService({
    redis: { url: server.url },
    prefix: uniquePrefix('p'),
    queues: [{ name: 'mail', overload: { maxWaiting: 1 } }],
  });
  await service.addJob('mail', 1);
  await expect(service.addJob('mail', 2)).rejects.toMatchObject({ code: 'ERR_OVERLOADED' });
  await service.close();
});

test.each([
  [{ maxWaiting: 0 }, 'overload.maxWaiting'],
  [{ maxWaiting: 1, timeout: 5 }, 'overload.timeout'],
  [{ maxWaiting: 1, policy: 'block' }, 'overload.policy'],
  [{ maxWaiting: 1, most: 1 }, 'overload.most'],
])('%o is refused', (overload, option) => {
  expect(() => bench.queue('q', { overload: overload as never })).toThrowError(
    expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option } }),
  );
});
