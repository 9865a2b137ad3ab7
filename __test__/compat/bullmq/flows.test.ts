// Flows that stock BullMQ and we add, run and read together.

import * as stock from 'bullmq';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../../../ts/job.js';
import { WaitingChildrenError } from '../../../ts/steering.js';
import { JobBench } from '../../helpers/job-bench.js';
import { RedisServer } from '../../helpers/redis-server.js';
import { uniquePrefix } from '../../helpers/unique-prefix.js';
import { waitFor } from '../../helpers/wait-for.js';

let server: RedisServer;
let bench: JobBench;
let connection: { host: string; port: number };
const stocks: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  bench = new JobBench({ url: server.url });
  connection = { host: server.host, port: server.port };
});

afterEach(async () => {
  await Promise.all([bench.close(), ...stocks.splice(0).map((one) => one.close())]);
});

afterAll(() => server.stop());

function keep<T extends { close(): Promise<void> }>(one: T): T {
  stocks.push(one);
  return one;
}

type Run = (job: { id?: string; name: string; data: any; getChildrenValues(): Promise<object> }) => Promise<unknown>;

/** One side of the exchange. */
interface Side {
  add(flow: any): Promise<{ job: { id?: string }; children?: { job: { id?: string } }[] }>;
  work(queue: string, run: Run): void;
  state(queue: string, id: string): Promise<string>;
  /** Children by how they stand, and reasons of those that are ignored. */
  children(queue: string, id: string): Promise<unknown>;
  names(queue: string, id: string): Promise<unknown>;
  reason(queue: string, id: string): Promise<string | undefined>;
}

const names = (node: any): unknown => node && [node.job.name, ...(node.children ?? []).map(names).sort()];

const ours: Side = {
  add: (flow) => bench.flows().add(flow),
  work: (queue, run) => void bench.worker(queue, run as never, { concurrency: 5 }).on('error', () => undefined),
  state: async (queue, id) => (await bench.queue(queue).getJob(id))?.getState() ?? 'unknown',
  children: async (queue, id) => {
    const job = (await bench.queue(queue).getJob(id))!;
    return [await job.getDependencies(), await job.getDependenciesCount(), await job.getIgnoredChildrenFailures()];
  },
  names: async (queueName, id) => names(await bench.flows().getFlow({ queueName, id })),
  reason: async (queue, id) => (await bench.queue(queue).getJob(id))?.failedReason,
};

const theirs: Side = {
  add: (flow) => keep(new stock.FlowProducer({ connection })).add(flow),
  work: (queue, run) => void keep(new stock.Worker(queue, run as never, { connection, concurrency: 5 })),
  state: async (queue, id) => (await keep(new stock.Queue(queue, { connection })).getJobState(id)) as string,
  children: async (queue, id) => {
    const job = (await keep(new stock.Queue(queue, { connection })).getJob(id))!;
    return [await job.getDependencies(), await job.getDependenciesCount(), await job.getIgnoredChildrenFailures()];
  },
  names: async (queueName, id) => names(await keep(new stock.FlowProducer({ connection })).getFlow({ queueName, id })),
  reason: async (queue, id) => (await keep(new stock.Queue(queue, { connection })).getJob(id))?.failedReason,
};

const SIDES = { ours, theirs };
type Who = keyof typeof SIDES;

/** Who adds, who runs children, who runs parents: every mixture but ours alone. */
const MIXTURES = (['ours', 'theirs'] as const)
  .flatMap((adds) =>
    (['ours', 'theirs'] as const).flatMap((runs) => (['ours', 'theirs'] as const).map((ends) => [adds, runs, ends])),
  )
  .filter((who) => who.includes('theirs')) as [Who, Who, Who][];

const queues = () => ({ parents: uniquePrefix('parents'), children: uniquePrefix('children') });

describe.each(MIXTURES)('added by %s, children run by %s, parents by %s', (adds, runs, ends) => {
  test('a tree is finished from its leaves to its top', async () => {
    const { parents, children } = queues();
    const leaf = (n: number) => ({ name: `leaf ${n}`, queueName: children, data: n });
    const { job } = await SIDES[adds].add({
      name: 'top',
      queueName: parents,
      children: [
        { name: 'middle', queueName: parents, opts: { priority: 3 }, children: [leaf(1), leaf(2)] },
        { ...leaf(3), opts: { delay: 50 } },
      ],
    });
    const order: string[] = [];
    const run: Run = async (job) => {
      order.push(job.name);
      return typeof job.data === 'number' ? job.data : Object.values(await job.getChildrenValues());
    };
    const tree = ['top', ['leaf 3'], ['middle', ['leaf 1'], ['leaf 2']]];
    expect(await SIDES[adds === 'ours' ? 'theirs' : 'ours'].names(parents, job.id!)).toEqual(tree);
    SIDES[runs].work(children, run);
    SIDES[ends].work(parents, run);
    await waitFor(async () => (await ours.state(parents, job.id!)) === 'completed', { timeoutMs: 20_000 });
    expect(order.at(-1)).toBe('top');
    expect(order.indexOf('middle')).toBeGreaterThan(Math.max(order.indexOf('leaf 1'), order.indexOf('leaf 2')));
    expect(new Set(order).size).toBe(5);
    expect(await ours.children(parents, job.id!)).toEqual(await theirs.children(parents, job.id!));
    expect(await theirs.names(parents, job.id!)).toEqual(await ours.names(parents, job.id!));
  });

  test.each([
    ['failParentOnFailure', 'failed', { failed: 1 }],
    ['continueParentOnFailure', 'completed', { ignored: 1 }],
    ['ignoreDependencyOnFailure', 'completed', { ignored: 1 }],
    ['removeDependencyOnFailure', 'completed', {}],
    ['none', 'waiting-children', { unprocessed: 1 }],
  ] as const)('%s makes the parent %s', async (mode, after, kinds) => {
    const { parents, children } = queues();
    const opts = mode === 'none' ? {} : { [mode]: true };
    const { job, children: [child] = [] } = await SIDES[adds].add({
      name: 'top',
      queueName: parents,
      children: [{ name: 'child', queueName: children, opts }],
    });
    SIDES[runs].work(children, async () => {
      throw new Error('the reason');
    });
    SIDES[ends].work(parents, async () => 'fine');
    await waitFor(async () => (await ours.state(children, child!.job.id!)) === 'failed', { timeoutMs: 20_000 });
    await waitFor(async () => (await ours.state(parents, job.id!)) === after, { timeoutMs: 20_000 });
    expect(await theirs.state(parents, job.id!)).toBe(after);
    const counts = { processed: 0, unprocessed: 0, ignored: 0, failed: 0, ...kinds };
    const [found, counted, ignored] = (await ours.children(parents, job.id!)) as [object, object, object];
    expect(counted).toEqual(counts);
    expect([found, counted, ignored]).toEqual(await theirs.children(parents, job.id!));
    expect(Object.values(ignored)).toEqual('ignored' in kinds ? ['the reason'] : []);
    if (after !== 'failed') return;
    const reason = `child bull:${children}:${child!.job.id} failed`;
    expect([await ours.reason(parents, job.id!), await theirs.reason(parents, job.id!)]).toEqual([reason, reason]);
  });
});

