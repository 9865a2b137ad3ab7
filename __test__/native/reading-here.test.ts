// One call at a time: this thread borrows the reading of the connection from the I/O thread, and gives it back when
// anything else happens.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { door, NativeRedis } from '../../ts/native.js';
import { commandCode } from '../../ts/redis/command-method.js';
import { FlakyProxy } from '../helpers/flaky-proxy.js';
import { RedisServer } from '../helpers/redis-server.js';
import { waitFor } from '../helpers/wait-for.js';

let server: RedisServer;
const open: Client[] = [];

beforeAll(async () => {
  server = await RedisServer.start({ unixSocket: true, appendonly: true });
});

afterEach(() => {
  for (const client of open.splice(0)) client.native.close();
});

afterAll(async () => {
  await server?.stop();
});

/** A service without its public half, which does not tell who reads. */
class Client {
  readonly native: NativeRedis;

  constructor(config: object = {}) {
    this.native = new NativeRedis(door.native, JSON.stringify({ url: server.url, ...config }));
    open.push(this);
  }

  get readsHere(): boolean {
    return this.native.readsHere;
  }

  get(key: string): Promise<string | null> {
    return door.call(this.native.id, commandCode('GET'), [key]);
  }

  set(key: string, value: string): Promise<'OK'> {
    return door.call(this.native.id, commandCode('SET'), [key, value]);
  }

  /** Awaits calls one after the other until this thread reads. */
  async calm(): Promise<void> {
    await this.set('calm', 'value');
    for (let call = 0; call < 100 && !this.readsHere; call++) expect(await this.get('calm')).toBe('value');
    expect(this.readsHere).toBe(true);
  }
}

/** Many calls at once. */
const burst = (client: Client, count = 100) => Promise.all(Array.from({ length: count }, () => client.get('calm')));

test.each(['TCP', 'a Unix socket'])('one call after the other over %s is read here', async (kind) => {
  const client = new Client(kind === 'TCP' ? {} : { url: `unix://${server.socketPath}` });
  await client.set('n', '0');
  expect(client.readsHere).toBe(false);
  await client.calm();
  for (let call = 0; call < 1_000; call++) {
    await client.set('n', String(call));
    expect(await client.get('n')).toBe(String(call));
  }
  expect(client.readsHere).toBe(true);
});

test('many calls at once are read by the I/O thread, back and forth', async () => {
  const client = new Client();
  for (let round = 0; round < 5; round++) {
    await client.calm();
    expect(await burst(client)).toEqual(new Array(100).fill('value'));
    expect(client.readsHere).toBe(false);
  }
});

test('a call while another is in flight takes the reading back, and both are answered', async () => {
  await using proxy = await FlakyProxy.start({ port: server.port });
  const client = new Client({ url: proxy.url });
  await client.calm();
  // The answer comes long after the next call.
  proxy.delay(30);
  const first = client.get('calm');
  // In a submission of its own.
  await new Promise(process.nextTick);
  const second = client.get('calm');
  expect(await Promise.all([first, second])).toEqual(['value', 'value']);
  expect(client.readsHere).toBe(false);
});

test('a large reply is left to the I/O thread', async () => {
  const client = new Client();
  const large = 'x'.repeat(4 << 20);
  await client.set('large', large);
  await client.calm();
  expect((await client.get('large')) === large).toBe(true);
  expect(client.readsHere).toBe(false);
});

test('two services of one thread share the reading', async () => {
  const [one, other] = [new Client(), new Client()];
  await one.calm();
  for (let call = 0; call < 200; call++) {
    expect(await one.get('calm')).toBe('value');
    expect(await other.get('calm')).toBe('value');
  }
  one.native.close();
  expect(await other.get('calm')).toBe('value');
  await other.calm();
});

test('a server that dies and comes back', { timeout: 30_000 }, async () => {
  const client = new Client();
  await client.calm();
  for (let round = 0; round < 3; round++) {
    const killed = server.kill();
    const during = client.get('calm').catch((error: unknown) => error);
    await killed;
    // Nobody submits: the end of the connection is noticed all the same.
    await waitFor(() => client.native.state === 'RECONNECTING', { what: 'the connection to be missed' });
    expect(client.readsHere).toBe(false);
    const waiting = client.get('calm');
    await server.restart();
    expect(await waiting).toBe('value');
    expect(await during).toBe('value');
    await client.calm();
  }
});

