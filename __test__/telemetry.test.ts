// Traces and measurements, compared with those of the stock package, and with the stock `bullmq-otel` in between.

import { AsyncLocalStorage } from 'node:async_hooks';
import { type Context, context, ROOT_CONTEXT, type SpanOptions, trace } from '@opentelemetry/api';
import * as stock from 'bullmq';
import { BullMQOtel } from 'bullmq-otel';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { FlowProducer } from '../ts/flow-producer.js';
import type { Job } from '../ts/job.js';
import { Queue } from '../ts/queue.js';
import { QueueService } from '../ts/queue-service.js';
import { MetricNames, TelemetryAttributes } from '../ts/telemetry/attributes.js';
import { SpanKind } from '../ts/types/telemetry.js';
import { Worker } from '../ts/worker.js';
import { collect, JobBench } from './helpers/job-bench.js';
import { RecordingTelemetry } from './helpers/recording-telemetry.js';
import { inMemory, RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
});

afterEach(() => bench.close());

afterAll(() => server.stop());

test('the names are those of the stock package', () => {
  expect({ ...TelemetryAttributes }).toEqual({ ...stock.TelemetryAttributes });
  expect({ ...MetricNames }).toEqual({ ...stock.MetricNames });
  expect({ ...SpanKind }).toEqual({ ...stock.SpanKind });
});

test('a job goes on in the trace that added it, and its processor runs in its span', async () => {
  const telemetry = new RecordingTelemetry();
  const queue = bench.queue('traced-1', { telemetry });
  const worker = bench.worker(
    queue.name,
    async () => {
      const span = telemetry.tracer.startSpan('inside', { kind: SpanKind.INTERNAL });
      await new Promise((resolve) => setImmediate(resolve));
      span.end();
      return 'result';
    },
    { telemetry, name: 'w' },
  );
  const done = collect<[Job]>(worker, 'completed', 1);
  const job = await queue.add('mail', { to: 'ada' });
  await done;
  await waitFor(() => telemetry.named('process')[0]?.isEnded);
  const [add] = telemetry.named('add');
  const [process] = telemetry.named('process');
  const [inside] = telemetry.named('inside');
  const [complete] = telemetry.named('complete');
  expect([add?.name, add?.kind]).toEqual([`add ${queue.name}.mail`, SpanKind.PRODUCER]);
  expect([process?.name, process?.kind]).toEqual([`process ${queue.name}`, SpanKind.CONSUMER]);
  expect([process?.parent, process?.trace]).toEqual([add?.id, add?.trace]);
  expect([inside?.parent, complete?.parent]).toEqual([process?.id, process?.id]);
  expect((await queue.getJob(job.id))?.opts.telemetry).toEqual({ metadata: expect.stringContaining('trace') });
});

test('omitContext keeps a job out of the trace', async () => {
  const telemetry = new RecordingTelemetry();
  const queue = bench.queue('traced-2', { telemetry });
  const worker = bench.worker(queue.name, async () => 1, { telemetry });
  const done = collect(worker, 'completed', 2);
  const job = await queue.add('alone', {}, { telemetry: { omitContext: true } });
  await queue.addBulk([{ name: 'bulk', data: {}, opts: { telemetry: { omitContext: true } } }]);
  await done;
  await waitFor(() => telemetry.named('process').every(({ isEnded }) => isEnded));
  const adds = telemetry.named('add');
  for (const { trace: one } of telemetry.named('process')) expect(adds.map((add) => add.trace)).not.toContain(one);
  expect((await queue.getJob(job.id))?.opts.telemetry).toEqual({ omitContext: true });
});

