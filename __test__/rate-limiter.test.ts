import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';
import fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ConcurrencyLimiter,
  expressRateLimit,
  fastifyRateLimit,
  RateLimiter,
  type RateLimiterOptions,
  RedisService,
} from '../ts/index.js';
import { createTestInfra } from '../ts/testing/index.js';
import { freePort, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());

const code = (value: string) => expect.objectContaining({ code: value });
const limiter = (options: RateLimiterOptions) => new RateLimiter({ redis: { url: server.url }, ...options });
const slots = (limit: number, lease = 30) => new ConcurrencyLimiter({ redis: { url: server.url }, limit, lease });

describe('RateLimiter', () => {
  for (const algorithm of ['fixed-window', 'sliding-window', 'token-bucket'] as const) {
    it(`lets in as many as the limit says, and refuses further ones without counting them (${algorithm})`, async () => {
      await using one = limiter({ algorithm, limit: 3, window: 3_600 });
      await using other = limiter({ algorithm, limit: 3, window: 3_600 });
      const key = uniquePrefix('user');
      expect(await one.peek(key)).toMatchObject({ allowed: true, limit: 3, remaining: 3, retryAfter: 0 });
      expect(await one.consume(key)).toMatchObject({ allowed: true, remaining: 2, retryAfter: 0 });
      expect(await other.consume(key, 2)).toMatchObject({ allowed: true, remaining: 0 });
      const refused = await one.consume(key);
      expect(refused).toMatchObject({ allowed: false, limit: 3, remaining: 0 });
      expect(refused.retryAfter).toBeGreaterThan(0);
      expect(refused.resetAt).toBeGreaterThan(Date.now());
      expect((await one.consume(key)).retryAfter).toBeLessThanOrEqual(refused.retryAfter);
      expect(await one.consume(uniquePrefix('user'), 3)).toMatchObject({ allowed: true, remaining: 0 });
      expect(await one.reset(key)).toBe(true);
      expect(await other.consume(key)).toMatchObject({ allowed: true, remaining: 2 });
    });
  }

  it('counts under the keys of the documents, which end with their window', async () => {
    await using sut = limiter({ algorithm: 'fixed-window', limit: 5, window: 60, prefix: 'ratelimit:' });
    await using redis = new RedisService({ url: server.url, db: 2 });
    const user = uniquePrefix('u');
    await sut.consume(`${user}:/orders`);
    expect(await redis.get(`ratelimit:${user}:/orders`)).toBe('1');
    const ttl = await redis.ttl(`ratelimit:${user}:/orders`);
    expect(ttl).toBeGreaterThan(50);
    expect(ttl).toBeLessThanOrEqual(60);
  });

  it('goes by the time of a test', async () => {
    await using infra = createTestInfra();
    await using sut = new RateLimiter({ redis: infra.connection, limit: 2, window: 60, algorithm: 'token-bucket' });
    await sut.consume('k', 2);
    const { allowed, retryAfter } = await sut.consume('k');
    expect([allowed, retryAfter]).toEqual([false, 30_000]);
    await infra.advanceTime(29_999);
    expect((await sut.consume('k')).allowed).toBe(false);
    await infra.advanceTime(1);
    expect((await sut.consume('k')).allowed).toBe(true);
  });

  it('refuses what is wrong', async () => {
    await using sut = limiter({ limit: 3, window: 1 });
    await expect(sut.consume('')).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    await expect(sut.consume(5 as never)).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    for (const cost of [0, -1, 1.5, 4, Number.NaN, '1' as never]) {
      await expect(sut.consume('k', cost), String(cost)).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    }
    const options: unknown[] = [
      undefined,
      {},
      { limit: 0, window: 1 },
      { limit: 1 },
      { limit: 1, window: 1, burst: 2 },
      { limit: 1, window: 1, algorithm: 'leaky' },
      { limit: 1, window: 1, onError: 'maybe' },
      { limit: 1, window: 1, points: 5 },
    ];
    for (const wrong of options) {
      expect(() => new RateLimiter(wrong as never), JSON.stringify(wrong)).toThrow(code('ERR_INVALID_OPTION'));
    }
    await sut.close();
    await expect(sut.consume('k')).rejects.toEqual(code('ERR_CLOSED'));
  });

  it('does as it is told while the server cannot be asked', async () => {
    const redis = { url: `redis://127.0.0.1:${await freePort()}` };
    const away = { redis, limit: 3, window: 60, timeout: 50 };
    const decisions = [];
    for (const onError of ['allow', 'refuse'] as const) {
      await using sut = new RateLimiter({ ...away, onError });
      const errors: Error[] = [];
      sut.on('error', (error) => errors.push(error));
      decisions.push(await sut.consume('k'));
      expect(errors).not.toEqual([]);
    }
    expect(decisions).toEqual([
      expect.objectContaining({ allowed: true, remaining: 3, retryAfter: 0, error: expect.any(Error) }),
      expect.objectContaining({ allowed: false, remaining: 0, retryAfter: 1_000, error: expect.any(Error) }),
    ]);
    await using sut = new RateLimiter(away);
    sut.on('error', () => undefined);
    await expect(sut.consume('k')).rejects.toThrow();
  });
});

