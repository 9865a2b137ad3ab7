import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PubSubService } from '../ts/pubsub-service.js';
import type { MessageGap, OverflowPolicy, PubSubOptions } from '../ts/types/pubsub-types.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
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

function gate(): { promise: Promise<void>; open: () => void } {
  let release!: () => void;
  const promise = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { promise, open: release };
}

const publishAll = (pubsub: PubSubService, channel: string, messages: unknown[]) =>
  Promise.all(messages.map((message) => pubsub.publish({ channel, message })));

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

describe('concurrency', () => {
  test('hands over so many at a time, in order, each to all handlers', async () => {
    const pubsub = service();
    const channel = uniquePrefix('parallel');
    const started: number[] = [];
    const second: number[] = [];
    const gates = numbers(6).map(gate);
    await pubsub.subscribe({
      channel,
      concurrency: 3,
      handler: async (message: number) => {
        started.push(message);
        await gates[message]!.promise;
      },
    });
    await pubsub.subscribe({ channel, handler: (message: number) => void second.push(message) });
    await publishAll(pubsub, channel, numbers(6));
    await waitFor(() => started.length === 3);
    gates[1]!.open();
    await waitFor(() => started.length === 4);
    expect(started).toEqual([0, 1, 2, 3]);
    expect(second).toEqual([1]);
    for (const { open: release } of gates) release();
    await waitFor(() => second.length === 6);
    expect(started).toEqual(numbers(6));
  });

  test('belongs to the channel: another handler may not ask for something else', async () => {
    const pubsub = service({ concurrency: 2 });
    const channel = uniquePrefix('agree');
    const handler = () => undefined;
    await pubsub.subscribe({ channel, handler, overflow: 'close' });
    await pubsub.subscribe({ channel, handler, overflow: 'close' });
    await expect(pubsub.subscribe({ channel, handler, concurrency: 5 })).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
      details: { option: 'concurrency' },
    });
    await expect(pubsub.subscribe({ channel: `${channel}2`, handler, concurrency: 0 })).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
    });
    await expect(pubsub.subscribe({ channel, handler, parallel: 5 } as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
    });
    expect(await pubsub.getSubscriptions()).toEqual([channel]);
  });
});

describe('overflow', () => {
  /** Publishes 50 messages to a handler that waits, and lets it go on. */
  async function flood(overflow: OverflowPolicy) {
    const pubsub = service({ maxPendingMessages: 8, overflow });
    const channel = uniquePrefix('flood');
    const gaps: MessageGap[] = [];
    const heard: number[] = [];
    const held = gate();
    pubsub.on('gap', (gap) => gaps.push(gap));
    await pubsub.subscribe({
      channel,
      handler: async (message: number) => {
        heard.push(message);
        await held.promise;
      },
    });
    await publishAll(pubsub, channel, numbers(50));
    await waitFor(() => gaps.length > 0);
    return { pubsub, channel, gaps, heard, held };
  }

  const dropped = (gaps: MessageGap[]) =>
    gaps.reduce((sum, gap) => sum + (gap.reason === 'overflow' ? gap.dropped : 0), 0);

  test('drops the oldest, and counts them', async () => {
    const { pubsub, channel, gaps, heard, held } = await flood('drop-oldest');
    await pubsub.publish({ channel, message: 50 });
    await waitFor(async () => (await pubsub.getStats()).subscriptions[0]?.received === 51);
    held.open();
    await waitFor(() => heard.at(-1) === 50);
    await waitFor(() => dropped(gaps) === 43);
    // Two were handed over already; of the others the last six remain.
    expect(heard).toEqual([0, 1, 45, 46, 47, 48, 49, 50]);
    await waitFor(async () => (await pubsub.getStats()).subscriptions[0]?.pending === 0);
    expect(await pubsub.getStats()).toEqual({
      published: 51,
      reconnections: 0,
      subscriptions: [
        {
          kind: 'channel',
          name: channel,
          handlers: 1,
          received: 51,
          handled: 8,
          failed: 0,
          dropped: 43,
          pending: 0,
          pendingBytes: 0,
        },
      ],
    });
  });

  test('ends the subscription, which can be made again', async () => {
    const { pubsub, channel, gaps, heard, held } = await flood('close');
    held.open();
    expect(gaps).toMatchObject([{ reason: 'overflow', kind: 'channel', name: channel, closed: true }]);
    expect(dropped(gaps)).toBeGreaterThan(0);
    expect(await pubsub.getSubscriptions()).toEqual([]);
    await waitFor(async () => (await pubsub.countSubscribers(channel)) === 0);
    expect(heard).toEqual([0]);
    await pubsub.subscribe({ channel, handler: (message: number) => void heard.push(message) });
    expect(await pubsub.publish({ channel, message: 60 })).toBe(1);
    await waitFor(() => heard.at(-1) === 60);
  });

  test('of bytes is bounded for all subscriptions together', async () => {
    const pubsub = service({ maxTotalPendingBytes: 100_000 });
    const held = gate();
    const gaps: MessageGap[] = [];
    pubsub.on('gap', (gap) => gaps.push(gap));
    const channels = numbers(5).map((n) => uniquePrefix(`total-${n}`));
    for (const channel of channels) await pubsub.subscribe({ channel, handler: () => held.promise });
    const message = 'x'.repeat(30_000);
    for (const channel of channels) await pubsub.publish({ channel, message });
    await waitFor(() => gaps.length === 2);
    const { subscriptions } = await pubsub.getStats();
    const waiting = subscriptions.map(({ pending }) => pending);
    expect(waiting.reduce((sum, one) => sum + one, 0)).toBe(3);
    held.open();
  });
});

