// Whole processes: how they end, and that nothing of the native core survives or crashes them.
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RedisServer } from '../helpers/redis-server.js';

const root = join(import.meta.dirname, '..', '..');
let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(async () => {
  await server?.stop();
});

/** Runs a script to its end; a process that does not end within `timeoutMs` is killed, and so has a signal. */
function run(script: string, args: (string | number)[], timeoutMs = 20_000, env: NodeJS.ProcessEnv = {}) {
  return new Promise<{ code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }>(
    (resolve, reject) => {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'scripts', script), ...args.map(String)], {
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

test('a script that closes nothing ends by itself, after its replies', async () => {
  expect(await run('natural-exit.cjs', [server.port])).toEqual({ ...clean, stdout: 'seen' });
});

test.each(['before-connecting', 'before-submitting', 'in-flight', 'while-answering', 'inside-a-listener'])(
  'process.exit %s ends the process cleanly',
  async (stage) => {
    expect(await run('exit-in-flight.cjs', [server.port, stage])).toEqual({ ...clean, stdout: '' });
  },
);

test('a hundred worker threads are terminated with calls in flight', { timeout: 120_000 }, async () => {
  const { stdout, ...end } = await run('worker-churn.cjs', [server.port, 100], 110_000);
  expect(end).toEqual(clean);
  const outcome = JSON.parse(stdout) as { answered: number; connected: number; value: string };
  expect(outcome).toMatchObject({ answered: 100, value: 'still works' });
  expect(outcome.connected, 'connections of threads that are gone').toBeLessThanOrEqual(2);
});

test('two copies of the package work side by side, in threads too', async () => {
  const copy = await mkdtemp(join(tmpdir(), 'oxcart-copy-'));
  try {
    const addon = (await readdir(root)).filter((file) => file.endsWith('.node'));
    expect(addon, 'the native core is built').not.toHaveLength(0);
    for (const file of [...addon, 'native.js', 'index.js', 'package.json', 'dist']) {
      await cp(join(root, file), join(copy, file), { recursive: true });
    }
    const { stdout, ...end } = await run('two-copies.cjs', [server.port, root, copy]);
    expect(end).toEqual(clean);
    expect(JSON.parse(stdout)).toEqual({ a: '124750', b: '124750', code: 0 });
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
});

test('the package can be loaded many times in one thread', async () => {
  expect(await run('loaded-again.cjs', [server.port])).toEqual({ ...clean, stdout: '2000' });
});

test('OXCART_LONG_STACKS shows who called, also without await', async () => {
  const { stdout, ...end } = await run('long-stacks.cjs', [server.port], undefined, { OXCART_LONG_STACKS: '1' });
  expect(end).toEqual(clean);
  expect(stdout).toMatch(/^ReplyError: ERR wrong number of arguments/);
  expect(stdout).toContain('whoCalled');
});