describe('ConcurrencyLimiter', () => {
  it('gives out slots, and takes them back', async () => {
    await using sut = slots(2);
    const key = uniquePrefix('tenant');
    const one = await sut.acquire(key);
    expect(one).toMatchObject({ allowed: true, limit: 2, remaining: 1, id: expect.stringMatching(/^[0-9a-f]{32}$/) });
    await sut.acquire(key);
    expect(await sut.acquire(key)).toMatchObject({ allowed: false, remaining: 0, id: null });
    expect((await sut.peek(key)).remaining).toBe(0);
    expect(await sut.extend(key, one.id!)).toBe(true);
    expect(await sut.release(key, one.id!)).toBe(true);
    expect(await sut.release(key, one.id!)).toBe(false);
    expect(await sut.extend(key, one.id!)).toBe(false);
    expect((await sut.peek(key)).remaining).toBe(1);
    expect(await sut.reset(key)).toBe(true);
    expect((await sut.peek(key)).remaining).toBe(2);
  });

  it('runs as much at a time as the limit says', async () => {
    await using sut = slots(3);
    const key = uniquePrefix('tenant');
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await sleep(5);
      inside--;
    };
    await Promise.all(Array.from({ length: 20 }, () => sut.run(key, { wait: 60 }, work)));
    expect(most).toBeLessThanOrEqual(3);
    expect((await sut.peek(key)).remaining).toBe(3);
  });

  it('says so when no slot came, and passes on what the work throws', async () => {
    await using sut = slots(1);
    const key = uniquePrefix('tenant');
    const held = await sut.acquire(key);
    const refused = sut.run(key, () => 1);
    await expect(refused).rejects.toEqual(code('ERR_LIMIT_REACHED'));
    await expect(refused).rejects.toMatchObject({ retryable: true, details: { key, limit: 1 } });
    await sut.release(key, held.id!);
    await expect(sut.run(key, () => Promise.reject(new Error('mine')))).rejects.toThrow('mine');
    expect((await sut.peek(key)).remaining).toBe(1);
    await expect(sut.run(key, { waits: 1 } as never, () => 1)).rejects.toEqual(code('ERR_INVALID_OPTION'));
    await expect(sut.run(key, { wait: -1 }, () => 1)).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    await expect(sut.run(key, {}, 5 as never)).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
  });

  it('keeps a slot while the event loop is busy, and tells when it is lost all the same', async () => {
    await using sut = slots(1, 3);
    await using redis = new RedisService({ url: server.url, db: 2 });
    const key = uniquePrefix('tenant');
    const lost: string[] = [];
    sut.on('lost', (slot) => lost.push(slot.key));
    const work = sut.run(key, async ({ signal }) => {
      const end = Date.now() + 4_500;
      while (Date.now() < end);
      expect((await sut.acquire(key)).allowed).toBe(false);
      await redis.del(`concurrency:${key}`);
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      return 'done';
    });
    await expect(work).rejects.toEqual(code('ERR_LOCK_LOST'));
    expect(lost).toEqual([key]);
  });

  it('gives its slots back when it is closed', async () => {
    const sut = slots(1);
    const key = uniquePrefix('tenant');
    const work = sut.run(key, ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)));
    const ended = expect(work).rejects.toEqual(code('ERR_LOCK_LOST'));
    await expect.poll(() => sut.peek(key)).toMatchObject({ remaining: 0 });
    await sut.close();
    await ended;
    await using other = slots(1);
    expect((await other.peek(key)).remaining).toBe(1);
  });
});