test.each([['ours'], ['theirs']] as [Who][])(
  'a job waits for children that it adds to the other side, run by %s',
  async (who) => {
    const { parents, children } = queues();
    (who === 'ours' ? theirs : ours).work(children, async (job) => job.data * 2);
    const step = async (job: Job | stock.Job, token: string | undefined, ask: (parent: object) => Promise<unknown>) => {
      if (job.data.step === 0) {
        await ask({ id: job.id, queue: job.queueQualifiedName });
        await job.updateData({ step: 1 });
      }
      if (await job.moveToWaitingChildren(token!)) {
        throw who === 'ours' ? new WaitingChildrenError() : new stock.WaitingChildrenError();
      }
      return Object.values((await job.getChildrenValues()) as object);
    };
    let id: string;
    if (who === 'ours') {
      const others = keep(new stock.Queue(children, { connection }));
      bench.worker(parents, (job, token) =>
        step(job, token, (parent) => others.add('child', 4, { parent: parent as { id: string; queue: string } })),
      );
      id = (await keep(new stock.Queue(parents, { connection })).add('steps', { step: 0 })).id!;
    } else {
      const others = bench.queue(children);
      keep(
        new stock.Worker(
          parents,
          (job, token) =>
            step(job, token, (parent) => others.add('child', 4, { parent: parent as { id: string; queue: string } })),
          { connection },
        ),
      );
      id = (await bench.queue(parents).add('steps', { step: 0 })).id;
    }
    await waitFor(async () => (await theirs.state(parents, id)) === 'completed');
    const job = (await bench.queue(parents).getJob(id))!;
    expect(job).toMatchObject({ returnvalue: [8], attemptsMade: 1 });
  },
);

test('workers of both kinds on both queues finish many flows, every parent after its children', async () => {
  const { parents, children } = queues();
  const ended = new Map<string, number>();
  let clock = 0;
  const problems: string[] = [];
  const child: Run = async (job) => {
    if (ended.has(job.data.id)) problems.push(`${job.data.id} ran twice`);
    ended.set(job.data.id, clock++);
    return 1;
  };
  const parent: Run = async (job) => {
    const values = Object.values(await job.getChildrenValues());
    if (values.length !== 3) problems.push(`${job.data.flow} saw ${values.length} children`);
    for (const n of [0, 1, 2]) if (!ended.has(`${job.data.flow}-${n}`)) problems.push(`${job.data.flow} came early`);
    return clock++;
  };
  for (const side of [ours, theirs]) {
    side.work(children, child);
    side.work(parents, parent);
  }
  const flow = (number: number) => ({
    name: 'parent',
    queueName: parents,
    data: { flow: number },
    children: [0, 1, 2].map((n) => ({ name: 'child', queueName: children, data: { id: `${number}-${n}` } })),
  });
  const flows = Array.from({ length: 100 }, (_, number) => flow(number));
  await Promise.all([
    bench.flows().addBulk(flows.slice(0, 50)),
    keep(new stock.FlowProducer({ connection })).addBulk(flows.slice(50)),
  ]);
  const queue = bench.queue(parents);
  await waitFor(async () => (await queue.getCompletedCount()) === 100, { timeoutMs: 25_000 });
  expect(problems).toEqual([]);
  expect(ended.size).toBe(300);
});

test('stock removes our trees, and we remove theirs', async () => {
  for (const [adds, removes] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    const { parents, children } = queues();
    const { job, children: nodes = [] } = await adds.add({
      name: 'top',
      queueName: parents,
      children: [1, 2].map((n) => ({ name: `child ${n}`, queueName: children })),
    });
    const queue = removes === ours ? bench.queue(parents) : keep(new stock.Queue(parents, { connection }));
    expect(await queue.remove(job.id!)).toBe(1);
    for (const node of nodes) expect(await adds.state(children, node.job.id!)).toBe('unknown');
  }
});
