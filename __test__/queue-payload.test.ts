import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Job } from '../ts/job.js';
import { QueueService } from '../ts/queue-service.js';
import { collect, JobBench } from './helpers/job-bench.js';
import { openProbe, type Probe } from './helpers/probe.js';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;
let redis: Probe;
const key = randomBytes(32);
const payload = {
  compression: { threshold: 500 },
  encryption: { key: 'a', keys: { a: key, b: randomBytes(32).toString('base64') } },
};

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
  redis = openProbe(server);
});

afterEach(() => bench.close());

afterAll(async () => {
  await redis.close();
  await server.stop();
});

test('data and results are read only with the key, by everybody who has it', async () => {
  const queue = bench.queue<{ iban: string }, { pdf: string }>(uniquePrefix('queue'), { payload });
  const events = await bench.events(queue.name);
  const job = await queue.add('make', { iban: 'DE02' });
  const stored = JSON.parse(await redis.call('HGET', `bull:${queue.name}:${job.id}`, 'data'));
  expect(stored).toMatchObject({ $oxcart: 1, key: 'a' });
  expect((await queue.getJob(job.id))?.data).toEqual({ iban: 'DE02' });
  expect((await bench.queue(queue.name).getJob(job.id))?.data).toEqual(stored);
  bench.worker<{ iban: string }>(queue.name, async (running) => ({ pdf: `for ${running.data.iban}` }), { payload });
  expect(await job.waitUntilFinished(events, 10_000)).toEqual({ pdf: 'for DE02' });
  expect((await queue.getJob(job.id))?.returnvalue).toEqual({ pdf: 'for DE02' });
  const returned = JSON.parse(await redis.call('HGET', `bull:${queue.name}:${job.id}`, 'returnvalue'));
  expect(returned).toMatchObject({ $oxcart: 1, key: 'a' });
});

test('a result that nobody can read any more is told as such', async () => {
  const queue = bench.queue(uniquePrefix('queue'), { payload });
  const events = await bench.events(queue.name);
  const job = await queue.add('n', {}, { removeOnComplete: true });
  const finished = job.waitUntilFinished(events, 10_000);
  finished.catch(() => undefined);
  await queue.ping();
  bench.worker(queue.name, async () => 'secret', { payload });
  await expect(finished).rejects.toMatchObject({ code: 'ERR_PAYLOAD_UNREADABLE' });
});

test('a worker without the key fails the job, which stays', async () => {
  const queue = bench.queue(uniquePrefix('queue'), { payload });
  const worker = bench.worker(queue.name, async () => 1, { removeOnFail: { count: 0 } });
  const errors: unknown[] = [];
  worker.on('error', (error) => errors.push(error));
  const failed = collect<[Job, Error]>(worker, 'failed', 1);
  const job = await queue.add('n', { a: 1 }, { attempts: 5, removeOnFail: true });
  expect((await failed)[0]?.[1].message).toContain('the key `a`');
  await waitFor(async () => (await job.getState()) === 'failed');
  expect((await queue.getJob(job.id))?.data).toEqual({ a: 1 });
  expect(errors).toContainEqual(expect.objectContaining({ code: 'ERR_PAYLOAD_UNREADABLE' }));
});

test('large data is compressed, and read without the option', async () => {
  const compressing = { compression: { threshold: 100 } };
  const queue = bench.queue<{ text: string }>(uniquePrefix('queue'), { payload: compressing });
  const data = { text: 'the same '.repeat(1_000) };
  const job = await queue.add('n', data);
  expect(Number(await redis.call('HSTRLEN', `bull:${queue.name}:${job.id}`, 'data'))).toBeLessThan(500);
  const seen: unknown[] = [];
  bench.worker(queue.name, async (running) => void seen.push(running.data));
  await waitFor(() => seen.length === 1);
  expect(seen[0]).toEqual(data);
});