test('failures are told, retries included', async () => {
  const telemetry = new RecordingTelemetry();
  const queue = bench.queue('traced-3', { telemetry });
  const worker = bench.worker(queue.name, () => Promise.reject(new Error('no')), { telemetry });
  const failed = collect(worker, 'failed', 3);
  await queue.add('a', {}, { attempts: 3 });
  await failed;
  await waitFor(() => telemetry.named('process').length === 3 && telemetry.spans.every(({ isEnded }) => isEnded));
  expect(telemetry.spans.filter(({ name }) => /^(retry|delay|fail) /.test(name)).map(({ name }) => name)).toEqual([
    `retry ${queue.name}`,
    `retry ${queue.name}`,
    `fail ${queue.name}`,
  ]);
  for (const { events } of telemetry.named('process')) {
    expect(events).toEqual([{ name: 'job failed', attributes: { [TelemetryAttributes.JobFailedReason]: 'no' } }]);
  }
  const counts = telemetry.measured.filter(({ instrument }) => instrument.startsWith('bullmq.jobs.'));
  expect(counts.map(({ instrument, value }) => [instrument, value])).toEqual([
    [MetricNames.JobsRetried, 1],
    [MetricNames.JobsRetried, 1],
    [MetricNames.JobsFailed, 1],
  ]);
});

