// One face for oxcart, BullMQ and Bull: a queue to add to, and workers on it. All with their default options.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

function bullmqStyle({ Queue, Worker }, port) {
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
  return {
    async open(name) {
      const queue = new Queue(name, { connection });
      await queue.waitUntilReady();
      return {
        prefix: `bull:${name}:`,
        add: (data) => queue.add('send', data),
        addBulk: (jobs) => queue.addBulk(jobs.map((data) => ({ name: 'send', data }))),
        counts: () => queue.getJobCounts('waiting', 'active', 'failed', 'completed'),
        clean: (grace) => queue.clean(grace, 0, 'completed'),
        close: () => queue.close(),
      };
    },
    work(name, concurrency, processor, completed, failed, options) {
      const worker = new Worker(name, processor, { connection, concurrency, ...options });
      worker.on('completed', completed);
      worker.on('error', failed);
      worker.on('failed', (_job, error) => failed(error));
      return worker;
    },
  };
}

function bullStyle(Queue, port) {
  const redis = { host: '127.0.0.1', port };
  return {
    async open(name) {
      const queue = new Queue(name, { redis });
      await queue.isReady();
      return {
        prefix: `bull:${name}:`,
        add: (data) => queue.add('send', data),
        addBulk: (jobs) => queue.addBulk(jobs.map((data) => ({ name: 'send', data }))),
        counts: () => queue.getJobCounts(),
        clean: (grace) => queue.clean(grace, 'completed'),
        close: () => queue.close(),
      };
    },
    work(name, concurrency, processor, completed, failed) {
      const queue = new Queue(name, { redis });
      queue.on('completed', completed);
      queue.on('error', failed);
      queue.on('failed', (_job, error) => failed(error));
      queue.process('send', concurrency, processor).catch(failed);
      return queue;
    },
  };
}

export function contender(name, port) {
  if (name === 'oxcart') return bullmqStyle(require('../../index.js'), port);
  if (name === 'bullmq') return bullmqStyle(require('bullmq'), port);
  if (name === 'bull') return bullStyle(require('bull'), port);
  throw new Error(`no contender ${name}`);
}
