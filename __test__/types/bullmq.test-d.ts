import type * as stock from 'bullmq';
import { expectTypeOf, test } from 'vitest';
import { type Job, type JobsOf, Queue, QueueEvents, Worker, type WorkerOptions } from '../../ts/compat/bullmq/index.js';

const connection = { host: 'localhost', port: 6379 };

interface Jobs extends Record<string, { data: unknown; result?: unknown }> {
  email: { data: { to: string }; result: { sent: boolean } };
  export: { data: { userId: number } };
}
type MailJobs = JobsOf<Pick<Jobs, 'email' | 'export'>>;

test('data, result and name as with BullMQ', () => {
  const queue = new Queue<{ to: string }, boolean, 'welcome' | 'reset'>('mail', { connection });
  expectTypeOf(queue.getJob('1')).resolves.toEqualTypeOf<
    Job<{ to: string }, boolean, 'welcome' | 'reset'> | undefined
  >();
  void queue.add('welcome', { to: 'ada' }).then((job) => {
    expectTypeOf(job.data).toEqualTypeOf<{ to: string }>();
    expectTypeOf(job.returnvalue).toEqualTypeOf<boolean | null>();
  });
  // @ts-expect-error: no such name
  void queue.add('welcom', { to: 'ada' });
  // @ts-expect-error: other data
  void queue.add('reset', { from: 'ada' });
  // @ts-expect-error: an option that there is not
  void queue.add('reset', { to: 'ada' }, { atempts: 3 });
});

test('a map of names to data and result ties each name to its own', () => {
  const queue = new Queue<MailJobs>('mail', { connection });
  void queue.add('email', { to: 'ada' }).then((job) => {
    expectTypeOf(job.data).toEqualTypeOf<{ to: string }>();
    expectTypeOf(job.name).toEqualTypeOf<'email'>();
    expectTypeOf(job.returnvalue).toEqualTypeOf<{ sent: boolean } | null>();
  });
  // @ts-expect-error: the data of another name
  void queue.add('email', { userId: 1 });
  // @ts-expect-error: no such name
  void queue.add('fax', { to: 'ada' });
  void queue.getJobs(['completed']).then(([job]) => {
    if (job?.name === 'export') expectTypeOf(job.data).toEqualTypeOf<{ userId: number }>();
  });
  const worker = new Worker<MailJobs>(
    'mail',
    async (job) => {
      if (job.name === 'export') expectTypeOf(job.data.userId).toEqualTypeOf<number>();
      return { sent: true };
    },
    { connection },
  );
  worker.on('completed', (job) => {
    if (job.name === 'email') expectTypeOf(job.data.to).toEqualTypeOf<string>();
  });
});

test('processors get plain progress and must return the result', () => {
  new Worker<{ n: number }, number>('sums', async (job) => job.data.n, { connection });
  // @ts-expect-error: another result
  new Worker<{ n: number }, number>('sums', async () => 'text', { connection });
  // @ts-expect-error: BullMQ's workers need a connection
  new Worker('sums', async () => 1, {});
  new Worker(
    'sums',
    async (job, token, signal) => {
      expectTypeOf(token).toEqualTypeOf<string | undefined>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal | undefined>();
      expectTypeOf(job.progress).toEqualTypeOf<string | number | boolean | object>();
    },
    { connection },
  );
});

test('options that BullMQ takes are taken', () => {
  const queue: stock.QueueOptions = {
    connection,
    prefix: 'p',
    defaultJobOptions: { attempts: 3, backoff: { type: 'exponential', delay: 5 }, removeOnComplete: { count: 5 } },
    streams: { events: { maxLen: 5 } },
    skipVersionCheck: true,
  };
  new Queue('q', { ...queue, connection, settings: {} });
  expectTypeOf<Pick<stock.WorkerOptions, 'limiter' | 'lockDuration'>>().toExtend<
    Pick<WorkerOptions, 'limiter' | 'lockDuration'>
  >();
  expectTypeOf<stock.JobsOptions['backoff']>().toExtend<NonNullable<Parameters<Queue['add']>[2]>['backoff']>();
});

test('events are typed', () => {
  const events = new QueueEvents('mail', { connection });
  events.on('completed', ({ jobId, returnvalue }, id) => {
    expectTypeOf(jobId).toEqualTypeOf<string>();
    expectTypeOf(returnvalue).toBeAny();
    expectTypeOf(id).toEqualTypeOf<string>();
  });
  // @ts-expect-error: no such event
  events.on('complete', () => {});
});