/** Status, what is left and when to come again, of one request after the other. */
async function asked(url: string, times: number, headers: Record<string, string> = {}): Promise<string[]> {
  const answers: string[] = [];
  for (let at = 0; at < times; at++) {
    const response = await fetch(url, { headers });
    const after = response.headers.get('retry-after');
    answers.push(
      `${response.status} ${response.headers.get('ratelimit-remaining')} ${after === null ? '' : Number(after) > 0}`,
    );
    if (response.status === 429) expect(await response.json()).toMatchObject({ statusCode: 429 });
  }
  return answers;
}

describe('middleware', () => {
  const expected = ['200 1 ', '200 0 ', '429 0 true'];

  it('limits requests in Express', async () => {
    await using sut = limiter({ limit: 2, window: 3_600, prefix: uniquePrefix('express') });
    const app = express();
    app.use(expressRateLimit(sut, { skip: (request) => request.path === '/health' }));
    app.get('*', (_, response) => {
      response.send('ok');
    });
    const http = createServer(app).listen(0, '127.0.0.1');
    try {
      await expect.poll(() => http.listening).toBe(true);
      const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
      expect(await asked(url, 3)).toEqual(expected);
      expect(await asked(`${url}/health`, 1)).toEqual(['200 null ']);
    } finally {
      http.close();
    }
  });

  it('limits requests in Fastify', async () => {
    await using sut = limiter({ limit: 2, window: 3_600, prefix: uniquePrefix('fastify') });
    const app = fastify();
    const key = (request: { headers: Record<string, unknown> }) => `key:${request.headers['x-api-key']}`;
    app.addHook('onRequest', fastifyRateLimit(sut, { key }));
    app.get('/', async () => 'ok');
    try {
      const url = await app.listen({ port: 0, host: '127.0.0.1' });
      expect(await asked(url, 3, { 'x-api-key': 'a' })).toEqual(expected);
      expect(await asked(url, 1, { 'x-api-key': 'b' })).toEqual(['200 1 ']);
    } finally {
      await app.close();
    }
  });

  it('passes errors on', async () => {
    const sut = limiter({ limit: 2, window: 3_600 });
    await sut.close();
    const handler = expressRateLimit(sut);
    const response = { statusCode: 0, setHeader: () => undefined, end: () => undefined };
    const error = await new Promise((next) => handler({ ip: '127.0.0.1' }, response, next));
    expect(error).toEqual(code('ERR_CLOSED'));
    expect(await new Promise((next) => handler({}, response, next))).toEqual(code('ERR_INVALID_ARGUMENT'));
    await expect(fastifyRateLimit(sut)({ ip: '::1' }, {} as never)).rejects.toEqual(code('ERR_CLOSED'));
    expect(() => expressRateLimit(sut, { max: 5 } as never)).toThrow(code('ERR_INVALID_OPTION'));
    expect(() => expressRateLimit(sut, { key: 'ip' } as never)).toThrow(code('ERR_INVALID_OPTION'));
  });
});
