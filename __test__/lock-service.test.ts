import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { LockError, LockService, LockStatus, RedisService } from '../ts/index.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

let server: RedisServer;
let redis: RedisService;
let locks: LockService;
beforeAll(async () => {
  server = await RedisServer.start();
  redis = new RedisService({ url: server.url });
  locks = new LockService({ redis: { url: server.url } });
});
afterAll(async () => {
  await locks.close();
  await redis.close();
  await server.stop();
});

const code = (value: string) => expect.objectContaining({ code: value });

describe('acquireLock', () => {
  it('gives one holder at a time a token, and takes it back', async () => {
    const resource = uniquePrefix('order');
    const id = await locks.acquireLock(resource, 30);
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect(await redis.get(`lock:${resource}`)).toBe(id);
    expect(await locks.acquireLock(resource, 30, { maxRetries: 0 })).toBeNull();
    expect(await locks.extendLock(resource, id!, 60)).toBe(LockStatus.ACQUIRED);
    expect(await redis.ttl(`lock:${resource}`)).toBeGreaterThan(50);
    expect(await locks.releaseLock(resource, 'another')).toBe(LockStatus.EXPIRED);
    expect(await locks.releaseLock(resource, id!)).toBe(LockStatus.RELEASED);
    expect(await locks.releaseLock(resource, id!)).toBe(LockStatus.EXPIRED);
    expect(await locks.extendLock(resource, id!, 60)).toBe(LockStatus.EXPIRED);
    expect(await locks.acquireLock(resource, 30, { identifier: 'me', retryDelayMs: 10 })).toBe('me');
  });

  it('waits for the holder as long as it is told', async () => {
    const resource = uniquePrefix('wait');
    const id = await locks.acquireLock(resource, 30);
    const next = locks.acquireLock(resource, 30, { wait: 20 });
    await sleep(50);
    await locks.releaseLock(resource, id!);
    expect(await next).not.toBeNull();
  });

  it('is there on the service of commands, as in the documents', async () => {
    const resource = uniquePrefix('documents');
    const lockId = await redis.acquireLock(resource, 30);
    expect(await locks.acquireLock(resource, 30, { maxRetries: 0 })).toBeNull();
    expect(await redis.extendLock(resource, lockId!, 30)).toBe('ACQUIRED');
    expect(await redis.releaseLock(resource, lockId!)).toBe('RELEASED');
    expect(await redis.withLock(resource, { ttl: 5 }, async ({ id }) => id.length)).toBe(32);
  });

  it('refuses what is out of bounds', async () => {
    await expect(locks.acquireLock('', 30)).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    await expect(locks.acquireLock('r', 0)).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    await expect(locks.acquireLock('r', 301)).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    await expect(locks.acquireLock('r', '30' as never)).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    await expect(locks.acquireLock('r', 30, { maxRetries: 11 })).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    await expect(locks.acquireLock('r', 30, { retries: 1 } as never)).rejects.toEqual(code('ERR_INVALID_OPTION'));
    await expect(locks.withLock('r', {}, 5 as never)).rejects.toEqual(code('ERR_INVALID_ARGUMENT'));
    expect(() => new LockService({ retryDelayMs: 5 })).toThrow(code('ERR_INVALID_OPTION'));
    expect(() => new LockService({ redis: [{ url: server.url }, { url: server.url }] })).toThrow(
      code('ERR_INVALID_OPTION'),
    );
  });
});

describe('withLock', () => {
  it('runs one at a time, each with a higher number', async () => {
    const resource = uniquePrefix('counter');
    let inside = 0;
    const numbers: number[] = [];
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        locks.withLock(resource, { wait: 60, retryDelayMs: 10 }, async ({ fencingToken, signal }) => {
          expect(++inside).toBe(1);
          expect(signal.aborted).toBe(false);
          numbers.push(fencingToken);
          await sleep(1);
          inside--;
          return n;
        }),
      ),
    );
    expectTypeOf(results).toEqualTypeOf<number[]>();
    expect(results).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(new Set(numbers).size).toBe(20);
  });

  it('keeps the lock while the event loop is busy, and gives it back whatever the work does', async () => {
    const resource = uniquePrefix('busy');
    await locks.withLock(resource, { ttl: 1 }, async ({ id, signal }) => {
      const end = Date.now() + 2_500;
      while (Date.now() < end);
      expect(await redis.get(`lock:${resource}`)).toBe(id);
      expect(signal.aborted).toBe(false);
    });
    expect(await redis.exists(`lock:${resource}`)).toBe(0);
    await expect(
      locks.withLock(resource, () => {
        throw new RangeError('of the work');
      }),
    ).rejects.toThrow(RangeError);
    expect(await redis.exists(`lock:${resource}`)).toBe(0);
  });

  it('says who could not get in', async () => {
    const resource = uniquePrefix('refused');
    const id = await locks.acquireLock(resource, 30);
    const refused = locks.withLock(resource, { maxRetries: 1, retryDelayMs: 10 }, () => 'never');
    await expect(refused).rejects.toBeInstanceOf(LockError);
    await expect(refused).rejects.toMatchObject({ code: 'ERR_LOCK_NOT_ACQUIRED', details: { resource } });
    await locks.releaseLock(resource, id!);
  });

  it('tells its work when the lock is lost', async () => {
    const resource = uniquePrefix('lost');
    const heard: unknown[] = [];
    const listener = (lock: { resource: string }, error: unknown) => heard.push([lock.resource, error]);
    locks.on('lost', listener);
    let reason: unknown;
    const work = locks.withLock(resource, { ttl: 1 }, async ({ signal }) => {
      await redis.del(`lock:${resource}`);
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      reason = signal.reason;
    });
    await expect(work).rejects.toEqual(code('ERR_LOCK_LOST'));
    expect(reason).toEqual(code('ERR_LOCK_LOST'));
    expect(heard).toEqual([[resource, code('ERR_LOCK_LOST')]]);
    locks.off('lost', listener);
  });

  it('ends with the service', async () => {
    const service = new LockService({ redis: { url: server.url } });
    const resource = uniquePrefix('closed');
    let entered = () => {};
    const inside = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const work = service.withLock(resource, async ({ signal }) => {
      entered();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    });
    const ended = expect(work).rejects.toEqual(code('ERR_LOCK_LOST'));
    await inside;
    await service.close();
    await ended;
    expect(await redis.exists(`lock:${resource}`)).toBe(0);
    await expect(service.acquireLock(resource, 30)).rejects.toEqual(code('ERR_CLOSED'));
  });

  it.skipIf(inMemory)('outlives the loss of one of three servers', async () => {
    const servers = await Promise.all([1, 2, 3].map(() => RedisServer.start()));
    const service = new LockService({ redis: servers.map(({ url }) => ({ url, commandTimeout: 1_000 })) });
    service.on('error', () => undefined);
    await servers[2]!.kill();
    expect(await service.withLock('r', { ttl: 30, wait: 20 }, () => 'done')).toBe('done');
    await servers[1]!.kill();
    await expect(service.acquireLock('r', 30)).rejects.toMatchObject({ retryable: true });
    await service.close();
    await Promise.all(servers.map((one) => one.stop()));
  });
});
