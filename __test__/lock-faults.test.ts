import { execFileSync, fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { LockService, RedisService } from '../ts/index.js';
import type { HeldLock } from '../ts/types/lock-types.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { waitFor } from './helpers/wait-for.js';

/** What a lock protects: it refuses whoever has a lower number than somebody before. */
class Store {
  highest = 0;
  readonly writes: number[] = [];

  write(fencingToken: number): boolean {
    if (fencingToken < this.highest) return false;
    this.highest = fencingToken;
    this.writes.push(fencingToken);
    return true;
  }
}

const TTL = 3;
/** A third of the time, in milliseconds, and what a loaded machine takes on top. */
const ONE_PERIOD = (TTL * 1_000) / 3 + 3_000;

function service(url: string): LockService {
  const locks = new LockService({ redis: { url, retryStrategy: () => 20, keepAlive: 1_000 } });
  locks.on('error', () => undefined);
  return locks;
}

/** Holds a lock until it is lost; `holder` is there once it is held, and `told` when it is lost. */
function hold(locks: LockService, resource = 'r') {
  let entered!: (lock: HeldLock) => void;
  const holder = new Promise<HeldLock>((resolve) => {
    entered = resolve;
  });
  const told = locks
    .withLock(resource, { ttl: TTL, wait: 60 }, async (lock) => {
      entered(lock);
      await new Promise((resolve) => lock.signal.addEventListener('abort', resolve, { once: true }));
      return performance.now();
    })
    .then(
      () => 'ended',
      (error: { code: string }) => error.code,
    );
  return { holder, told };
}

describe.skipIf(inMemory)('a lock under faults', { timeout: 120_000 }, () => {
  test('a process frozen past its time does not pass the fencing check beside the next holder', async () => {
    const server = await RedisServer.start();
    const store = new Store();
    const child = fork(new URL('./fixtures/lock-holder.mjs', import.meta.url), [server.url, 'r', '1']);
    const heard: Record<string, unknown>[] = [];
    child.on('message', (message) => heard.push(message as Record<string, unknown>));
    const said = (what: string) => heard.find((message) => what in message)?.[what];
    try {
      const first = (await waitFor(() => said('holds') as number, { timeoutMs: 30_000 })) as number;
      expect(store.write(first)).toBe(true);
      child.kill('SIGSTOP');
      const locks = service(server.url);
      const second = await locks.withLock('r', { ttl: 30, wait: 60 }, async ({ fencingToken }) => {
        expect(store.write(fencingToken)).toBe(true);
        child.kill('SIGCONT');
        child.send('write');
        await waitFor(() => said('writes') !== undefined, { timeoutMs: 30_000 });
        expect(store.write(said('writes') as number)).toBe(false);
        return fencingToken;
      });
      expect(store.writes).toEqual([first, second]);
      await waitFor(() => said('failed') !== undefined, { timeoutMs: 30_000 });
      expect([said('told'), said('failed')]).toEqual(['ERR_LOCK_LOST', 'ERR_LOCK_LOST']);
      await locks.close();
    } finally {
      child.kill('SIGKILL');
      await server.stop();
    }
  });

  test('a server that restarts without its data: the holder is told within one period, the next has a higher number', async () => {
    const server = await RedisServer.start();
    const [locks, others] = [service(server.url), service(server.url)];
    const store = new Store();
    const { holder, told } = hold(locks);
    const { fencingToken } = await holder;
    expect(store.write(fencingToken)).toBe(true);
    await server.restart();
    const back = performance.now();
    const next = hold(others);
    const { fencingToken: higher } = await next.holder;
    expect(store.write(higher)).toBe(true);
    expect(higher).toBeGreaterThan(fencingToken);
    expect(store.write(fencingToken)).toBe(false);
    expect(await told).toBe('ERR_LOCK_LOST');
    expect(performance.now() - back).toBeLessThan(ONE_PERIOD);
    await Promise.all([locks.close(), others.close()]);
    await server.stop();
  });

  test('a server that restarts with its data: the holder goes on', async () => {
    const server = await RedisServer.start({ appendonly: true });
    const [locks, others] = [service(server.url), service(server.url)];
    let number = 0;
    // Longer than the restart of a server takes on a loaded machine.
    await locks.withLock('r', { ttl: 20 }, async ({ fencingToken, signal }) => {
      number = fencingToken;
      await server.restart();
      await waitFor(async () => (await others.acquireLock('r', 5, { maxRetries: 0 })) === null);
      expect(signal.aborted).toBe(false);
    });
    const after = await others.withLock('r', { wait: 20 }, ({ fencingToken }) => fencingToken);
    expect(after).toBeGreaterThan(number);
    await Promise.all([locks.close(), others.close()]);
    await server.stop();
  });

  test('one of three servers that restarts without its data lets nobody else in', async () => {
    const servers = await Promise.all([1, 2, 3].map(() => RedisServer.start()));
    const redis = servers.map(({ url }) => ({ url, retryStrategy: () => 20 }));
    const [locks, others] = [new LockService({ redis }), new LockService({ redis })];
    for (const one of [locks, others]) one.on('error', () => undefined);
    const seen: number[] = [];
    await locks.withLock('r', { ttl: 20 }, async ({ fencingToken, signal }) => {
      seen.push(fencingToken);
      await servers[0]!.restart();
      const client = new RedisService({ url: servers[0]!.url });
      expect(await client.exists('lock:r')).toBe(0);
      await client.close();
      await waitFor(async () => (await others.acquireLock('r', 5, { maxRetries: 2 }).catch(() => 'retry')) === null);
      expect(signal.aborted).toBe(false);
    });
    seen.push(await others.withLock('r', { wait: 20 }, ({ fencingToken }) => fencingToken));
    expect(seen[1]).toBeGreaterThan(seen[0]!);
    await Promise.all([locks.close(), others.close()]);
    await Promise.all(servers.map((server) => server.stop()));
  });
});

describe.skipIf(inMemory || process.platform !== 'linux')('a clock that steps', { timeout: 120_000 }, () => {
  test('forth ends a lock early, of which the holder is told; whichever way, numbers grow', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'oxcart-clock-'));
    const shim = join(directory, 'stepping-clock.so');
    const source = new URL('./fixtures/stepping-clock.c', import.meta.url).pathname;
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, source, '-ldl']);
    const file = join(directory, 'seconds');
    const step = (seconds: number) => writeFileSync(file, String(seconds));
    step(0);
    const server = await RedisServer.start({ env: { LD_PRELOAD: shim, OXCART_CLOCK_FILE: file } });
    const client = new RedisService({ url: server.url });
    const [locks, others] = [service(server.url), service(server.url)];
    const store = new Store();
    const time = async () => Number(((await client.call('TIME')) as string[])[0]);
    const began = await time();
    const first = hold(locks);
    const { fencingToken } = await first.holder;
    expect(store.write(fencingToken)).toBe(true);
    step(3_600);
    expect(await time()).toBeGreaterThan(began + 3_500);
    const stepped = performance.now();
    const second = hold(others);
    const { fencingToken: next } = await second.holder;
    expect(next).toBeGreaterThan(fencingToken);
    expect(store.write(next)).toBe(true);
    expect(await first.told).toBe('ERR_LOCK_LOST');
    expect(performance.now() - stepped).toBeLessThan(ONE_PERIOD);
    expect(store.write(fencingToken)).toBe(false);
    // Two hours back: whoever holds it keeps it, and the next one's number is higher than any before.
    step(-3_600);
    expect(await time()).toBeLessThan(began + 3_500);
    await sleep(ONE_PERIOD / 3);
    expect((await second.holder).signal.aborted).toBe(false);
    await others.close();
    expect(await second.told).toBe('ERR_LOCK_LOST');
    const last = await locks.withLock('r', { wait: 30 }, ({ fencingToken: number }) => number);
    expect(last).toBeGreaterThan(next);
    expect(store.write(last)).toBe(true);
    await Promise.all([locks.close(), client.close()]);
    await server.stop();
    rmSync(directory, { recursive: true });
  });
});