describe('messages as an iterator', () => {
  test('come in order, wait for the loop, and end with it', async () => {
    const pubsub = service();
    const channel = uniquePrefix('stream');
    const stream = pubsub.messages<number>({ channel });
    await stream.ready;
    await publishAll(pubsub, channel, numbers(20));
    const heard: number[] = [];
    for await (const { channel: from, message, metadata } of stream) {
      expect(from).toBe(channel);
      expect(metadata?.timestamp).toEqual(expect.any(String));
      heard.push(message);
      if (heard.length === 20) break;
    }
    expect(heard).toEqual(numbers(20));
    expect(await pubsub.getSubscriptions()).toEqual([]);
    await waitFor(async () => (await pubsub.countSubscribers(channel)) === 0);
  });

  test('of a pattern; several reads at once; the end by unsubscribing', async () => {
    const pubsub = service();
    const prefix = uniquePrefix('user');
    const stream = pubsub.messages({ pattern: `${prefix}:*` });
    await stream.ready;
    const reads = [stream.next(), stream.next(), stream.next()];
    await pubsub.publish({ channel: `${prefix}:a`, message: 1 });
    await pubsub.publish({ channel: `${prefix}:b`, message: 2 });
    expect((await reads[0])?.value).toMatchObject({ channel: `${prefix}:a`, message: 1 });
    expect((await reads[1])?.value).toMatchObject({ channel: `${prefix}:b`, message: 2 });
    await pubsub.punsubscribe(`${prefix}:*`);
    expect(await reads[2]).toEqual({ value: undefined, done: true });
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });

  test('a signal ends them with its reason, closing the service without one', async () => {
    const pubsub = service();
    const controller = new AbortController();
    const channel = uniquePrefix('aborted');
    const stream = pubsub.messages({ channel, signal: controller.signal });
    await stream.ready;
    const read = stream.next();
    const rejected = expect(read).rejects.toThrow('enough');
    controller.abort(new Error('enough'));
    await rejected;
    await waitFor(async () => (await pubsub.countSubscribers(channel)) === 0);
    const other = pubsub.messages({ channel });
    await other.ready;
    const last = other.next();
    await pubsub.close();
    expect(await last).toEqual({ value: undefined, done: true });
  });

  test('throw when the subscription was ended because too much waited', async () => {
    const pubsub = service({ overflow: 'close', maxPendingMessages: 4 });
    const channel = uniquePrefix('too-slow');
    const stream = pubsub.messages({ channel });
    await stream.ready;
    const gap = new Promise((resolve) => pubsub.on('gap', resolve));
    await publishAll(pubsub, channel, numbers(20));
    await gap;
    const read = async () => {
      for await (const _ of stream);
    };
    await expect(read()).rejects.toMatchObject({ code: 'ERR_OVERLOADED', details: { channel } });
  });

  test('wrong sources are refused', () => {
    const pubsub = service();
    const wrong = expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' });
    expect(() => pubsub.messages({} as never)).toThrow(wrong);
    expect(() => pubsub.messages({ channel: 'c', pattern: 'p' } as never)).toThrow(wrong);
    expect(() => pubsub.messages({ channel: '' })).toThrow(wrong);
    expect(() => pubsub.messages({ channel: 'c', signal: {} as never })).toThrow(wrong);
  });
});

