// `getBackend().client`: the methods of BullMQ's raw client, beside those of the stock package's own client.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as bullmq from '../../../ts/compat/bullmq/index.js';
import { BullmqBench } from '../../helpers/bullmq-bench.js';
import { RedisServer } from '../../helpers/redis-server.js';
import { uniquePrefix } from '../../helpers/unique-prefix.js';
import { waitFor } from '../../helpers/wait-for.js';

let server: RedisServer;
let bench: BullmqBench;
let ours: bullmq.RedisClient;
let theirs: any;
let name: string;
let key: string;

beforeAll(async () => {
  server = await RedisServer.start();
});

beforeEach(async () => {
  bench = new BullmqBench(server);
  name = uniquePrefix('raw');
  key = `${name}:key`;
  ours = bench.queue(name).getBackend().client;
  theirs = (bench.stockQueue(name).getBackend() as any).client;
  theirs = await theirs;
});

afterEach(() => bench.close());

afterAll(() => server.stop());

test('every method of IRedisClient is there', () => {
  for (const method of ['connect', 'disconnect', 'quit', 'duplicate', 'on', 'once', 'off', 'emit', 'removeListener']) {
    expect(typeof (ours as any)[method], method).toBe('function');
  }
  expect(ours.isCluster).toBe(false);
  expect(ours.options).toMatchObject(bench.connection);
});

