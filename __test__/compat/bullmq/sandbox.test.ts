// The same processor file under BullMQ's worker and under ours.

import { fileURLToPath } from 'node:url';
import * as stock from 'bullmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as ours from '../../../ts/compat/bullmq/index.js';
import { inMemory, RedisServer } from '../../helpers/redis-server.js';
import { uniquePrefix } from '../../helpers/unique-prefix.js';
import { waitFor } from '../../helpers/wait-for.js';

const file = fileURLToPath(new URL('../../fixtures/sandbox/portable.cjs', import.meta.url));

describe.skipIf(inMemory)('a processor file', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  test.each([[false], [true]])('does the same in both, with worker threads: %s', async (useWorkerThreads) => {
    const results = [];
    for (const api of [stock, ours as unknown as typeof stock]) {
      const name = 'portable';
      const options = { connection: { host: server.host, port: server.port }, prefix: uniquePrefix('sandbox') };
      const queue = new api.Queue(name, options);
      const worker = new api.Worker(name, file, { ...options, useWorkerThreads });
      const heard: unknown[] = [];
      worker.on('progress', (job, progress) => heard.push(['progress', job.id, progress]));
      worker.on('completed', (job, result) => {
        heard.push(['completed', job.id, { ...result, queue: result.queue.replace(options.prefix, '') }]);
      });
      worker.on('failed', (job, error) => {
        heard.push(['failed', job?.id, error.message, (error as unknown as { detail: number }).detail]);
      });
      await queue.add('plain', { n: 1 });
      await queue.add('failing', { fails: true });
      await queue.add('late', { later: true }, { attempts: 2 });
      await waitFor(() => heard.filter(([what]: any) => what !== 'progress').length === 3, { timeoutMs: 20_000 });
      const stored = [];
      for (const id of ['1', '2', '3']) {
        const job = await queue.getJob(id);
        const { logs } = await queue.getJobLogs(id);
        stored.push([job?.data, job?.progress, job?.attemptsMade, job?.attemptsStarted, job?.failedReason, logs]);
        if (id === '2') expect(job?.stacktrace?.[0]).toContain('portable.cjs');
      }
      results.push({ heard, stored });
      await worker.close();
      await queue.close();
    }
    expect(results[1]).toEqual(results[0]);
  });
});
