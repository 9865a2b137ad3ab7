// One `file:` in several processes: shared, taken over when its holder is killed, and there again in the next run.

import { type ChildProcess, fork, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker as Thread } from 'node:worker_threads';
import { afterAll, expect, test } from 'vitest';
import { PubSubService, Queue, QueueEvents, RedisService } from '../index.js';
import { waitFor } from './helpers/wait-for.js';

const JOBS = 2_000;

const parent = mkdtempSync(join(tmpdir(), 'oxcart-file-'));
const children: ChildProcess[] = [];
let files = 0;

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(parent, { recursive: true, force: true });
});

function newUrl(): string {
  return `file:${join(parent, `data${++files}`)}`;
}

const errors: string[] = [];

async function startWorker(url: string, queue: string, who: string): Promise<ChildProcess> {
  const child = fork(new URL('./fixtures/queue-worker.mjs', import.meta.url), [url, queue, who]);
  children.push(child);
  child.on('message', (message: { error?: string }) => message.error && errors.push(`${who} ${message.error}`));
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`worker ${who} ended with ${code}`)));
  });
  return child;
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', resolve));
}

/** Runs a script with this package's exports as `oxcart`, and the URL as `url`. */
async function run(url: string, script: string): Promise<{ code: number | null; output: string }> {
  const entry = new URL('../index.js', import.meta.url).href;
  const source = `import oxcart from ${JSON.stringify(entry)}; const url = ${JSON.stringify(url)}; ${script}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source]);
  children.push(child);
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  return { code: await ended(child), output: output.trim() };
}

test.skipIf(process.platform === 'win32')(
  'two processes share one queue; the holder is killed, the other takes over and loses nothing',
  {
    timeout: 120_000,
  },
  async () => {
    const url = newUrl();
    // Started first, so that it is the one that has the file.
    const victim = await startWorker(url, 'shared', 'victim');
    const second = await startWorker(url, 'shared', 'second');
    const queue = new Queue('shared', { connection: { url } });
    const events = new QueueEvents('shared', { connection: { url } });
    const pubsub = new PubSubService({ redis: { url } });
    const messages: unknown[] = [];
    await pubsub.subscribe({ channel: 'news', handler: (message) => void messages.push(message) });
    await events.waitUntilReady();
    const jobs = await queue.addBulk(
      Array.from({ length: JOBS }, (_, data) => ({ name: 'work', data, opts: { attempts: 5 } })),
    );

    await waitFor(async () => (await queue.getCompletedCount()) >= JOBS / 4, { timeoutMs: 60_000 });
    victim.kill('SIGKILL');
    await ended(victim);
    const began = performance.now();
    await waitFor(async () => (await queue.getCompletedCount()) >= JOBS / 4, { timeoutMs: 30_000 });
    const takeover = performance.now() - began;
    // Two seconds are promised; a busy machine gets more.
    expect(takeover).toBeLessThan(10_000);

    const added = await queue.add('after', 0);
    await waitFor(async () => (await queue.getCompletedCount()) === JOBS + 1, { timeoutMs: 60_000 });
    expect(await queue.getJobCounts()).toMatchObject({ waiting: 0, active: 0, delayed: 0, failed: 0 });
    const redis = new RedisService({ url });
    let twice = 0;
    for (const { id } of [...jobs, added]) {
      const who = (await redis.call('LRANGE', `runs:${id}`, 0, -1)) as string[];
      expect(who.length, `job ${id}`).toBeGreaterThan(0);
      if (who.length > 1) twice++;
    }
    // What the victim ran, and what the other had on its way to it: each works on twenty jobs at a time.
    expect(twice).toBeLessThanOrEqual(40);
    await waitFor(async () => {
      await pubsub.publish({ channel: 'news', message: 'again' });
      return messages.length > 0;
    });
    const closed = ended(second);
    second.send('close');
    expect(await closed).toBe(0);
    await Promise.all([redis.close(), events.close(), queue.close(), pubsub.close()]);
    expect(errors.filter((error) => !/ERR_CONNECTION_LOST/.test(error))).toEqual([]);
  },
);

test('a script ends by itself, and the next one finds what it was told is there', { timeout: 60_000 }, async () => {
  for (const fsync of ['everysec', 'always', 'no']) {
    const url = `${newUrl()}?fsync=${fsync}`;
    const add = `const queue = new oxcart.Queue('q', { connection: { url } });
      for (let i = 0; i < 50; i++) await queue.add('a', { i });
      console.log(await queue.count());`;
    expect(await run(url, add)).toEqual({ code: 0, output: '50' });
    expect(await run(url, `${add} await queue.close();`)).toEqual({ code: 0, output: '100' });
    // An exit in the middle, right behind the answer.
    expect(await run(url, `${add} process.exit(7);`)).toEqual({ code: 7, output: '150' });
    expect(await run(url, add)).toEqual({ code: 0, output: '200' });
  }
});

test('worker threads share the engine of their process, and start and end without a trace', {
  timeout: 60_000,
}, async () => {
  const url = newUrl();
  const redis = new RedisService({ url });
  const entry = new URL('../index.js', import.meta.url).href;
  const source = `const { RedisService } = require(${JSON.stringify(fileURLToPath(entry))});
    const redis = new RedisService({ url: ${JSON.stringify(url)} });
    redis.call('INCR', 'n').then(() => redis.call('BLPOP', 'never', 0)).catch(() => undefined);
    redis.call('INCR', 'n').then(() => require('node:worker_threads').parentPort.postMessage('done'));`;
  for (let round = 1; round <= 20; round++) {
    const thread = new Thread(source, { eval: true });
    await new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
    await thread.terminate();
    expect(Number(await redis.call('GET', 'n'))).toBe(round * 2);
  }
  const clients = String(await redis.call('CLIENT', 'LIST'))
    .trim()
    .split('\n');
  expect(clients.length).toBeLessThan(5);
  await redis.close();
});

test.skipIf(process.platform === 'win32')(
  'two copies of the package in one process share a file',
  { timeout: 60_000 },
  async () => {
    const url = newUrl();
    const copy = join(parent, 'copy');
    mkdirSync(copy);
    const root = fileURLToPath(new URL('..', import.meta.url));
    for (const name of readdirSync(root)) {
      if (/^(dist|index\.js|native\.js|package\.json|.*\.node)$/.test(name)) {
        cpSync(join(root, name), join(copy, name), { recursive: true });
      }
    }
    const script = `
    const other = (await import(${JSON.stringify(join(copy, 'index.js'))})).default;
    if (other.RedisService === oxcart.RedisService) throw new Error('one copy');
    const one = new oxcart.RedisService({ url });
    const two = new other.RedisService({ url });
    for (let i = 0; i < 10; i++) await Promise.all([one.call('INCR', 'n'), two.call('INCR', 'n')]);
    await one.close();
    await two.call('INCR', 'n');
    console.log(await two.call('GET', 'n'));
    await two.close();`;
    const { code, output } = await run(url, script);
    expect(output).toMatch(/21$/);
    expect(code).toBe(0);
  },
);

test('what cannot be used is said, by name', async () => {
  for (const [config, option] of [
    [{ url: 'file:' }, 'url'],
    [{ url: 'file:data?fsync=often' }, 'url?fsync'],
    [{ url: 'file:data', file: { rewriteMinSize: 0 } }, 'file.rewriteMinSize'],
    [{ url: 'file:data', host: 'h' }, 'host'],
    [{ url: 'memory://', file: {} }, 'file'],
  ] as const) {
    expect(() => new RedisService(config)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: expect.objectContaining({ option }) }) as Error,
    );
  }
  const file = join(parent, 'file');
  writeFileSync(file, '');
  const redis = new RedisService({ url: `file:${file}/data` });
  redis.on('error', () => undefined);
  await expect(redis.call('GET', 'a')).rejects.toMatchObject({ code: 'ERR_STORAGE_FAILED' });
  await redis.close();
});
