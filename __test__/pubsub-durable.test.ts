import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { PubSubService } from '../ts/pubsub-service.js';
import type { DeadMessageEvent } from '../ts/types/durable-types.js';
import type { PubSubOptions } from '../ts/types/pubsub-types.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
const open: PubSubService[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((service) => service.close()));
});

afterAll(() => server.stop());

function service(options: PubSubOptions = {}): PubSubService {
  const made = new PubSubService({ redis: { url: server.url }, ...options });
  open.push(made);
  return made;
}

async function publishAll(pubsub: PubSubService, channel: string, messages: unknown[]): Promise<string[]> {
  const ids: string[] = [];
  for (const message of messages) ids.push(await pubsub.publishDurable({ channel, message }));
  return ids;
}

test('every group gets every message in order, also a group that comes later', async () => {
  const pubsub = service({ publishedBy: 'shop', serializer: 'msgpack' });
  const channel = uniquePrefix('orders');
  const heard: Record<string, unknown[]> = { mail: [], audit: [], late: [], fresh: [] };
  const subscribe = (group: string, from?: string) =>
    pubsub.subscribeDurable({
      channel,
      group,
      ...(from && { from }),
      handler: (message, metadata, delivery) =>
        void heard[group]!.push([message, metadata?.publishedBy, delivery.deliveries, delivery.id]),
    });
  await subscribe('mail');
  await subscribe('audit');
  const messages = [0, '', null, { at: new Date(5) }];
  const ids = await publishAll(pubsub, channel, messages);
  await waitFor(() => heard['mail']!.length === 4 && heard['audit']!.length === 4);
  const expected = messages.map((message, at) => [message, 'shop', 1, ids[at]]);
  expect(heard['mail']).toEqual(expected);
  expect(heard['audit']).toEqual(expected);
  await subscribe('late', ids[1]);
  await subscribe('fresh');
  await waitFor(() => heard['late']!.length === 2);
  expect(heard['late']).toEqual(expected.slice(2));
  expect(heard['fresh']).toEqual([]);
  await waitFor(async () => (await pubsub.getGroups(channel)).every(({ pending }) => pending === 0));
  const groups = await pubsub.getGroups(channel);
  expect(groups.map(({ name }) => name).sort()).toEqual(['audit', 'fresh', 'late', 'mail']);
  expect(groups[0]).toMatchObject({ consumers: 1, lag: 0, lastDelivered: ids[3] });
  // Nothing of it is heard by those who only listen.
  expect(await pubsub.countSubscribers(channel)).toBe(0);
});

test('members of a group share its messages; each is handled so many at a time', async () => {
  const channel = uniquePrefix('shared');
  const members = [service(), service()];
  const heard: number[][] = [[], []];
  let running = 0;
  let most = 0;
  for (const [at, member] of members.entries()) {
    await member.subscribeDurable({
      channel,
      group: 'g',
      concurrency: 3,
      handler: async (message: number) => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
        heard[at]!.push(message);
      },
    });
  }
  await publishAll(members[0]!, channel, [...Array(100).keys()]);
  await waitFor(() => heard.flat().length === 100);
  expect(heard.flat().sort((a, b) => a - b)).toEqual([...Array(100).keys()]);
  expect(most).toBeLessThanOrEqual(6);
});

test('what a handler fails at comes again, and is dead in the end', async () => {
  const pubsub = service();
  const channel = uniquePrefix('failing');
  const tries: [unknown, number][] = [];
  const errors: string[] = [];
  const dead: DeadMessageEvent[] = [];
  pubsub.on('error', (error) => errors.push(error.message));
  pubsub.on('dead', (event) => dead.push(event));
  await pubsub.subscribeDurable({
    channel,
    group: 'g',
    maxDeliveries: 3,
    retryDelay: 20,
    handler: (message, _metadata, { deliveries }) => {
      tries.push([message, deliveries]);
      if (message === 'thrown') throw new Error('thrown');
      return message === 'once' && deliveries === 1 ? Promise.reject(new Error('rejected')) : undefined;
    },
  });
  const [id] = await publishAll(pubsub, channel, ['thrown', 'once', 'fine']);
  await waitFor(() => dead.length === 1);
  await waitFor(() => tries.length === 6);
  expect(dead).toEqual([{ id, channel, group: 'g', deliveries: 3 }]);
  const of = (message: string) => tries.filter(([one]) => one === message).map(([, deliveries]) => deliveries);
  expect([of('thrown'), of('once'), of('fine')]).toEqual([[1, 2, 3], [1, 2], [1]]);
  expect(errors.sort()).toEqual(['rejected', 'thrown', 'thrown', 'thrown']);
  const letters = await pubsub.getDeadMessages({ channel, group: 'g' });
  expect(letters).toMatchObject([
    { id, deliveries: 3, message: 'thrown', metadata: { timestamp: expect.any(String) } },
  ]);
  expect(await pubsub.getDeadMessages({ channel, group: 'g', after: letters[0]!.place })).toEqual([]);
});

