import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PubSubService } from '../ts/pubsub-service.js';
import type { MessageGap, PubSubOptions } from '../ts/types/pubsub-types.js';
import { FlakyProxy } from './helpers/flaky-proxy.js';
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

describe('messages', () => {
  test('reach every handler of a channel, in the order of the handlers, with their metadata', async () => {
    const pubsub = service({ publishedBy: 'shop-api' });
    const channel = uniquePrefix('orders');
    const heard: unknown[] = [];
    await pubsub.subscribe({
      channel,
      handler: (message, metadata) => heard.push(['first', message, metadata]) as never,
    });
    await pubsub.subscribe({ channel, handler: (message) => heard.push(['second', message]) as never });
    const timestamp = new Date('2026-01-02T03:04:05.000Z');
    const received = await pubsub.publish({
      channel,
      message: { id: 1, name: 'Žižka 日本 😀' },
      metadata: { userId: '7', correlationId: 'c-1', timestamp },
    });
    // Two handlers, one subscriber.
    expect(received).toBe(1);
    await waitFor(() => heard.length === 2);
    expect(heard).toEqual([
      [
        'first',
        { id: 1, name: 'Žižka 日本 😀' },
        { userId: '7', correlationId: 'c-1', timestamp: timestamp.toISOString(), publishedBy: 'shop-api' },
      ],
      ['second', { id: 1, name: 'Žižka 日本 😀' }],
    ]);
  });

  test('are written as JSON, which may also be said', async () => {
    const pubsub = service({ serializer: 'json' });
    expect(await pubsub.publish({ channel: uniquePrefix('json'), message: 1 })).toBe(0);
  });

  test('nobody listens: published to none', async () => {
    const pubsub = service();
    expect(await pubsub.publish({ channel: uniquePrefix('silent'), message: 1 })).toBe(0);
  });

  test('keep falsy values apart', async () => {
    const pubsub = service();
    const channel = uniquePrefix('values');
    const heard: unknown[] = [];
    await pubsub.subscribe({ channel, handler: (message) => void heard.push(message) });
    const values = [0, '', false, null, [], {}, 'text', 1.5];
    for (const message of values) await pubsub.publish({ channel, message });
    await waitFor(() => heard.length === values.length);
    expect(heard).toEqual(values);
  });

  test('are handed over one after the other while a handler is asynchronous', async () => {
    const pubsub = service();
    const channel = uniquePrefix('slow');
    const log: string[] = [];
    await pubsub.subscribe({
      channel,
      handler: async (message: number) => {
        log.push(`start ${message}`);
        await sleep(5);
        log.push(`end ${message}`);
      },
    });
    await Promise.all([1, 2, 3].map((message) => pubsub.publish({ channel, message })));
    await waitFor(() => log.length === 6);
    expect(log).toEqual(['start 1', 'end 1', 'start 2', 'end 2', 'start 3', 'end 3']);
  });

  test('of a slow channel do not hold up another one', async () => {
    const pubsub = service();
    const [slow, quick] = [uniquePrefix('slow'), uniquePrefix('quick')];
    let release!: () => void;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    await pubsub.subscribe({ channel: slow, handler: () => gate });
    const heard = new Promise((resolve) => {
      void pubsub.subscribe({ channel: quick, handler: (message) => resolve(message) }).then(async () => {
        await pubsub.publish({ channel: slow, message: 1 });
        await pubsub.publish({ channel: quick, message: 2 });
      });
    });
    expect(await heard).toBe(2);
    release();
  });

  test('a handler that fails is reported and keeps nothing from others', async () => {
    const pubsub = service();
    const channel = uniquePrefix('failing');
    const errors: string[] = [];
    const heard: unknown[] = [];
    pubsub.on('error', (error) => errors.push(error.message));
    await pubsub.subscribe({
      channel,
      handler: () => {
        throw new Error('thrown');
      },
    });
    await pubsub.subscribe({ channel, handler: () => Promise.reject(new Error('rejected')) });
    await pubsub.subscribe({ channel, handler: (message) => void heard.push(message) });
    await pubsub.publish({ channel, message: 1 });
    await pubsub.publish({ channel, message: 2 });
    await waitFor(() => heard.length === 2);
    expect(errors).toEqual(['thrown', 'rejected', 'thrown', 'rejected']);
  });

  test('of 10,000 publishes all arrive, in order', async () => {
    const pubsub = service({ maxPendingMessages: 20_000 });
    const channel = uniquePrefix('many');
    let next = 0;
    let wrong = 0;
    await pubsub.subscribe({
      channel,
      handler: (message: number) => {
        if (message !== next++) wrong++;
      },
    });
    await Promise.all(Array.from({ length: 10_000 }, (_, message) => pubsub.publish({ channel, message })));
    await waitFor(() => next === 10_000);
    expect(wrong).toBe(0);
  });
});