test('a flow carries the trace that added it to all its jobs', async () => {
  const telemetry = new RecordingTelemetry();
  const prefix = uniquePrefix('flow');
  const flows = new FlowProducer({ connection: { url: server.url }, prefix, telemetry });
  try {
    const worker = bench.worker('parts', async () => 1, { prefix, telemetry, concurrency: 1 });
    const done = collect(worker, 'completed', 3);
    const children = ['a', 'b'].map((name) => ({ name, queueName: 'parts', data: {} }));
    await flows.add({ name: 'whole', queueName: 'parts', data: {}, children });
    await done;
    await flows.addBulk([{ name: 'one', queueName: 'others', data: {} }]);
    const [add] = telemetry.named('addFlow');
    expect([add?.name, add?.kind]).toEqual(['addFlow parts', SpanKind.PRODUCER]);
    expect(add?.attributes).toMatchObject({ [TelemetryAttributes.FlowName]: 'whole' });
    const processed = telemetry.named('process');
    expect(processed.map(({ parent, trace: one }) => [parent, one])).toEqual(Array(3).fill([add?.id, add?.trace]));
    expect(telemetry.named('addBulkFlows')).toHaveLength(1);
    for (const wrong of [null, { name: 'a', queueName: 'parts', children: 7 }]) {
      await expect(flows.add(wrong as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    }
  } finally {
    await flows.close();
  }
});

test('QueueService traces its queues and processors', async () => {
  const telemetry = new RecordingTelemetry();
  const service = new QueueService({ redis: { url: server.url }, prefix: uniquePrefix('service'), telemetry });
  try {
    const worker = service.registerProcessor('served', async () => 1);
    const done = collect(worker, 'completed', 1);
    await service.addJob('served', {});
    await done;
    await waitFor(() => telemetry.named('process')[0]?.isEnded);
    expect(telemetry.named('process')[0]?.parent).toBe(telemetry.named('add served.served')[0]?.id);
  } finally {
    await service.close();
  }
});

test('a call that fails has its error in its span', async () => {
  const telemetry = new RecordingTelemetry();
  const queue = bench.queue(undefined, { telemetry });
  await expect(queue.add('a', {}, { delay: -1 })).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
  const [span] = telemetry.spans;
  expect(span).toMatchObject({ isEnded: true, exceptions: [{ code: 'ERR_INVALID_OPTION' }] });
});

test('a telemetry that throws harms no job', async () => {
  const telemetry = new RecordingTelemetry();
  const broken = {
    ...telemetry,
    tracer: {
      startSpan: () => {
        throw new Error('tracer broke');
      },
    },
  };
  const queue = bench.queue();
  const worker = bench.worker(queue.name, async () => 1, {
    telemetry: broken,
    stalledInterval: 500,
    lockDuration: 500,
  });
  const done = collect<[Job, number]>(worker, 'completed', 2);
  await queue.add('a', {});
  const traced = bench.queue(queue.name, { telemetry: broken });
  await traced.add('b', {});
  expect((await done).map(([, result]) => result)).toEqual([1, 1]);
  await traced.pause();
  expect(await queue.isPaused()).toBe(true);
});

describe.skipIf(inMemory)('beside the stock package', () => {
  const made: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    await Promise.all(made.splice(0).map((one) => one.close()));
  });

  /** The same work with either package; what it leaves, without what differs by nature. */
  async function record(kind: 'stock' | 'ours') {
    const telemetry = new RecordingTelemetry();
    const name = 'compared';
    const options = { connection: { host: server.host, port: server.port }, prefix: uniquePrefix(kind), telemetry };
    const queue = kind === 'ours' ? new Queue(name, options) : new stock.Queue(name, options as never);
    made.push(queue as Queue);
    const fails = (job: { name: string; attemptsMade: number }) => {
      if (job.name === 'fails' || (job.name === 'retries' && job.attemptsMade === 0)) throw new Error('no');
      return 'yes';
    };
    const WorkerClass = (kind === 'ours' ? Worker : stock.Worker) as typeof Worker;
    const worker = new WorkerClass(name, async (job) => fails(job as never), {
      ...options,
      autorun: false,
      name: 'w1',
    });
    made.push(worker);
    const add = queue as Queue;
    await add.add('one', { n: 1 });
    await add.addBulk([
      { name: 'fails', data: {} },
      { name: 'retries', data: {}, opts: { attempts: 2, backoff: 1 } },
    ]);
    await add.upsertJobScheduler('tick', { every: 365 * 86_400_000 }, { name: 'ticked' });
    void worker.run();
    await waitFor(async () => (await add.getJobCounts('completed', 'failed'))['completed']! >= 3);
    await waitFor(async () => (await add.getJobCounts('completed', 'failed'))['failed'] === 1);
    await waitFor(() => telemetry.named('process').length === 5 && telemetry.named('process').every((s) => s.isEnded));
    await worker.pause();
    await worker.resume();
    await add.pause();
    await add.resume();
    await add.drain(true);
    await add.clean(0, 0, 'completed');
    await add.remove('1', { removeChildren: false });
    await add.updateJobProgress('2', 50);
    await add.retryJobs({ count: 10 });
    await add.promoteJobs();
    await add.trimEvents(100);
    await worker.close();
    const spans = telemetry.spans
      // The next job of a scheduler is made on a native thread, and so in no other span.
      .filter(({ name: span, parent }) => span !== 'add compared.ticked' || parent === undefined)
      .filter(({ name: span }) => !/^(extendLocks|moveStalledJobsToWait|startStalledCheckTimer|getNextJob) /.test(span))
      .map(({ name: span, kind: spanKind, attributes, events, parent }) => {
        const from = telemetry.spans.find(({ id }) => id === parent)?.name;
        return JSON.stringify([span, spanKind, Object.keys(attributes).sort(), events.map((e) => e.name), from]);
      });
    const measured = telemetry.measured.map(({ instrument, attributes }) => JSON.stringify([instrument, attributes]));
    return { spans: [...new Set(spans)].sort(), measured: measured.sort() };
  }

  test('spans, their kinds, attributes, events and parents, and measurements are the same', async () => {
    const theirs = await record('stock');
    const ours = await record('ours');
    expect(ours.measured).toEqual(theirs.measured);
    expect(ours.spans).toEqual(theirs.spans);
  });
});