describe('sharded channels', () => {
  test('are a space of names of their own', async () => {
    const pubsub = service({ channelPrefix: 'shop' });
    const channel = uniquePrefix('orders');
    const heard: unknown[] = [];
    const handler = (message: unknown) => void heard.push(['shard', message]);
    await pubsub.ssubscribe({ channel, handler });
    await pubsub.subscribe({ channel, handler: (message) => void heard.push(['channel', message]) });
    expect(await pubsub.spublish({ channel, message: 1, metadata: { userId: '7' } })).toBe(1);
    expect(await pubsub.publish({ channel, message: 2 })).toBe(1);
    await waitFor(() => heard.length === 2);
    expect(heard).toContainEqual(['shard', 1]);
    expect(heard).toContainEqual(['channel', 2]);
    expect(await pubsub.countSubscribers(channel, { sharded: true })).toBe(1);
    await pubsub.sunsubscribe(channel, handler);
    await waitFor(async () => (await pubsub.countSubscribers(channel, { sharded: true })) === 0);
    expect(await pubsub.countSubscribers(channel)).toBe(1);
    const stream = pubsub.messages({ channel, sharded: true });
    await stream.ready;
    await pubsub.spublish({ channel, message: 3 });
    expect((await stream.next()).value).toMatchObject({ channel, message: 3 });
  });

  test.skipIf(inMemory)('come back after a lost connection', async () => {
    const own = await RedisServer.start();
    const pubsub = service({ redis: { url: own.url } });
    pubsub.on('error', () => undefined);
    const heard: unknown[] = [];
    const gap = new Promise<MessageGap>((resolve) => pubsub.on('gap', resolve));
    await pubsub.ssubscribe({ channel: 'c', handler: (message) => void heard.push(message) });
    await own.kill();
    await own.restart();
    expect(await gap).toEqual({ reason: 'reconnected', lost: [] });
    expect((await pubsub.getStats()).reconnections).toBe(1);
    await pubsub.spublish({ channel: 'c', message: 'after' });
    await waitFor(() => heard.length === 1);
    await pubsub.close();
    await own.stop();
  });

  test.skipIf(inMemory)('a server that has none says so clearly', async () => {
    const commands = ['SSUBSCRIBE', 'SPUBLISH'].flatMap((name) => ['--rename-command', name, '']);
    const old = await RedisServer.start({ args: commands });
    const pubsub = service({ redis: { url: old.url } });
    const refused = { code: 'ERR_UNSUPPORTED_COMMAND', message: expect.stringContaining('Redis 7') };
    await expect(pubsub.ssubscribe({ channel: 'c', handler: () => undefined })).rejects.toMatchObject(refused);
    await expect(pubsub.spublish({ channel: 'c', message: 1 })).rejects.toMatchObject(refused);
    // The connection that the channels share is none the worse.
    await pubsub.subscribe({ channel: 'c', handler: () => undefined });
    expect(await pubsub.publish({ channel: 'c', message: 1 })).toBe(1);
    await pubsub.close();
    await old.stop();
  });
});

describe('MessagePack', () => {
  test('gives back what JSON loses; both kinds of service read both', async () => {
    const packed = service({ serializer: 'msgpack', publishedBy: 'packed' });
    const plain = service();
    const channel = uniquePrefix('packed');
    const heard: unknown[] = [];
    const handler = (message: unknown, metadata: any) => void heard.push([message, metadata?.publishedBy]);
    await packed.subscribe({ channel, handler });
    await plain.subscribe({ channel, handler });
    const message = {
      at: new Date(5),
      seen: new Set([1n]),
      bytes: Buffer.from([0, 255]),
      none: null,
      name: 'Žižka 日本',
    };
    await packed.publish({ channel, message, metadata: { timestamp: new Date(7) } });
    await waitFor(() => heard.length === 2);
    expect(heard).toEqual([
      [message, 'packed'],
      [message, 'packed'],
    ]);
    await plain.publish({ channel, message: [1] });
    await waitFor(() => heard.length === 4);
    expect(heard[3]).toEqual([[1], undefined]);
    await expect(packed.publish({ channel, message: { f: () => 1 } })).rejects.toMatchObject({
      code: 'ERR_NOT_SERIALIZABLE',
    });
  });
});

describe('counts', () => {
  test('of patterns are those of the server', async () => {
    const pubsub = service();
    const before = await pubsub.countPatterns();
    await pubsub.psubscribe({ pattern: uniquePrefix('counted'), handler: () => undefined });
    expect(await pubsub.countPatterns()).toBe(before + 1);
  });

  test('of failures are those of handlers', async () => {
    const pubsub = service();
    pubsub.on('error', () => undefined);
    const channel = uniquePrefix('failing');
    const fail = () => Promise.reject(new Error('no'));
    await pubsub.subscribe({ channel, handler: fail });
    await pubsub.subscribe({ channel, handler: fail });
    await publishAll(pubsub, channel, [1, 2]);
    await waitFor(async () => (await pubsub.getStats()).subscriptions[0]?.failed === 4);
    expect((await pubsub.getStats()).subscriptions).toMatchObject([{ handlers: 2, handled: 2, failed: 4 }]);
  });
});

describe.skipIf(inMemory)('publishing without a connection', () => {
  test('waits for it within its deadline', async () => {
    const own = await RedisServer.start();
    const pubsub = service({ redis: { url: own.url, retryStrategy: () => 50 }, publishTimeout: 300 });
    pubsub.on('error', () => undefined);
    expect(await pubsub.ping()).toBe('PONG');
    await own.kill();
    await waitFor(() =>
      pubsub.ping().then(
        () => false,
        () => true,
      ),
    );
    const began = performance.now();
    await expect(pubsub.publish({ channel: 'c', message: 1 })).rejects.toMatchObject({
      code: 'ERR_COMMAND_TIMED_OUT',
    });
    expect(performance.now() - began).toBeGreaterThan(250);
    const patient = pubsub.publish({ channel: 'c', message: 2, timeout: 30_000 });
    await sleep(200);
    await own.restart();
    expect(await patient).toBe(0);
    await expect(pubsub.publish({ channel: 'c', message: 3, timeout: 0 })).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
    });
    await pubsub.close();
    await own.stop();
  });
});