describe('commands', () => {
  /** The same calls on two keys; the stock client says what is right. */
  const steps: [string, (client: any, key: string) => Promise<unknown>][] = [
    [
      'set and get',
      async (client, at) => [await client.set(at, 'v'), await client.get(at), await client.get(`${at}?`)],
    ],
    ['set with a life', async (client, at) => [await client.set(at, 5, { PX: 60_000 }), await client.get(at)]],
    [
      'hashes',
      async (client, at) => [
        await client.hset(at, { a: 1, b: 'two' }),
        await client.hget(at, 'a'),
        await client.hget(at, 'c'),
        await client.hmget(at, 'b', 'c'),
        { ...(await client.hgetall(at)) },
        { ...(await client.hgetall(`${at}?`)) },
        await client.hexists(at, 'a'),
        await client.hdel(at, 'a', 'c'),
        await client.hexists(at, 'a'),
      ],
    ],
    [
      'lists',
      async (client, at) => [
        await client
          .multi()
          .del(at)
          .exec()
          .then(() => 'deleted'),
        await client.llen(at),
        await client.lrange(at, 0, -1),
        await client.lpos(at, 'x'),
        await client.ltrim(at, 0, 1),
        await client.smembers(at),
        await client.zcard(at),
        await client.zscore(at, 'x'),
        await client.zrange(at, 0, -1),
        await client.zrevrange(at, 0, -1, { WITHSCORES: true }),
      ],
    ],
    [
      'streams',
      async (client, at) => [
        await client.xadd(at, '1-1', { event: 'a', n: 1 }),
        await client.xadd(at, '1-2', { event: 'b' }, { MAXLEN: 100, approximate: true }),
        await client.xread([{ key: at, id: '0' }], { COUNT: 10 }).then((read: any) => read[0][1]),
        await client.xread([{ key: at, id: '1-2' }]),
        await client.xtrim(at, 'MAXLEN', 1),
      ],
    ],
    [
      'transactions',
      async (client, at) =>
        client
          .multi()
          .hset(at, { a: 1 })
          .hgetall(at)
          .llen(`${at}:none`)
          .lrange(`${at}:none`, 0, -1)
          .zrange(`${at}:none`, 0, -1)
          .smembers(`${at}:none`)
          .del(at)
          .exec(),
    ],
    [
      'pages',
      async (client, at) => {
        await client.hset(at, { a: 1 });
        const [[, [cursor, items]]] = await client.multi().hscan(at, '0', { COUNT: 5 }).exec();
        return [
          String(cursor),
          items,
          await client.scan('0', { MATCH: at, COUNT: 10_000 }).then(([, keys]: any) => keys.length),
        ];
      },
    ],
  ];

  test.each(steps)('%s answer as those of the stock client', async (_title, step) => {
    const [mine, stocks] = [`${key}:mine`, `${key}:stock`];
    expect(await step(ours, mine)).toEqual(await step(theirs, stocks));
  });

  test('a transaction runs as one, and goes on after an error', async () => {
    await ours.set(key, 'text');
    const [[failed], [, length]] = (await ours.multi().llen(key).llen(`${key}:none`).exec()) as any;
    expect(failed).toBeInstanceOf(Error);
    expect(failed.message).toContain('WRONGTYPE');
    expect(length).toBe(0);
    expect(() => ours.multi().runCommand('x', [])).toThrow('client.runCommand');
  });

  test('pipelines, scripts and the server', async () => {
    expect(await ours.pipeline().hset(key, { a: 1 }).hgetall(key).exec()).toEqual([
      [null, 1],
      [null, { a: '1' }],
    ]);
    ours.defineCommand('twice', {
      numberOfKeys: 1,
      lua: "return redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2] * 2)",
    });
    expect(await ours.runCommand('twice', [key, 'a', 5])).toBe(11);
    await expect(ours.runCommand('thrice', [])).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    expect(await ours.info()).toContain('redis_version');
    expect(await ours.clientList()).toContain('id=');
    expect(await ours.clientInfo()).toContain('id=');
    await expect(ours.clientSetName('x')).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });

  test('waiting ends with what comes, or with its time', async () => {
    expect(await ours.bzpopmin(key, 0.05)).toBeNull();
    const popped = ours.bzpopmin(key, 10);
    await ours.runCommand.call(ours, 'none', []).catch(() => undefined);
    await ours.call('ZADD', key, 3, 'm');
    expect(await popped).toEqual([key, 'm', '3']);
    expect(await ours.xread([{ key: `${key}:s`, id: '$' }], { BLOCK: 50 })).toBeNull();
    const read = ours.xread([{ key: `${key}:s`, id: '$' }], { BLOCK: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await ours.xadd(`${key}:s`, '*', { a: 1 });
    expect((await read)?.[0]?.[1][0]?.[1]).toEqual(['a', '1']);
  });
});

test('it connects when it is used, tells its state, and ends', async () => {
  const client = ours.duplicate();
  expect(client.status).toBe('wait');
  const states: string[] = [];
  for (const state of ['ready', 'end']) client.on(state, () => states.push(state));
  await client.connect();
  await waitFor(() => client.status === 'ready');
  expect(await client.quit()).toBe('OK');
  expect(client.status).toBe('end');
  await expect(client.get('x')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
});

test('the backend of every class has keys, names and the client', async () => {
  const queue = bench.queue(name);
  const { connection } = bench;
  for (const one of [
    queue,
    bench.worker(name, async () => 1, { autorun: false }),
    await bench.events(name),
    bench.keep(new bullmq.QueueEventsProducer(name, { connection })),
    bench.keep(new bullmq.JobScheduler(name, { connection })),
  ]) {
    expect(one.getBackend()).toBe(one.backend);
    expect(one.keys).toEqual(new bullmq.QueueKeys().getKeys(name));
    expect(one.toKey('x')).toBe(`bull:${name}:x`);
    expect(one.qualifiedName).toBe(`bull:${name}`);
    expect(one.backend.clientName(':qe')).toBe(`bull:${Buffer.from(name).toString('base64')}:qe`);
    await one.backend.waitUntilReady();
    await one.waitUntilReady();
    expect(await one.backend.getClientList()).toHaveLength(1);
    await one.disconnect();
  }
});

test('readers of stock are listed, old keys removed, and a whole queue deleted', async () => {
  const queue = bench.queue(name);
  await bench.stockEvents(name);
  await waitFor(async () => (await queue.getQueueEvents()).length === 1);
  await ours.set(queue.toKey('priority'), 'old');
  expect(await queue.removeDeprecatedPriorityKey()).toBe(1);
  await queue.add('a', {}, { deduplication: { id: 'd' } });
  expect(await queue.getDebounceJobId('d')).toBe(await queue.getDeduplicationJobId('d'));
  expect(await queue.removeDebounceKey('d')).toBe(1);
  await queue.close();
  await bullmq.removeAllQueueData(theirs, `${name}-nobody`);
  const client = ours.duplicate();
  await bullmq.removeAllQueueData(client, name);
  expect((await client.scan('0', { MATCH: `bull:${name}:id*`, COUNT: 10_000 }))[1]).toEqual([]);
  await client.quit();
});

test('a connection that breaks is told as by ioredis', async () => {
  const queue = bench.queue(name);
  const worker = bench.worker(name, async () => 1);
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  const told: string[] = [];
  queue.on('ioredis:close' as 'paused', () => told.push('queue'));
  worker.on('ioredis:close' as 'paused', () => told.push('worker'));
  queue.on('error', () => undefined);
  worker.on('error', () => undefined);
  await theirs.client?.('KILL', 'TYPE', 'normal').catch(() => undefined);
  await ours.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'NO').catch(() => undefined);
  await waitFor(() => told.includes('queue') && told.includes('worker'));
});
