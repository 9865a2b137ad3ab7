import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

/** Runs a program of its own with no server configured but what `env` says. */
async function run(program: string, env: Record<string, string> = {}): Promise<{ stdout: string; stderr: string }> {
  const { REDIS_URL: _, NODE_ENV: __, ...inherited } = process.env;
  return promisify(execFile)(process.execPath, ['-e', program], {
    cwd: root,
    env: { ...inherited, ...env },
    timeout: 20_000,
  });
}

const JOBS = `
  const { Queue, Worker, CacheService, RedisService } = require('./index.js');
  (async () => {
    const queue = new Queue('mail', OPTIONS);
    const worker = new Worker('mail', async (job) => job.data.n + 1, OPTIONS);
    const done = new Promise((resolve) => worker.on('completed', (job, result) => resolve(result)));
    await queue.add('one', { n: 1 });
    console.log('result', await done);
    await worker.close();
    await queue.close();
    const again = new Queue('mail', OPTIONS);
    console.log('kept', await again.getCompletedCount());
    await again.close();
  })();
`;

describe('with nothing configured', () => {
  test('jobs run in this process, which says so in one line and ends by itself', async () => {
    const { stdout, stderr } = await run(JOBS.replaceAll('OPTIONS', '{}'));
    expect(stdout).toBe('result 2\nkept 1\n');
    expect(stderr.match(/OXCART_MEMORY\b/g)).toHaveLength(1);
    expect(stderr).toContain('no Redis is configured');
  });

  test('production is warned loudly', async () => {
    const { stdout, stderr } = await run(JOBS.replaceAll('OPTIONS', '{}'), { NODE_ENV: 'production' });
    expect(stdout).toContain('result 2');
    expect(stderr.match(/OXCART_MEMORY_IN_PRODUCTION/g)).toHaveLength(1);
    expect(stderr).toContain('LOST');
  });
});

test('asking for it says nothing, also in production', async () => {
  const options = `{ connection: { url: 'memory://jobs' } }`;
  const { stdout, stderr } = await run(JOBS.replaceAll('OPTIONS', options), { NODE_ENV: 'production' });
  expect(stdout).toBe('result 2\nkept 1\n');
  expect(stderr).toBe('');
});