test('a service shares the option with its workers and listeners', async () => {
  const service = new QueueService({ redis: { url: server.url }, prefix: uniquePrefix('p'), payload });
  service.registerProcessor('mail', async (job) => ({ to: job.data.to }));
  const heard: unknown[] = [];
  service.on('job:completed', (_job, result) => heard.push(result));
  await service.addJob('mail', { to: 'ada' });
  await waitFor(() => heard.length === 1);
  expect(heard).toEqual([{ to: 'ada' }]);
  await service.close();
});

test('a flow stores the data of each queue as that queue does, and reads it', async () => {
  const [invoices, images] = [uniquePrefix('invoices'), uniquePrefix('images')];
  const compressing = { compression: { threshold: 100 } };
  const flows = bench.flows({
    payload,
    queuesOptions: { [images]: { payload: compressing, defaultJobOptions: { attempts: 4 } } },
  });
  const text = 'the same '.repeat(1_000);
  const added = await flows.add(
    {
      name: 'parent',
      queueName: invoices,
      data: { iban: 'DE02' },
      children: [
        { name: 'large', queueName: images, data: { text } },
        { name: 'small', queueName: images, data: { text: 'a' } },
      ],
    },
    { queuesOptions: { [invoices]: { defaultJobOptions: { attempts: 2 } } } },
  );
  const [large, small] = added.children ?? [];
  const stored = async (queue: string, id = '') =>
    JSON.parse((await redis.call('HGET', `bull:${queue}:${id}`, 'data')) as string);
  expect(await stored(invoices, added.job.id)).toMatchObject({ $oxcart: 1, key: 'a' });
  const compressed = await stored(images, large?.job.id);
  expect([compressed.$oxcart, compressed.zip, 'key' in compressed]).toEqual([1, 'lz4', false]);
  expect(await stored(images, small?.job.id)).toEqual({ text: 'a' });
  expect([added.job.opts.attempts, large?.job.opts.attempts]).toEqual([2, 4]);

  const read = await flows.getFlow({ queueName: invoices, id: added.job.id });
  expect(read?.job.data).toEqual({ iban: 'DE02' });
  expect(read?.children?.find(({ job }) => job.name === 'large')?.job.data).toEqual({ text });
  await added.job.updateData({ iban: 'DE03' });
  expect(await stored(invoices, added.job.id)).toMatchObject({ $oxcart: 1, key: 'a' });
  const seen: unknown[] = [];
  bench.worker(images, async (job) => void seen.push(job.data), { payload: compressing });
  bench.worker(invoices, async (job) => void seen.push(job.data), { payload });
  await waitFor(() => seen.length === 3);
  expect(seen).toEqual([{ text }, { text: 'a' }, { iban: 'DE03' }]);
});

test.each([
  [{ payload: { compression: { threshold: -1 } } }, 'payload.compression.threshold'],
  [
    { queuesOptions: { q: { payload: { encryption: { key: 'x', keys: {} } } } } },
    'queuesOptions.q.payload.encryption.key',
  ],
  [{ queuesOptions: { q: { payload: { zip: 1 } } } }, 'queuesOptions.q.payload.zip'],
  [{ queuesOptions: { q: { prefix: 'p' } } }, 'queuesOptions.q.prefix'],
])('options of a flow producer that make no sense are refused (%#)', (wrong, option) => {
  expect(() => bench.flows(wrong as never)).toThrowError(
    expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option } }),
  );
});

test.each([
  [{ encryption: { key: 'a', keys: { a: randomBytes(16) } } }, 'payload.encryption.keys.a'],
  [{ encryption: { key: 'x', keys: { a: key } } }, 'payload.encryption.key'],
  [{ encryption: { key: 'x', keys: null } }, 'payload.encryption.keys'],
  [{ compression: { threshold: 1.5 } }, 'payload.compression.threshold'],
])('options that make no sense are refused (%#)', (wrong, option) => {
  expect(() => bench.queue('q', { payload: wrong as never })).toThrowError(
    expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option } }),
  );
});
