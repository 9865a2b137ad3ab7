import { describe, expectTypeOf, it } from 'vitest';
import {
  CacheService,
  type Job,
  PubSubService,
  Queue,
  QueueService,
  RedisService,
  SchedulerService,
  Worker,
} from '../../ts/index.js';

interface User {
  id: number;
  name: string;
}
type Payloads = { mail: { to: string }; resize: { fileId: string } };
type Results = { mail: { sent: boolean } };

describe('CacheService', () => {
  const cache = new CacheService({ ttls: { short: 60 } });

  it('gives what the caller names, or what the factory returns', () => {
    expectTypeOf(cache.get<User>('user:1')).resolves.toEqualTypeOf<User | null>();
    expectTypeOf(cache.get('user:1')).resolves.toEqualTypeOf<unknown>();
    expectTypeOf(cache.getOrSet('user:1', async () => ({ id: 1 }))).resolves.toEqualTypeOf<{ id: number }>();
    expectTypeOf(cache.get('user:1', () => 'loaded', 60)).resolves.toEqualTypeOf<string>();
    expectTypeOf(cache.mget<User>(['a'])).resolves.toEqualTypeOf<(User | null)[]>();
  });

  it('knows the names of its lives', () => {
    void cache.set('a', 1, { ttlKey: 'short' });
    // @ts-expect-error not one of them
    void cache.set('a', 1, { ttlKey: 'long' });
  });

  it('keeps the type of a wrapped function', () => {
    const load = (id: number, deep?: boolean) => Promise.resolve({ id, deep });
    const cached = cache.wrap((id) => `user:${id}`, load, 60);
    expectTypeOf(cached).parameters.toEqualTypeOf<[id: number, deep?: boolean]>();
    expectTypeOf(cached(1)).resolves.toEqualTypeOf<{ id: number; deep: boolean | undefined }>();
  });
});

describe('QueueService', () => {
  const queues = new QueueService<Payloads, Results>();

  it('types payloads and results by queue', () => {
    expectTypeOf(queues.addJob('mail', { to: 'a' })).resolves.toEqualTypeOf<Job<{ to: string }, { sent: boolean }>>();
    expectTypeOf(queues.addJob({ queue: 'resize', name: 'r', data: { fileId: 'a' } })).resolves.toEqualTypeOf<
      Job<{ fileId: string }, any>
    >();
    // @ts-expect-error the payload of another queue
    void queues.addJob('mail', { fileId: 'a' });
    // @ts-expect-error no such queue
    void queues.addJob('sing', {});
  });

  it('types processors', () => {
    queues.registerProcessor('mail', async (job) => {
      expectTypeOf(job.data).toEqualTypeOf<{ to: string }>();
      return { sent: true };
    });
    queues.registerProcessor('mail', { process: async (job) => ({ sent: job.data.to !== '' }) });
    // @ts-expect-error not the result of this queue
    queues.registerProcessor('mail', async () => ({ sent: 'yes' }));
  });

  it('takes any queue without a map', () => {
    const untyped = new QueueService();
    expectTypeOf(untyped.addJob<{ to: string }>({ queue: 'q', name: 'n', data: { to: 'a' } })).resolves.toEqualTypeOf<
      Job<{ to: string }>
    >();
  });
});

describe('Queue and Worker', () => {
  it('have the generics of BullMQ', () => {
    const queue = new Queue<{ to: string }, boolean, 'welcome' | 'bye'>('mail');
    expectTypeOf(queue.add('welcome', { to: 'a' })).resolves.toEqualTypeOf<
      Job<{ to: string }, boolean, 'welcome' | 'bye'>
    >();
    // @ts-expect-error no such job
    void queue.add('hello', { to: 'a' });
    new Worker<{ to: string }, boolean>('mail', async (job) => job.data.to.length > 0);
    // @ts-expect-error not a boolean
    new Worker<{ to: string }, boolean>('mail', async () => 'yes');
  });
});

describe('the other services', () => {
  it('type messages, replies and options', () => {
    const pubsub = new PubSubService();
    void pubsub.subscribe({ channel: 'a', handler: (message: User) => void message.name });
    // @ts-expect-error a handler gives nothing back
    void pubsub.subscribe({ channel: 'a', handler: (message: User) => message.id });
    expectTypeOf(pubsub.publish({ channel: 'a', message: { id: 1 } })).resolves.toBeNumber();

    const redis = new RedisService();
    expectTypeOf(redis.get('a')).resolves.toEqualTypeOf<string | null>();
    expectTypeOf(redis.getBuffer('a')).resolves.toEqualTypeOf<Buffer | null>();
    expectTypeOf(redis.expire('a', 1)).resolves.toBeBoolean();

    // @ts-expect-error a misspelled option
    new SchedulerService({ redsi: {} });
    // @ts-expect-error text where a number belongs
    new RedisService({ port: '6379' });
  });
});