test('what the native thread does has the spans of BullMQ', async () => {
  const telemetry = new RecordingTelemetry();
  const queue = bench.queue(uniquePrefix('queue'));
  const gone = await queue.add('gone', {});
  const dying = bench.worker(queue.name, () => new Promise(() => undefined), {
    lockDuration: 300,
    stalledInterval: 100,
  });
  await waitFor(async () => (await gone.getState()) === 'active');
  await dying.close(true);
  await queue.upsertJobScheduler('tick', { every: 3600_000 }, { name: 'ticked' });
  let release = () => {};
  const worker = bench.worker(
    queue.name,
    (job) =>
      job.name === 'ticked'
        ? new Promise<void>((resolve) => {
            release = resolve;
          })
        : undefined,
    { telemetry, name: 'w', concurrency: 2, lockDuration: 300, lockRenewTime: 50, stalledInterval: 100 },
  );
  await waitFor(() =>
    ['extendLocks', 'moveStalledJobsToWait', 'add'].every((name) => telemetry.named(name).length > 0),
  );
  release();
  const [renewal, stalled, added] = ['extendLocks', 'moveStalledJobsToWait', 'add'].map(
    (name) => telemetry.named(name)[0]!,
  );
  const of = { [TelemetryAttributes.WorkerId]: worker.id, [TelemetryAttributes.WorkerName]: 'w' };
  expect(renewal).toMatchObject({
    name: `extendLocks ${queue.name}`,
    kind: SpanKind.INTERNAL,
    isEnded: true,
    attributes: of,
  });
  expect(renewal?.attributes[TelemetryAttributes.WorkerJobsToExtendLocks]).toContainEqual(expect.any(String));
  expect(stalled).toMatchObject({
    name: `moveStalledJobsToWait ${queue.name}`,
    kind: SpanKind.INTERNAL,
    attributes: { ...of, [TelemetryAttributes.WorkerStalledJobs]: [gone.id] },
    events: [{ name: 'job stalled', attributes: { [TelemetryAttributes.JobId]: gone.id } }],
  });
  expect(added).toMatchObject({
    name: `add ${queue.name}.ticked`,
    kind: SpanKind.PRODUCER,
    attributes: {
      [TelemetryAttributes.JobSchedulerId]: 'tick',
      [TelemetryAttributes.JobId]: expect.stringMatching(/^repeat:tick:\d+$/),
    },
  });
});

test('bullmq-otel traces us', async () => {
  const spans: { name: string; parent: string | undefined; spanId: string; traceId: string }[] = [];
  const storage = new AsyncLocalStorage<Context>();
  context.setGlobalContextManager({
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (on, work, self, ...args) => storage.run(on, () => work.apply(self as never, args)),
    bind: (_on, target) => target,
    enable() {
      return this;
    },
    disable() {
      return this;
    },
  });
  const startSpan = (name: string, _options?: SpanOptions, on: Context = context.active()) => {
    const parent = trace.getSpanContext(on);
    const spanId = String(spans.length + 1).padStart(16, '0');
    const span = { name, parent: parent?.spanId, spanId, traceId: parent?.traceId ?? spanId.padStart(32, '1') };
    spans.push(span);
    return trace.wrapSpanContext({ spanId, traceId: span.traceId, traceFlags: 1 });
  };
  trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan, startActiveSpan: undefined as never }) });
  try {
    const telemetry = new BullMQOtel({ tracerName: 'tests' });
    const queue = bench.queue('otel', { telemetry, prefix: uniquePrefix('otel') });
    const worker = bench.worker(queue.name, async () => void startSpan('inside'), { telemetry, prefix: queue.prefix });
    const done = collect(worker, 'completed', 1);
    await queue.add('a', {});
    await done;
    await waitFor(() => spans.some(({ name }) => name === 'complete otel'));
    const id = (name: string) => spans.find((span) => span.name === name)?.spanId;
    expect(spans.find(({ name }) => name === 'inside')?.parent).toBe(id('process otel'));
    expect(id('add otel.a')).toBeDefined();
  } finally {
    trace.disable();
    context.disable();
  }
});

test.each([
  [{}, 'telemetry.tracer'],
  [7, 'telemetry.tracer'],
  [{ tracer: { startSpan: () => undefined } }, 'telemetry.contextManager'],
])('%o is refused', (telemetry, option) => {
  const refused = expect.objectContaining({ code: 'ERR_INVALID_OPTION', details: { option } });
  expect(() => new Queue('refused', { telemetry: telemetry as never })).toThrow(refused);
  expect(() => new Worker('refused', async () => 1, { telemetry: telemetry as never })).toThrow(refused);
});
