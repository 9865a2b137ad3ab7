import { expectTypeOf, test } from 'vitest';
import { type Job, PubSubService, Queue, type QueueService, Worker } from '../../ts/index.js';

interface Payloads {
  email: { to: string };
  export: { userId: string };
}
interface Results {
  email: { sent: boolean };
}

declare const typed: QueueService<Payloads, Results>;
declare const untyped: QueueService;

test('payload maps check what is added and type what is given back', () => {
  expectTypeOf(typed.addJob('email', { to: 'ada' })).resolves.toEqualTypeOf<Job<{ to: string }, { sent: boolean }>>();
  expectTypeOf(typed.addJob({ queue: 'export', name: 'pdf', data: { userId: '1' } })).resolves.toEqualTypeOf<
    Job<{ userId: string }, any>
  >();
  // @ts-expect-error: no such queue
  void typed.addJob('emial', { to: 'ada' });
  // @ts-expect-error: the payload of another queue
  void typed.addJob('email', { userId: '1' });
  // @ts-expect-error: the same in the other form
  void typed.addJob({ queue: 'email', name: 'a', data: { userId: '1' } });
  // @ts-expect-error: in bulk
  void typed.addBulk({ queue: 'email', jobs: [{ name: 'a', data: { userId: '1' } }] });
  // @ts-expect-error: an option that there is not
  void typed.addJob('email', { to: 'ada' }, { atempts: 3 });
});

test('processors get the payload and must return the result', () => {
  typed.registerProcessor('email', async (job) => {
    expectTypeOf(job.data).toEqualTypeOf<{ to: string }>();
    return { sent: true };
  });
  // @ts-expect-error: not the result of this queue
  typed.registerProcessor('email', async () => ({ send: true }));
  typed.registerProcessor('export', async () => 'anything');
  expectTypeOf(typed.getJob('email', '1')).resolves.toEqualTypeOf<Job<{ to: string }, { sent: boolean }> | null>();
});

test('without a map any queue takes any data, typed at the call', () => {
  interface EmailJobData {
    to: string;
  }
  expectTypeOf(untyped.addJob<EmailJobData>({ queue: 'email', name: 'a', data: { to: 'ada' } })).resolves.toEqualTypeOf<
    Job<EmailJobData>
  >();
  void untyped.addJob('anything', { any: 'thing' });
  class EmailProcessor {
    async process(job: Job<EmailJobData>): Promise<{ sent: boolean }> {
      await job.progress(50);
      await job.log(job.data.to);
      return { sent: true };
    }
  }
  untyped.registerProcessor('email', new EmailProcessor(), { concurrency: 5 });
  const processor = new EmailProcessor();
  untyped.registerProcessor('email', (job) => processor.process(job));
});

test('queues and workers carry data, result and name', () => {
  const queue = new Queue<{ to: string }, boolean, 'welcome' | 'reset'>('email');
  expectTypeOf(queue.add('welcome', { to: 'ada' })).resolves.toEqualTypeOf<
    Job<{ to: string }, boolean, 'welcome' | 'reset'>
  >();
  // @ts-expect-error: no such name
  void queue.add('welcom', { to: 'ada' });
  const worker = new Worker<{ to: string }, boolean>('email', async (job) => job.data.to === 'ada');
  worker.on('completed', (job, result) => {
    expectTypeOf(job.data.to).toEqualTypeOf<string>();
    expectTypeOf(result).toEqualTypeOf<boolean>();
  });
  // @ts-expect-error: a processor with another result
  new Worker<{ to: string }, boolean>('email', async () => 'text');
});

test('handlers of messages are typed where they say so', () => {
  const pubsub = new PubSubService();
  void pubsub.subscribe<{ id: number }>({
    channel: 'orders',
    handler: (order, metadata) => {
      expectTypeOf(order).toEqualTypeOf<{ id: number }>();
      expectTypeOf(metadata?.timestamp).toEqualTypeOf<string | undefined>();
    },
  });
  expectTypeOf(pubsub.publish({ channel: 'orders', message: { id: 1 } })).resolves.toEqualTypeOf<number>();
});
