// When a process that used the services may end, and when it must not.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';

const SCRIPT = fileURLToPath(new URL('./fixtures/leave-open.mjs', import.meta.url));

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.stop());

/** Runs the script; `stillRuns` when it has printed its line and has not ended a while after. */
function run(what: string): Promise<{ code: number | null; output: string; stillRuns: boolean }> {
  const child = spawn(process.execPath, ['--expose-gc', SCRIPT, what, server.url, uniquePrefix(what)]);
  return new Promise((resolve) => {
    let output = '';
    let stillRuns = false;
    let timer: NodeJS.Timeout | undefined;
    const take = (chunk: Buffer) => {
      output += chunk.toString();
      timer ??= setTimeout(() => {
        stillRuns = true;
        child.kill('SIGKILL');
      }, 3_000);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('exit', (code) => {
      clearTimeout(timer);
      resolve({ code, output: output.trim(), stillRuns });
    });
  });
}

describe('a process that closed nothing', () => {
  test.each([
    ['queue', 'waiting'],
    ['publisher', '0'],
    ['unsubscribed', 'unsubscribed'],
    ['service', 'done'],
    ['closed-worker', 'closed'],
    ['dropped', '1'],
  ])('ends by itself after its calls: %s', async (what, output) => {
    expect(await run(what)).toEqual({ code: 0, output, stillRuns: false });
  });

  test.each([
    ['worker', 'running'],
    ['subscriber', 'listening'],
  ])('goes on with an open %s', async (what, output) => {
    expect(await run(what)).toMatchObject({ output, stillRuns: true });
  });
});