describe('patterns', () => {
  test('hand over the channel and the message', async () => {
    const pubsub = service();
    const prefix = uniquePrefix('user');
    const heard: unknown[] = [];
    await pubsub.psubscribe({
      pattern: `${prefix}:*`,
      handler: (channel, message, metadata) => void heard.push([channel, message, typeof metadata?.timestamp]),
    });
    await pubsub.publish({ channel: `${prefix}:created`, message: { id: 1 } });
    await pubsub.publish({ channel: `other-${prefix}`, message: 2 });
    await pubsub.publish({ channel: `${prefix}:deleted`, message: 3 });
    await waitFor(() => heard.length === 2);
    expect(heard).toEqual([
      [`${prefix}:created`, { id: 1 }, 'string'],
      [`${prefix}:deleted`, 3, 'string'],
    ]);
  });

  test('end with punsubscribe', async () => {
    const pubsub = service();
    const prefix = uniquePrefix('ended');
    const heard: unknown[] = [];
    await pubsub.psubscribe({ pattern: `${prefix}*`, handler: (_channel, message) => void heard.push(message) });
    await pubsub.punsubscribe(`${prefix}*`);
    expect(await pubsub.publish({ channel: `${prefix}-x`, message: 1 })).toBe(0);
    expect(heard).toEqual([]);
  });
});

describe('subscriptions', () => {
  test('one handler can be taken off, then the last, which ends it on the server', async () => {
    const pubsub = service();
    const channel = uniquePrefix('taken-off');
    const [first, second]: [unknown[], unknown[]] = [[], []];
    const toFirst = (message: unknown) => void first.push(message);
    const toSecond = (message: unknown) => void second.push(message);
    await pubsub.subscribe({ channel, handler: toFirst });
    await pubsub.subscribe({ channel, handler: toSecond });
    expect(await pubsub.getSubscriptions()).toEqual([channel]);
    await pubsub.unsubscribe(channel, toFirst);
    await pubsub.publish({ channel, message: 1 });
    await waitFor(() => second.length === 1);
    expect(first).toEqual([]);
    await pubsub.unsubscribe(channel, toSecond);
    expect(await pubsub.countSubscribers(channel)).toBe(0);
    expect(await pubsub.getSubscriptions()).toEqual([]);
    await pubsub.unsubscribe(channel);
  });

  test('changes of one channel in one turn end as the last one says', async () => {
    const pubsub = service();
    const channel = uniquePrefix('changing');
    const heard: unknown[] = [];
    const handler = (message: unknown) => void heard.push(message);
    await Promise.all([
      pubsub.subscribe({ channel, handler }),
      pubsub.unsubscribe(channel),
      pubsub.subscribe({ channel, handler }),
      pubsub.unsubscribe(channel),
      pubsub.subscribe({ channel, handler }),
    ]);
    expect(await pubsub.publish({ channel, message: 'here' })).toBe(1);
    await waitFor(() => heard.length === 1);
  });

  test('of several services on one channel are counted by the server as one connection', async () => {
    const [one, other] = [service(), service()];
    const channel = uniquePrefix('shared');
    const heard: string[] = [];
    await one.subscribe({ channel, handler: () => void heard.push('one') });
    await other.subscribe({ channel, handler: () => void heard.push('other') });
    expect(await one.countSubscribers(channel)).toBe(1);
    await one.publish({ channel, message: 1 });
    await waitFor(() => heard.length === 2);
    await one.close();
    await other.publish({ channel, message: 2 });
    await waitFor(() => heard.length === 3);
    expect(heard[2]).toBe('other');
  });

  test('a prefix is added for the server and taken off for handlers', async () => {
    const prefix = uniquePrefix('shop');
    const pubsub = service({ channelPrefix: prefix });
    const plain = service();
    const heard: unknown[] = [];
    await pubsub.subscribe({ channel: 'orders', handler: (message) => void heard.push(message) });
    await pubsub.psubscribe({ pattern: 'or*', handler: (channel, message) => void heard.push([channel, message]) });
    expect(await plain.publish({ channel: `${prefix}:orders`, message: 'in' })).toBe(2);
    expect(await plain.publish({ channel: 'orders', message: 'out' })).toBe(0);
    await waitFor(() => heard.length === 2);
    expect(heard).toContainEqual('in');
    expect(heard).toContainEqual(['orders', 'in']);
    expect(await pubsub.getSubscriptions()).toEqual(['orders', 'or*']);
  });
});

