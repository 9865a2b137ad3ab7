// A user's module, type-checked strictly against the installed package: what comes back is typed, what is wrong is refused.
import { CacheService, type Job, PubSubService, QueueService, RedisService, SchedulerService } from 'oxcart';
import { createTestInfra } from 'oxcart/testing';

interface User {
  id: number;
  name: string;
}
type Payloads = { mail: { to: string }; resize: { fileId: string; width: number } };
type Results = { mail: { sent: boolean }; resize: { bytes: number } };

/** Type-checks only if `Actual` and `Expected` are the same type (`any` is not the same as anything else). */
type Same<Actual, Expected> =
  (<T>() => T extends Actual ? 1 : 2) extends <T>() => T extends Expected ? 1 : 2 ? true : false;
function same<Answer extends true>(): Answer | undefined {
  return undefined;
}

export async function useEverything(url: string): Promise<string[]> {
  const seen: string[] = [];
  const redis = { url };

  const cache = new CacheService({ redis, prefix: 'consumer' });
  await cache.set('user:1', { id: 1, name: 'Ada' }, { ttl: 60, tags: ['users'] });
  const user = await cache.get<User>('user:1');
  same<Same<typeof user, User | null>>();
  const loaded = await cache.getOrSet<User>('user:2', async () => ({ id: 2, name: 'Grace' }), 60);
  same<Same<typeof loaded, User>>();
  seen.push(user?.name ?? '?', loaded.name);
  // @ts-expect-error a key is text
  const refused = () => cache.get<User>(12);
  void refused;

  const queue = new QueueService<Payloads, Results>({ redis, prefix: 'consumer' });
  await queue.initialize();
  const done = new Promise<void>((resolve) => {
    queue.on('worker:completed', () => resolve());
  });
  queue.registerProcessor('resize', async (job) => {
    same<Same<typeof job.data, Payloads['resize']>>();
    return { bytes: job.data.width * 2 };
  });
  const job = await queue.addJob({ queue: 'resize', name: 'resize', data: { fileId: 'a', width: 21 } });
  same<Same<typeof job, Job<Payloads['resize'], Results['resize']>>>();
  // @ts-expect-error the payload of another queue
  const wrongPayload = () => queue.addJob({ queue: 'resize', name: 'resize', data: { to: 'x' } });
  // @ts-expect-error no such queue
  const wrongQueue = () => queue.addJob({ queue: 'sing', name: 'sing', data: {} });
  void wrongPayload;
  void wrongQueue;
  await done;
  const finished = await queue.getJob('resize', String(job.id));
  seen.push(String(finished?.returnvalue?.bytes));

  const pubsub = new PubSubService({ redis });
  const message = new Promise<User>((resolve) => {
    void pubsub.subscribe({ channel: 'users', handler: (received: User) => resolve(received) }).then(async () => {
      await pubsub.publish({ channel: 'users', message: { id: 3, name: 'Joan' } });
    });
  });
  seen.push((await message).name);

  const scheduler = new SchedulerService({ redis });
  await scheduler.destroy();

  const commands = new RedisService(redis);
  await commands.set('consumer:plain', 'text');
  const text = await commands.get('consumer:plain');
  same<Same<typeof text, string | null>>();
  seen.push(text ?? '?');

  const infra = createTestInfra<Payloads, Results>({ now: 0 });
  infra.queues.registerProcessor('mail', async (job) => {
    same<Same<typeof job.data, Payloads['mail']>>();
    return { sent: true };
  });
  await infra.queues.addJob('mail', { to: 'Ada' }, { delay: 60_000 });
  await infra.advanceTime(60_000);
  const [mailed] = await infra.jobs('mail');
  seen.push(String(mailed?.finishedOn));
  await infra.close();

  await commands.close();
  await pubsub.close();
  await queue.destroy();
  await cache.close();
  return seen;
}