test('a group goes on where it was, and can be replayed from an id', async () => {
  const channel = uniquePrefix('replayed');
  const first = service();
  const heard: unknown[] = [];
  const handler = (message: unknown) => void heard.push(message);
  await first.subscribeDurable({ channel, group: 'g', handler });
  const ids = await publishAll(first, channel, [1, 2, 3]);
  await waitFor(() => heard.length === 3);
  await first.unsubscribeDurable(channel, 'g');
  await publishAll(first, channel, [4]);
  const second = service();
  await second.subscribeDurable({ channel, group: 'g', from: 'start', handler });
  await waitFor(() => heard.length === 4);
  expect(heard).toEqual([1, 2, 3, 4]);
  await second.replay({ channel, group: 'g', from: ids[1]! });
  await waitFor(() => heard.length === 6);
  expect(heard.slice(4)).toEqual([3, 4]);
});

test('leaving waits for the running handler and leaves the rest to others', async () => {
  const channel = uniquePrefix('left');
  const [leaving, heir] = [service(), service()];
  const done: unknown[] = [];
  let release!: () => void;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  await leaving.subscribeDurable({
    channel,
    group: 'g',
    claimAfter: 1_000,
    handler: async (message) => {
      await gate;
      done.push(message);
    },
  });
  await publishAll(leaving, channel, [1, 2, 3]);
  await waitFor(async () => (await heir.getGroups(channel))[0]?.pending === 3);
  const left = leaving.unsubscribeDurable(channel, 'g');
  release();
  await left;
  expect(done).toEqual([1]);
  await heir.subscribeDurable({
    channel,
    group: 'g',
    claimAfter: 1_000,
    handler: (message, _, { deliveries }) => void done.push([message, deliveries]),
  });
  await waitFor(() => done.length === 3);
  expect(done).toEqual([1, [2, 2], [3, 2]]);
});

test('old messages make room for new ones', async () => {
  const pubsub = service();
  const channel = uniquePrefix('bounded');
  const texts = Array.from({ length: 1_500 }, (_, message) => ({ channel, message, maxLength: 100 }));
  await Promise.all(texts.map((one) => pubsub.publishDurable(one)));
  const heard: number[] = [];
  await pubsub.subscribeDurable({ channel, group: 'g', from: 'start', handler: (message) => void heard.push(message) });
  await waitFor(() => heard.includes(1_499));
  // The server trims by whole nodes of a hundred.
  expect(heard.length).toBeGreaterThanOrEqual(100);
  expect(heard.length).toBeLessThanOrEqual(300);
});

test('wrong arguments are refused', async () => {
  const pubsub = service();
  const channel = uniquePrefix('wrong');
  const handler = () => undefined;
  await pubsub.subscribeDurable({ channel, group: 'g', handler });
  const wrong: [() => Promise<unknown>, string][] = [
    [() => pubsub.publishDurable({ channel: '', message: 1 }), 'ERR_INVALID_ARGUMENT'],
    [() => pubsub.publishDurable({ channel, message: 1, maxLength: 0 }), 'ERR_INVALID_ARGUMENT'],
    [() => pubsub.publishDurable({ channel, message: 1, maxLength: 1.5 }), 'ERR_INVALID_ARGUMENT'],
    [() => pubsub.publishDurable({ channel, message: undefined }), 'ERR_INVALID_ARGUMENT'],
    [() => pubsub.subscribeDurable({ channel, group: 'g', handler }), 'ERR_INVALID_ARGUMENT'],
    [() => pubsub.subscribeDurable({ channel, group: '', handler }), 'ERR_INVALID_ARGUMENT'],
    [() => pubsub.subscribeDurable({ channel, group: 'h', handler: 1 as never }), 'ERR_INVALID_ARGUMENT'],
    [() => pubsub.subscribeDurable({ channel, group: 'h', handler, from: 'now' }), 'ERR_INVALID_OPTION'],
    [() => pubsub.subscribeDurable({ channel, group: 'h', handler, claimAfter: 5 }), 'ERR_INVALID_OPTION'],
    [() => pubsub.subscribeDurable({ channel, group: 'h', handler, retries: 5 } as never), 'ERR_INVALID_OPTION'],
    [() => pubsub.replay({ channel, group: 'nobody', from: 'start' }), 'ERR_REPLY'],
    [() => pubsub.replay({ channel, group: 'g', from: 'yesterday' }), 'ERR_INVALID_ARGUMENT'],
    [() => pubsub.getDeadMessages({ channel, group: 'g', count: 5_000 }), 'ERR_INVALID_ARGUMENT'],
  ];
  for (const [call, code] of wrong) await expect(call(), String(call)).rejects.toMatchObject({ code });
  await pubsub.close();
  await expect(pubsub.publishDurable({ channel, message: 1 })).rejects.toMatchObject({ code: 'ERR_CLOSED' });
});