describe.skipIf(inMemory)('other programs', () => {
  test('their messages arrive as JSON says, or as text or bytes', async () => {
    const pubsub = service();
    const channel = uniquePrefix('foreign');
    const heard: unknown[] = [];
    await pubsub.subscribe({ channel, handler: (message, metadata) => void heard.push([message, metadata]) });
    const redis = new Redis(server.port);
    await redis.publish(channel, JSON.stringify({ type: 'moved', data: 1 }));
    await redis.publish(channel, 'just text');
    await redis.publish(channel, '42');
    // An object of the application's own that happens to have these fields, and one more.
    await redis.publish(channel, JSON.stringify({ message: 'hi', metadata: {}, to: 'you' }));
    await redis.publish(channel, Buffer.from([0xff, 0x00, 0x01]));
    // What the services of the documents publish.
    await redis.publish(channel, JSON.stringify({ message: [1], metadata: { publishedBy: 'fashion-wallet-api' } }));
    await waitFor(() => heard.length === 6);
    redis.disconnect();
    expect(heard).toEqual([
      [{ type: 'moved', data: 1 }, undefined],
      ['just text', undefined],
      [42, undefined],
      [{ message: 'hi', metadata: {}, to: 'you' }, undefined],
      [Buffer.from([0xff, 0x00, 0x01]), undefined],
      [[1], { publishedBy: 'fashion-wallet-api' }],
    ]);
  });

  test('read our messages as {message, metadata}', async () => {
    const pubsub = service({ publishedBy: 'us' });
    const channel = uniquePrefix('foreign');
    const redis = new Redis(server.port);
    const heard = new Promise<any>((resolve) => redis.on('message', (_channel, text) => resolve(JSON.parse(text))));
    await redis.subscribe(channel);
    await pubsub.publish({ channel, message: { id: 1 } });
    const { message, metadata, ...rest } = await heard;
    redis.disconnect();
    expect(message).toEqual({ id: 1 });
    expect(metadata.publishedBy).toBe('us');
    expect(Date.now() - Date.parse(metadata.timestamp)).toBeLessThan(10_000);
    expect(rest).toEqual({});
  });
});

describe('too much', () => {
  test('what passes the bound is dropped and reported, and the subscription goes on', async () => {
    const pubsub = service({ maxPendingMessages: 10 });
    const channel = uniquePrefix('flood');
    const gaps: MessageGap[] = [];
    const heard: number[] = [];
    let release!: () => void;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    pubsub.on('gap', (gap) => gaps.push(gap));
    await pubsub.subscribe({
      channel,
      handler: async (message: number) => {
        heard.push(message);
        await gate;
      },
    });
    await Promise.all(Array.from({ length: 50 }, (_, message) => pubsub.publish({ channel, message })));
    await waitFor(() => gaps.length > 0);
    expect(gaps[0]).toEqual({ reason: 'overflow', kind: 'channel', name: channel, dropped: 1, closed: false });
    release();
    await waitFor(() => gaps.reduce((sum, gap) => sum + (gap.reason === 'overflow' ? gap.dropped : 0), 0) === 40);
    await waitFor(() => heard.length === 10);
    expect(heard).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await pubsub.publish({ channel, message: 50 });
    await waitFor(() => heard.length === 11);
    expect(heard[10]).toBe(50);
  });
});