test('a server that goes silent', { timeout: 30_000 }, async () => {
  await using proxy = await FlakyProxy.start({ port: server.port });
  const client = new Client({ url: proxy.url, commandTimeout: 500 });
  await client.calm();
  proxy.silence();
  const began = performance.now();
  await expect(client.get('calm')).rejects.toMatchObject({ code: 'ERR_COMMAND_TIMED_OUT' });
  expect(performance.now() - began).toBeLessThan(2_500);
  proxy.heal();
  await waitFor(async () => (await client.get('calm')) === 'value', { what: 'an answer' });
  await client.calm();
});

test('a connection that is cut while nothing is in flight', { timeout: 30_000 }, async () => {
  await using proxy = await FlakyProxy.start({ port: server.port });
  const client = new Client({ url: proxy.url });
  for (let round = 0; round < 4; round++) {
    await client.calm();
    const connections = proxy.connections;
    proxy.cut();
    await waitFor(() => proxy.connections > connections && client.native.state === 'READY', { what: 'a connection' });
  }
});

test('an answer that came while this thread was busy is not late', async () => {
  const client = new Client({ commandTimeout: 300 });
  await client.calm();
  const answer = client.get('calm');
  await new Promise(process.nextTick);
  expect(client.readsHere).toBe(true);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 900);
  expect(await answer).toBe('value');
});

test('closing while reading closes the connection', async () => {
  const client = new Client({ connectionName: 'closing' });
  await client.calm();
  client.native.close();
  const other = new Client();
  const clients = () => door.call(other.native.id, commandCode('CLIENT'), ['LIST']) as Promise<string>;
  await waitFor(async () => !(await clients()).includes('name=closing'), { what: 'the connection to close' });
});

/** A script in a process of its own; one that does not end is killed. */
function run(stage: string, args: (string | number)[] = [], env: NodeJS.ProcessEnv = {}, timeoutMs = 20_000) {
  return new Promise<{ code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }>(
    (resolve, reject) => {
      const script = join(import.meta.dirname, 'scripts', 'reading-here.cjs');
      const child = spawn(process.execPath, [script, stage, String(server.port), ...args.map(String)], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...env },
      });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk) => {
        stdout += chunk;
      });
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
      child.once('error', reject);
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        resolve({ code, signal, stdout, stderr });
      });
    },
  );
}

const clean = { code: 0, signal: null, stderr: '' };

test.each(['end', 'exit', 'exit-in-flight'])('a process ends cleanly while it reads: %s', async (stage) => {
  expect(await run(stage)).toEqual({ ...clean, stdout: 'true' });
});

test('an exception in what an answer sets going is an uncaught exception, and the next answer comes', async () => {
  expect(await run('throw')).toEqual({ ...clean, stdout: 'thrown,rejected,value,true' });
});

test('OXCART_FAST_PATH=0 leaves all reading to the I/O thread', async () => {
  expect(await run('end', [], { OXCART_FAST_PATH: '0' })).toEqual({ ...clean, stdout: 'false' });
});

test('threads that share a connection take turns', { timeout: 60_000 }, async () => {
  const { stdout, ...end } = await run('threads', [4], {}, 50_000);
  expect(end).toEqual(clean);
  expect(JSON.parse(stdout)).toMatchObject({ wrong: 0, answered: 4 * 2_000, read: true });
});

test('a hundred threads are terminated while they read', { timeout: 120_000 }, async () => {
  const { stdout, ...end } = await run('churn', [100], {}, 110_000);
  expect(end).toEqual(clean);
  const outcome = JSON.parse(stdout) as { reading: number; connected: number; value: string };
  expect(outcome).toMatchObject({ value: 'value' });
  expect(outcome.reading, 'threads that read when they were terminated').toBeGreaterThan(60);
  expect(outcome.connected, 'connections of threads that are gone').toBeLessThanOrEqual(2);
});
