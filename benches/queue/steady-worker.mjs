// Works on a queue, 16 jobs at a time that take a millisecond each, and says every 100 ms how many it has done.
import { contender } from './contenders.mjs';

const { port, name } = JSON.parse(process.argv[2]);
let done = 0;
contender('oxcart', port).work(
  name,
  16,
  () => new Promise((resolve) => setTimeout(resolve, 1)),
  () => {
    done += 1;
  },
  (error) => {
    throw error;
  },
  // What it has done stays: only the cleaning removes.
  { removeOnComplete: false },
);
setInterval(() => console.log(done), 100);