describe.skipIf(inMemory)('a connection that breaks', () => {
  test('is mended by itself; the gap is reported and subscriptions are back', async () => {
    const own = await RedisServer.start();
    const pubsub = service({ redis: { url: own.url } });
    const channel = uniquePrefix('broken');
    const gaps: MessageGap[] = [];
    const states: string[] = [];
    const heard: unknown[] = [];
    pubsub.on('gap', (gap) => gaps.push(gap));
    pubsub.on('state', (state) => states.push(state));
    pubsub.on('error', () => undefined);
    await pubsub.subscribe({ channel, handler: (message) => void heard.push(message) });
    await pubsub.psubscribe({ pattern: `${channel}*`, handler: (_channel, message) => void heard.push(message) });
    await own.kill();
    await sleep(300);
    await own.restart();
    const back = performance.now();
    await waitFor(() => gaps.length > 0);
    expect(performance.now() - back).toBeLessThan(2_000);
    expect(gaps).toEqual([{ reason: 'reconnected', lost: [] }]);
    await waitFor(async () => (await pubsub.publish({ channel, message: 'after' })) === 2);
    await waitFor(() => heard.includes('after'));
    expect(states).toContain('RECONNECTING');
    expect(states.at(-1)).toBe('READY');
    await pubsub.close();
    await own.stop();
  });

  test('that goes silent is noticed, and what is published meanwhile settles', async () => {
    const proxy = await FlakyProxy.start({ port: server.port });
    const pubsub = service({
      redis: { host: proxy.host, port: proxy.port, keepAlive: 300, commandTimeout: 400, connectTimeout: 500 },
    });
    const channel = uniquePrefix('silent');
    const heard: unknown[] = [];
    let gaps = 0;
    pubsub.on('gap', () => gaps++);
    pubsub.on('error', () => undefined);
    await pubsub.subscribe({ channel, handler: (message) => void heard.push(message) });
    proxy.silence();
    await expect(pubsub.publish({ channel, message: 1 })).rejects.toMatchObject({ code: /^ERR_/ });
    // Silent connections are noticed by their own checks, not because the proxy closes them.
    await waitFor(() => proxy.connections > 3, { timeoutMs: 5_000 });
    proxy.heal();
    await waitFor(() => gaps > 0);
    await waitFor(async () => {
      await pubsub.publish({ channel, message: 'after' });
      return heard.includes('after');
    });
    await pubsub.close();
    await proxy.stop();
  });

  test('subscriptions that the server refuses to restore are reported and can be made again', async () => {
    const own = await RedisServer.start();
    const admin = new Redis(own.port);
    await admin.acl('SETUSER', 'limited', 'on', '>secret', '~*', '&*', '+@all');
    const pubsub = service({ redis: { host: own.host, port: own.port, username: 'limited', password: 'secret' } });
    pubsub.on('error', () => undefined);
    const gaps: MessageGap[] = [];
    pubsub.on('gap', (gap) => gaps.push(gap));
    await pubsub.subscribe({ channel: 'allowed', handler: () => undefined });
    await pubsub.subscribe({ channel: 'forbidden', handler: () => undefined });
    await admin.acl('SETUSER', 'limited', 'resetchannels', '&allowed');
    await admin.client('KILL', 'USER', 'limited');
    await waitFor(() => gaps.some((gap) => gap.reason === 'reconnected' && gap.lost.length > 0));
    const lost = gaps.flatMap((gap) => (gap.reason === 'reconnected' ? gap.lost : []));
    expect(lost).toMatchObject([{ kind: 'channel', name: 'forbidden', error: { code: 'ERR_AUTHENTICATION_FAILED' } }]);
    expect(await pubsub.getSubscriptions()).toEqual(['allowed']);
    await expect(pubsub.subscribe({ channel: 'forbidden', handler: () => undefined })).rejects.toMatchObject({
      code: 'ERR_AUTHENTICATION_FAILED',
    });
    await admin.acl('SETUSER', 'limited', '&*');
    await pubsub.subscribe({ channel: 'forbidden', handler: () => undefined });
    await pubsub.close();
    admin.disconnect();
    await own.stop();
  });

  test('retryOnError publishes once the server is back', async () => {
    const own = await RedisServer.start();
    const options = { redis: { url: own.url, enableOfflineQueue: false, keepAlive: 1_000 } };
    const patient = service({ ...options, retryOnError: true, maxRetries: 20 });
    const hasty = service(options);
    for (const one of [patient, hasty]) one.on('error', () => undefined);
    await waitFor(() => patient.ping().catch(() => ''));
    await own.kill();
    await waitFor(async () => {
      const outcome = await hasty.publish({ channel: 'c', message: 1 }).catch((error: { code: string }) => error.code);
      return outcome === 'ERR_OFFLINE';
    });
    const published = patient.publish({ channel: 'c', message: 1 });
    await own.restart();
    expect(await published).toBe(0);
    await Promise.all([patient.close(), hasty.close()]);
    await own.stop();
  });
});

