// Trees of jobs through the public classes.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { FlowProducer, JobNode } from '../ts/flow-producer.js';
import { Job } from '../ts/job.js';
import type { Queue } from '../ts/queue.js';
import { WaitingChildrenError } from '../ts/steering.js';
import type { FlowChildJob } from '../ts/types/flow-types.js';
import type { JobOptions } from '../ts/types/job-options.js';
import { collect, JobBench } from './helpers/job-bench.js';
import { RedisServer } from './helpers/redis-server.js';
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

interface Stage {
  flows: FlowProducer;
  parents: Queue;
  children: Queue;
  /** Adds a parent with children of these options. */
  family(...options: JobOptions[]): Promise<JobNode>;
}

function stage(): Stage {
  const [flows, parents, children] = [bench.flows(), bench.queue(), bench.queue()];
  const family = (...options: JobOptions[]) =>
    flows.add({
      name: 'parent',
      queueName: parents.name,
      children: options.map((opts, n) => ({ name: 'child', queueName: children.name, data: { n }, opts })),
    });
  return { flows, parents, children, family };
}

const keyOf = (job: Job) => `${job.queueQualifiedName}:${job.id}`;

describe('a flow', () => {
  test('runs its parent after all children, with their results', async () => {
    const { flows, parents, children } = stage();
    const other = bench.queue(uniquePrefix('other'), { prefix: 'elsewhere' });
    const node = await flows.add({
      name: 'parent',
      queueName: parents.name,
      data: { top: true },
      children: [
        { name: 'child', queueName: children.name, data: { n: 1 } },
        { name: 'child', queueName: other.name, prefix: 'elsewhere', data: { n: 2 }, opts: { jobId: 'mine' } },
      ],
    });
    expect(node.job).toMatchObject({ name: 'parent', data: { top: true }, queueName: parents.name });
    expect(node.children?.map(({ job }) => job.parentKey)).toEqual([keyOf(node.job), keyOf(node.job)]);
    expect(node.children?.[1]?.job).toMatchObject({ id: 'mine', prefix: 'elsewhere', data: { n: 2 } });
    expect(await node.job.isWaitingChildren()).toBe(true);
    expect(await node.job.getDependenciesCount()).toEqual({ processed: 0, unprocessed: 2, ignored: 0, failed: 0 });

    const order: string[] = [];
    const double = async (job: Job) => {
      order.push(`child ${job.data.n}`);
      return job.data.n * 2;
    };
    bench.worker(children.name, double);
    bench.worker(other.name, double, { prefix: 'elsewhere' });
    const worker = bench.worker(parents.name, async (job) => {
      order.push('parent');
      return job.getChildrenValues();
    });
    const [[, result]] = (await collect<[Job, object]>(worker, 'completed', 1)) as [[Job, object]];
    expect(order.at(-1)).toBe('parent');
    const [one, two] = node.children!.map(({ job }) => keyOf(job)) as [string, string];
    expect(result).toEqual({ [one]: 2, [two]: 4 });
    const { processed, unprocessed } = await node.job.getDependencies();
    expect([processed, unprocessed]).toEqual([{ [one]: 2, [two]: 4 }, []]);
  });

  test('is read as a tree, as deep and as wide as asked for', async () => {
    const { flows, parents, children } = stage();
    const leaf = (n: number): FlowChildJob => ({ name: `leaf ${n}`, queueName: children.name });
    const { job } = await flows.add({
      name: 'top',
      queueName: parents.name,
      children: [{ name: 'middle', queueName: parents.name, children: [1, 2, 3].map(leaf) }, leaf(4)],
    });
    const names = (node: JobNode | undefined): unknown =>
      node && [node.job.name, ...(node.children ?? []).map(names).sort()];
    const read = (options: object) => flows.getFlow({ queueName: parents.name, id: job.id, ...options });
    expect(names(await read({}))).toEqual(['top', ['leaf 4'], ['middle', ['leaf 1'], ['leaf 2'], ['leaf 3']]]);
    expect(names(await read({ depth: 2 }))).toEqual(['top', ['leaf 4'], ['middle']]);
    expect(names(await read({ depth: 1 }))).toEqual(['top']);
    expect((await read({ maxChildren: 1 }))?.children).toHaveLength(1);
    expect(await flows.getFlow({ queueName: parents.name, id: 'gone' })).toBeUndefined();
    await expect(read({ depth: 0 })).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
    const found = (await read({}))!.children!.find(({ job }) => job.name === 'leaf 4')!.job;
    await found.updateData({ changed: true });
    expect((await children.getJob(found.id))?.data).toEqual({ changed: true });
  });

  test('is added with others at once, or not at all', async () => {
    const { flows, parents, children } = stage();
    const flow = (name: string, opts: JobOptions = {}) => ({
      name,
      queueName: parents.name,
      children: [{ name: 'child', queueName: children.name, opts: opts as object }],
    });
    const nodes = await flows.addBulk([flow('a'), flow('b')]);
    expect(nodes.map(({ job, children }) => [job.name, children?.length])).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
    await expect(flows.addBulk([flow('c'), flow('d', { attempts: -1 })])).rejects.toMatchObject({
      code: 'ERR_INVALID_OPTION',
      details: { option: 'flows[1].children[0].opts.attempts' },
    });
    expect(await parents.getWaitingChildrenCount()).toBe(2);
    expect(await flows.addBulk([])).toEqual([]);
  });

  test('takes the default options of its queues', async () => {
    const { flows, parents, children } = stage();
    const node = await flows.add(
      {
        name: 'parent',
        queueName: parents.name,
        children: [{ name: 'child', queueName: children.name, opts: { priority: 3 } }],
      },
      { queuesOptions: { [children.name]: { defaultJobOptions: { attempts: 4, priority: 9 } } } },
    );
    expect(node.children?.[0]?.job.opts).toMatchObject({ attempts: 4, priority: 3 });
    expect((await children.getJob(node.children![0]!.job.id))?.opts).toMatchObject({ attempts: 4, priority: 3 });
    const unknown = flows.add({ name: 'a', queueName: 'q' }, { queuesOptions: { q: { prefix: 'p' } as object } });
    await expect(unknown).rejects.toMatchObject({ details: { option: 'queuesOptions.q.prefix' } });
  });

  test('refuses what cannot be, with its place in the tree', async () => {
    const { flows, parents } = stage();
    const child = (more: object) => ({
      name: 'parent',
      queueName: parents.name,
      children: [{ name: 'child', queueName: parents.name, ...more }],
    });
    const refused = async (flow: unknown, error: object) =>
      expect(flows.add(flow as never)).rejects.toMatchObject(error);
    await refused(child({ opts: { failParentOnFailure: true, ignoreDependencyOnFailure: true } }), {
      details: { option: 'flow.children[0].opts.ignoreDependencyOnFailure' },
    });
    await refused(child({ opts: { parent: { id: '1', queue: 'bull:q' } } }), { code: 'ERR_INVALID_OPTION' });
    await refused(child({ opts: { deduplication: { id: 'd' } } }), { code: 'ERR_INVALID_OPTION' });
    await refused(child({ opts: { unknown: 1 } }), { details: { option: 'flow.children[0].opts.unknown' } });
    await refused(child({ queueName: 'a:b' }), { code: 'ERR_INVALID_ARGUMENT' });
    await refused(child({ data: 1n }), { code: 'ERR_NOT_SERIALIZABLE' });
    await refused({ name: 'a' }, { details: { argument: 'queueName' } });
    await refused({ queueName: 'a' }, { details: { argument: 'name' } });
    await refused(null, { code: 'ERR_INVALID_ARGUMENT' });
    await refused(child({ children: 5 }), { details: { argument: 'children' } });
    await refused(
      { ...child({}), opts: { parent: { id: 'gone', queue: parents.qualifiedName } } },
      {
        code: 'ERR_PARENT_JOB_NOT_FOUND',
      },
    );
    const circle: { children: unknown[] } = { ...child({}), children: [] };
    circle.children.push(circle);
    await refused(circle, { code: 'ERR_INVALID_ARGUMENT' });
    expect(await parents.count()).toBe(0);
    await flows.close();
    await flows.close();
    await expect(flows.add({ name: 'a', queueName: parents.name })).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('releases delayed and prioritized parents to where they belong', async () => {
    const { flows, parents, children } = stage();
    const flow = (name: string, opts: JobOptions) => ({
      name,
      queueName: parents.name,
      opts: opts as object,
      children: [{ name: 'child', queueName: children.name }],
    });
    const [delayed, ranked] = await flows.addBulk([flow('late', { delay: 60_000 }), flow('ranked', { priority: 5 })]);
    bench.worker(children.name, async () => 1);
    await waitFor(async () => (await delayed!.job.getState()) === 'delayed');
    await waitFor(async () => (await ranked!.job.getState()) === 'prioritized');
  });
});

describe('a failed child', () => {
  const failing = (children: Queue, failures = 1) => {
    const worker = bench.worker(children.name, async (job) => {
      if (job.data.n < failures) throw new Error(`child ${job.data.n}`);
      return 'fine';
    });
    worker.on('error', () => undefined);
    return worker;
  };

  test('fails its parent', async () => {
    const { parents, children, family } = stage();
    const { job, children: [child] = [] } = await family({ failParentOnFailure: true }, {});
    const ran: string[] = [];
    const worker = bench.worker(parents.name, async ({ id }) => void ran.push(id));
    const failures = collect<[Job, Error]>(worker, 'failed', 1);
    failing(children);
    const [[failed, error]] = (await failures) as [[Job, Error]];
    expect([failed.id, error.message]).toEqual([job.id, `child ${keyOf(child!.job)} failed`]);
    expect(ran).toEqual([]);
    expect(await job.getDependencies({ failed: {} })).toEqual({ failed: [keyOf(child!.job)], nextFailedCursor: 0 });
    expect((await parents.getJob(job.id))?.deferredFailure).toBeUndefined();
  });

  test('lets its parent go on at once, ignoring what is unfinished', async () => {
    const { parents, children, family } = stage();
    const { job, children: [child, slow] = [] } = await family({ continueParentOnFailure: true }, { delay: 60_000 });
    const worker = bench.worker(parents.name, async (job) => {
      const failures = await job.getIgnoredChildrenFailures();
      await job.removeUnprocessedChildren();
      return failures;
    });
    const done = collect<[Job, object]>(worker, 'completed', 1);
    failing(children);
    const [[completed, failures]] = (await done) as [[Job, object]];
    expect([completed.id, failures]).toEqual([job.id, { [keyOf(child!.job)]: 'child 0' }]);
    expect(await slow!.job.getState()).toBe('unknown');
    expect(await job.getFailedChildrenValues()).toEqual(failures);
  });

  test('is ignored, or forgotten, or waited for', async () => {
    const { parents, children, family } = stage();
    const ignoring = await family({ ignoreDependencyOnFailure: true }, {});
    const forgetting = await family({ removeDependencyOnFailure: true }, {});
    const waiting = await family({}, {});
    failing(children);
    const worker = bench.worker(parents.name, async (job) => [
      await job.getIgnoredChildrenFailures(),
      Object.values(await job.getChildrenValues()),
    ]);
    const results = new Map<string, unknown>();
    worker.on('completed', (job, result) => void results.set(job.id, result));
    await waitFor(() => results.size === 2);
    expect(results.get(ignoring.job.id)).toEqual([{ [keyOf(ignoring.children![0]!.job)]: 'child 0' }, ['fine']]);
    expect(results.get(forgetting.job.id)).toEqual([{}, ['fine']]);
    expect(await waiting.job.getState()).toBe('waiting-children');
    expect(await waiting.job.getDependenciesCount({ unprocessed: true })).toEqual({ unprocessed: 1 });

    // Tried again with success, it lets its parent run.
    const child = (await children.getJob(waiting.children![0]!.job.id))!;
    await child.updateData({ n: 7 });
    await child.retry();
    await waitFor(() => results.size === 3);
  });
});

describe('a job that runs', () => {
  test('adds children, waits for them, and goes on with its next step', async () => {
    const { parents, children } = stage();
    const seen: unknown[] = [];
    const worker = bench.worker(parents.name, async (job, token) => {
      if (job.data.step === 'begin') {
        await children.addBulk(
          [1, 2].map((n) => ({
            name: 'child',
            data: { n },
            opts: { parent: { id: job.id, queue: job.queueQualifiedName } },
          })),
        );
        await job.updateData({ step: 'end' });
      }
      if (await job.moveToWaitingChildren(token!)) throw new WaitingChildrenError();
      seen.push([job.attemptsMade, job.attemptsStarted]);
      return Object.values(await job.getChildrenValues()).sort();
    });
    const done = collect<[Job, unknown]>(worker, 'completed', 1);
    const events = await bench.events(parents.name);
    const told: unknown[] = [];
    events.on('waiting-children', ({ jobId }) => void told.push(jobId));
    const job = await parents.add('steps', { step: 'begin' });
    await waitFor(async () => (await job.getState()) === 'waiting-children');
    bench.worker(children.name, async (job) => job.data.n * 10);
    const [[, result]] = (await done) as [[Job, unknown]];
    expect(result).toEqual([10, 20]);
    expect(seen).toEqual([[0, 2]]);
    await waitFor(() => told.length === 1);
    expect(told).toEqual([job.id]);
  });

  test('fails when it completes before its children, and is told when one has failed', async () => {
    const { parents, children } = stage();
    const parent = (job: Job) => ({ id: job.id, queue: job.queueQualifiedName });
    let runs = 0;
    const worker = bench.worker(parents.name, async (job, token) => {
      runs++;
      const opts = { parent: parent(job), failParentOnFailure: true };
      if (runs === 1) await children.add('child', {}, opts);
      if (runs <= 2) return 'too early';
      await waitFor(async () => (await job.getDependenciesCount()).failed === 1);
      return job.moveToWaitingChildren(token!);
    });
    const failures: [string, string][] = [];
    worker.on('failed', (job, error) => void failures.push([error.name, job!.failedReason!]));
    const job = await parents.add('steps', {}, { attempts: 9, backoff: 1 });
    await waitFor(() => failures.length === 2);
    const broken = bench.worker(children.name, async () => {
      throw new Error('broken');
    });
    broken.on('error', () => undefined);
    await waitFor(async () => (await job.getState()) === 'failed');
    expect(failures[0]).toEqual(['JobStateError', expect.stringContaining('not finished')]);
    expect(failures.at(-1)![1]).toMatch(/children that failed|^child .* failed$/);
    expect(runs).toBeLessThan(9);
  });

  test('is refused children when it is gone', async () => {
    const { children, parents } = stage();
    const parent = { id: 'gone', queue: parents.qualifiedName };
    const added = await Promise.allSettled([
      children.add('a', {}),
      children.add('b', {}, { parent }),
      children.add('c', {}),
    ]);
    expect(added.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((added[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'ERR_PARENT_JOB_NOT_FOUND' });
    for (const wrong of [{ id: '', queue: 'bull:q' }, { id: '1', queue: 'q' }, { id: '1' }]) {
      await expect(children.add('a', {}, { parent: wrong as never })).rejects.toMatchObject({
        code: 'ERR_INVALID_OPTION',
      });
    }
  });
});

describe('children', () => {
  test('are read in pages', async () => {
    const { parents, children, family } = stage();
    const { job } = await family(...Array.from({ length: 300 }, () => ({})));
    const page = await parents.getDependencies(job.id, 'pending', 5, 9);
    expect([page.total, page.items.length, page.jobs.length]).toEqual([300, 5, 5]);
    expect(page.jobs[0]).toMatchObject({ name: 'child', data: expect.stringContaining('"n"') });
    await expect(parents.getDependencies(job.id, 'odd' as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
    });
    const seen = new Set<string>();
    let cursor = 0;
    do {
      const { unprocessed = [], nextUnprocessedCursor = 0 } = await job.getDependencies({
        unprocessed: { cursor, count: 50 },
      });
      for (const key of unprocessed) seen.add(key);
      cursor = nextUnprocessedCursor;
    } while (cursor !== 0);
    expect(seen.size).toBe(300);
    bench.worker(children.name, async (job) => ({ n: job.data.n }), { concurrency: 50 });
    await waitFor(async () => (await job.getState()) === 'waiting');
    const done = await parents.getDependencies(job.id, 'processed', 0, 9);
    expect(done.items).toHaveLength(10);
    expect(done.items[0]).toEqual({ id: expect.stringContaining(children.name), v: { n: expect.any(Number) } });
  });

  test('leave their parent, go with it, or stay without it', async () => {
    const { parents, children, family } = stage();
    const first = await family({}, {});
    const child = (await children.getJob(first.children![0]!.job.id))!;
    expect(child.parent).toEqual({ id: first.job.id, queueKey: parents.qualifiedName });
    expect(await child.removeChildDependency()).toBe(true);
    expect([child.parent, child.parentKey]).toEqual([undefined, undefined]);
    expect(await child.removeChildDependency()).toBe(false);
    await first.children![1]!.job.remove();
    expect(await first.job.getState()).toBe('waiting');

    const second = await family({}, {});
    await second.job.remove({ removeChildren: false });
    expect(await second.children![0]!.job.getState()).toBe('waiting');

    const third = await family({}, {});
    expect(await parents.remove(third.job.id)).toBe(1);
    expect(await third.children![0]!.job.getState()).toBe('unknown');

    await children.drain();
    const fourth = await family({});
    const worker = bench.worker(children.name, () => new Promise((resolve) => setTimeout(resolve, 60_000).unref()));
    await collect(worker, 'active', 1);
    await waitFor(async () => (await fourth.children![0]!.job.getState()) === 'active');
    expect(await parents.remove(fourth.job.id)).toBe(0);
    await expect(fourth.job.remove()).rejects.toMatchObject({ code: 'ERR_JOB_NOT_IN_STATE' });
    expect(await parents.remove(fourth.job.id, { removeChildren: false })).toBe(1);
  });

  test('that are cleaned, drained or obliterated are waited for no more', async () => {
    const { flows, parents, children, family } = stage();
    const drained = await family({}, {});
    await children.drain();
    expect(await drained.job.getState()).toBe('waiting');
    const near = await flows.add({
      name: 'parent',
      queueName: children.name,
      children: [{ name: 'child', queueName: children.name }],
    });
    await children.drain();
    expect(await near.job.getState()).toBe('unknown');

    const cleaned = await family({});
    await children.clean(0, 0, 'wait');
    expect(await cleaned.job.getState()).toBe('waiting');
    const gone = await family({});
    await children.obliterate();
    expect(await gone.job.getState()).toBe('waiting');
    expect(await parents.getWaitingCount()).toBe(3);
  });
});

test('a job is made from what is stored of it, and stores what it is', async () => {
  const queue = bench.queue();
  const job = await Job.create(queue, 'made', { a: 1 }, { attempts: 2, deduplication: { id: 'd' } });
  const [bulk] = await Job.createBulk(queue, [{ name: 'bulk', data: 2 }]);
  expect([job.name, bulk!.name, await job.getState()]).toEqual(['made', 'bulk', 'waiting']);
  const read = (await Job.fromId(queue, job.id))!;
  expect(await Job.fromId(queue, 'gone')).toBeUndefined();
  expect(read.asJSON()).toMatchObject({ id: job.id, data: '{"a":1}', returnvalue: 'null', stacktrace: '[]' });
  const copy = Job.fromJSON(queue, read.asJSON());
  expect(copy.toJSON()).toEqual(read.toJSON());
  expect(copy.asJSONSandbox()).toMatchObject({ queueName: queue.name, prefix: 'bull' });
  expect(copy.toFlowEntry({ parentKey: 'k' })).toMatchObject({ jobId: job.id, parentKeyOpts: { parentKey: 'k' } });
  expect(Job.optsFromJSON('{"fpof":true,"attempts":1}')).toEqual({ failParentOnFailure: true, attempts: 1 });
  expect(() => Job.fromJSON({ name: 'no queue' }, read.asJSON())).toThrow(/queue or worker/);

  expect([await Job.addJobLog(queue, job.id, 'a'), await read.log('b'), await read.log('c')]).toEqual([1, 2, 3]);
  await read.clearLogs(1);
  expect((await queue.getJobLogs(job.id)).logs).toEqual(['c']);
  await read.clearLogs();
  expect((await queue.getJobLogs(job.id)).logs).toEqual([]);

  expect((await queue.add('same', {}, { deduplication: { id: 'd' } })).id).toBe(job.id);
  expect(await read.removeDeduplicationKey()).toBe(true);
  expect(await read.removeDeduplicationKey()).toBe(false);
  expect(await bulk!.removeDeduplicationKey()).toBe(false);
  expect((await queue.add('same', {}, { deduplication: { id: 'd' } })).id).not.toBe(job.id);
});
