// Adds waiting jobs through a Queue and prints by how much this process grew, as JSON.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { Queue } = require('../../index.js');
const { contender, url, jobs, warm } = JSON.parse(process.argv[2]);

const BATCH = 500;

async function add(queue, count) {
  for (let done = 0; done < count; done += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, index) => ({
      name: 'send',
      data: { to: `user${done + index}@example.com`, template: 'welcome', id: done + index },
    }));
    await queue.addBulk(batch);
  }
}

function grown() {
  global.gc();
  global.gc();
  return process.memoryUsage().rss;
}

// What adding itself needs (heap, buffers, code) is there before anything is measured: jobs are added to the server first.
const elsewhere = new Queue('warm', { connection: { url: warm } });
await add(elsewhere, 50_000);
await elsewhere.obliterate({ force: true });
await elsewhere.close();

const queue = new Queue('waiting', { connection: { url } });
await add(queue, BATCH);
const before = grown();
await add(queue, jobs);
const bytes = grown() - before;
console.log(JSON.stringify({ contender, bytes }));
await queue.close();
process.exit(0);