describe('the end', () => {
  test('closing twice is safe; calls after it reject; nothing is handed over any more', async () => {
    const [pubsub, other] = [service(), service()];
    const channel = uniquePrefix('closed');
    const heard: unknown[] = [];
    await pubsub.subscribe({ channel, handler: (message) => void heard.push(message) });
    await Promise.all([pubsub.close(), pubsub.close()]);
    await pubsub.close();
    expect(await other.publish({ channel, message: 1 })).toBe(0);
    const closed = { code: 'ERR_CLOSED' };
    await expect(pubsub.publish({ channel, message: 1 })).rejects.toMatchObject(closed);
    await expect(pubsub.subscribe({ channel, handler: () => undefined })).rejects.toMatchObject(closed);
    await expect(pubsub.unsubscribe(channel)).rejects.toMatchObject(closed);
    await expect(pubsub.ping()).rejects.toMatchObject(closed);
    expect(heard).toEqual([]);
  });

  test('ping answers, and await using closes', async () => {
    const pubsub = service();
    expect(await pubsub.ping()).toBe('PONG');
    await pubsub[Symbol.asyncDispose]();
    await expect(pubsub.ping()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('closing without a server ends', async () => {
    const own = await RedisServer.start();
    const pubsub = service({ redis: { url: own.url } });
    pubsub.on('error', () => undefined);
    await pubsub.subscribe({ channel: 'c', handler: () => undefined });
    await own.stop();
    await pubsub.close();
  });
});

describe('bad input', () => {
  test.each([
    ['unknown option', { chanelPrefix: 'x' }, 'chanelPrefix'],
    ['prefix of a wrong type', { channelPrefix: 5 }, 'channelPrefix'],
    ['negative retries', { maxRetries: -1 }, 'maxRetries'],
    ['too many retries', { maxRetries: 1000 }, 'maxRetries'],
    ['no room', { maxPendingMessages: 0 }, 'maxPendingMessages'],
    ['publisher of a wrong type', { publishedBy: 5 }, 'publishedBy'],
    ['a serializer that there is not', { serializer: 'xml' }, 'serializer'],
    ['unknown connection option', { redis: { hots: 'x' } }, 'hots'],
  ])('%s is refused with its path', (_name, options, option) => {
    expect(() => new PubSubService(options as never)).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: expect.objectContaining({ option }) }),
    );
  });

  test('arguments of a wrong kind reject and leave the service usable', async () => {
    const pubsub = service();
    const bad: [() => Promise<unknown>, string][] = [
      [() => pubsub.publish({ channel: '', message: 1 }), 'ERR_INVALID_ARGUMENT'],
      [() => pubsub.publish({ channel: 5 as never, message: 1 }), 'ERR_INVALID_ARGUMENT'],
      [() => pubsub.publish({ channel: 'c', message: undefined }), 'ERR_INVALID_ARGUMENT'],
      [() => pubsub.publish({ channel: 'c', message: 1n }), 'ERR_NOT_SERIALIZABLE'],
      [() => pubsub.publish({ channel: 'c', message: () => 1 }), 'ERR_NOT_SERIALIZABLE'],
      [() => pubsub.publish({ channel: 'c', message: 1, metadata: 'x' as never }), 'ERR_INVALID_ARGUMENT'],
      [
        () => pubsub.publish({ channel: 'c', message: 1, metadata: { timestamp: new Date(Number.NaN) } }),
        'ERR_INVALID_ARGUMENT',
      ],
      [() => pubsub.publish(undefined as never), 'ERR_INVALID_ARGUMENT'],
      [() => pubsub.subscribe({ channel: 'c', handler: 'x' as never }), 'ERR_INVALID_ARGUMENT'],
      [() => pubsub.subscribe({ channel: '', handler: () => undefined }), 'ERR_INVALID_ARGUMENT'],
      [() => pubsub.psubscribe({ pattern: null as never, handler: () => undefined }), 'ERR_INVALID_ARGUMENT'],
      [() => pubsub.countSubscribers(7 as never), 'ERR_INVALID_ARGUMENT'],
    ];
    for (const [call, code] of bad) await expect(call()).rejects.toMatchObject({ code });
    expect(await pubsub.publish({ channel: 'c', message: 1 })).toBe(0);
    expect(await pubsub.getSubscriptions()).toEqual([]);
  });
});
