import { setTimeout as sleep } from 'node:timers/promises';

/** The source behind a cache: it has values, counts who asks, and can be slow, down, or stopped in the middle. */
export class Source {
  loads = 0;
  /** Loads at this moment, and the most that there were. */
  running = 0;
  most = 0;
  value = 'v1';

  /** A load that takes a while and gives what the value was when it began. */
  load = async ({ takesMs = 0, fails = false } = {}) => {
    this.loads++;
    this.most = Math.max(this.most, ++this.running);
    try {
      const { value } = this;
      if (takesMs > 0) await sleep(takesMs);
      if (fails) throw new Error('the source is down');
      return value;
    } finally {
      this.running--;
    }
  };

  /** A load that has read its value and gives it when it is let go. */
  stopped() {
    const gate = withResolvers();
    const begun = withResolvers();
    const load = async () => {
      const { value } = this;
      this.loads++;
      begun.resolve();
      await gate.promise;
      return value;
    };
    return { load, begun: begun.promise, letGo: () => gate.resolve() };
  }
}

function withResolvers() {
  let resolve;
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
