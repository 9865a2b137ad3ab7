import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FlakyProxy } from '../helpers/flaky-proxy.js';
import { RedisServer } from '../helpers/redis-server.js';
import { waitFor } from '../helpers/wait-for.js';

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

function ask(socket: Socket, command: string): Promise<string> {
  return new Promise((resolve) => {
    socket.once('data', (data) => resolve(data.toString()));
    socket.write(`${command}\r\n`);
  });
}

describe('redis-server', () => {
  it('keeps its data and its port over kill -9 when told to append', async () => {
    await using server = await RedisServer.start({ appendonly: true });
    const first = await open(server.port);
    expect(await ask(first, 'SET a 1')).toBe('+OK\r\n');
    const closed = new Promise((resolve) => first.once('close', resolve));
    await server.kill();
    await closed;
    await server.restart();
    const second = await open(server.port);
    expect(await ask(second, 'GET a')).toBe('$1\r\n1\r\n');
    second.destroy();
  });

  it('says why it did not start', async () => {
    await expect(RedisServer.start({ args: ['--no-such-setting', 'x'] })).rejects.toThrow(/did not start/);
  });
});

describe('flaky proxy', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  it('cuts', async () => {
    await using proxy = await FlakyProxy.start({ port: server.port });
    const socket = await open(proxy.port);
    expect(await ask(socket, 'PING')).toBe('+PONG\r\n');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    proxy.cut();
    await closed;
  });

  it('goes silent without closing, and heals', async () => {
    await using proxy = await FlakyProxy.start({ port: server.port });
    const socket = await open(proxy.port);
    await ask(socket, 'PING');
    proxy.silence();
    let answered = false;
    void ask(socket, 'PING').then(() => {
      answered = true;
    });
    // A second connection reaches the server and back while the first would have been answered.
    const direct = await open(server.port);
    for (let i = 0; i < 20; i++) await ask(direct, 'PING');
    direct.destroy();
    expect([answered, socket.closed]).toEqual([false, false]);
    proxy.heal();
    await waitFor(() => socket.closed);
    const again = await open(proxy.port);
    expect(await ask(again, 'PING')).toBe('+PONG\r\n');
    again.destroy();
  });

  it('delays, in order', async () => {
    await using proxy = await FlakyProxy.start({ port: server.port });
    const socket = await open(proxy.port);
    proxy.delay(40);
    const start = performance.now();
    expect(await ask(socket, 'PING')).toBe('+PONG\r\n');
    expect(performance.now() - start).toBeGreaterThan(75);
    socket.destroy();
  });
});
