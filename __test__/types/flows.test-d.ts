import { expectTypeOf, test } from 'vitest';
import { FlowProducer, Job, type JobNode, type NextJobData, Queue, Worker } from '../../ts/index.js';

test('a flow is typed by what its jobs may say', () => {
  const flows = new FlowProducer();
  const child = { name: 'child', queueName: 'children' };
  expectTypeOf(
    flows.add({ name: 'parent', queueName: 'parents', children: [child] }),
  ).resolves.toEqualTypeOf<JobNode>();
  expectTypeOf(flows.getFlow({ queueName: 'parents', id: '1' })).resolves.toEqualTypeOf<JobNode | undefined>();
  void flows.add({ ...child, opts: { deduplication: { id: 'd' }, parent: { id: '1', queue: 'bull:q' } } });
  // @ts-expect-error: a parent cannot be deduplicated
  void flows.add({ ...child, opts: { deduplication: { id: 'd' } }, children: [child] });
  // @ts-expect-error: a child has the parent above it
  void flows.add({ ...child, children: [{ ...child, opts: { parent: { id: '1', queue: 'bull:q' } } }] });
  // @ts-expect-error: a job of a flow names its queue
  void flows.add({ name: 'parent' });
});

test('jobs fetched by hand carry data and result', () => {
  const worker = new Worker<{ n: number }, string>('slow', null);
  expectTypeOf(worker.getNextJob('t')).resolves.toEqualTypeOf<Job<{ n: number }, string> | undefined>();
  const job = {} as Job<{ n: number }, string>;
  expectTypeOf(job.moveToCompleted('done', 't')).resolves.toEqualTypeOf<NextJobData>();
  // @ts-expect-error: another result
  void job.moveToCompleted(5, 't');
  // @ts-expect-error: an imported processor that is not there is no processor
  new Worker('slow', undefined);
  expectTypeOf(Job.create(new Queue('q'), 'name', { a: 1 })).resolves.toEqualTypeOf<Job<{ a: number }, any, 'name'>>();
});
