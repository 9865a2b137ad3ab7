import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from './helpers/redis-server.js';
import { uniquePrefix } from './helpers/unique-prefix.js';
import { waitFor } from './helpers/wait-for.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());

/** A thread with a cache of its own, that does what it is told: `['get', 'key']`. */
class Thread {
  readonly worker: Worker;
  #last = 0;

  constructor(prefix: string) {
    const script = `
      const { parentPort } = require('node:worker_threads');
      const { CacheService } = require(${JSON.stringify(join(import.meta.dirname, '..', 'index.js'))});
      const cache = new CacheService({ redis: { url: ${JSON.stringify(server.url)} }, prefix: ${JSON.stringify(prefix)} });
      // Values that a thread keeps decoded are reached by reading twice.
      const twice = async (key) => [await cache.get(key), await cache.get(key)][1];
      const own = { twice, coherent: async () => (await cache.health()).coherent };
      parentPort.on('message', async ({ id, call: [name, ...args] }) => {
        try {
          const value = name in own ? await own[name](...args) : await cache[name](...args);
          parentPort.postMessage({ id, value });
        } catch (error) {
          parentPort.postMessage({ id, error: error.message });
        }
      });`;
    this.worker = new Worker(script, { eval: true });
  }

  async do(...call: unknown[]): Promise<any> {
    const id = ++this.#last;
    this.worker.postMessage({ id, call });
    for (;;) {
      const [answer] = await once(this.worker, 'message');
      if (answer.id !== id) continue;
      if (answer.error) throw new Error(answer.error);
      return answer.value;
    }
  }
}

describe('threads of one process', () => {
  it('share level 1, and see each other’s writes and invalidations at once', async () => {
    const prefix = `${uniquePrefix('threads')}:`;
    const [a, b] = [new Thread(prefix), new Thread(prefix)];
    await waitFor(() => b.do('coherent'));
    await a.do('set', 'k', 1);
    expect(await b.do('getLocal', 'k')).toBe(1);
    for (const [change, seen] of [
      [['set', 'k', 2], 2],
      [['delete', 'k'], null],
      [['set', 'k', 3, { tags: ['t'] }], 3],
      [['invalidateByTag', 't'], null],
      [['mset', [{ key: 'k', value: 4 }]], 4],
      [['deletePattern', 'k*'], null],
      [['increment', 'k', 5], 5],
      [['flush'], null],
    ] as [unknown[], unknown][]) {
      await b.do('twice', 'k');
      await a.do(...change);
      expect(await b.do('get', 'k'), String(change[0])).toBe(seen);
    }
    await Promise.all([a.worker.terminate(), b.worker.terminate()]);
  });

  it('may come and go while others read the same epochs', async () => {
    const prefix = `${uniquePrefix('terminate')}:`;
    const stays = new Thread(prefix);
    await stays.do('set', 'k', 0);
    for (let round = 1; round <= 15; round++) {
      const thread = new Thread(prefix);
      expect(await thread.do('twice', 'k')).toBe(round - 1);
      await stays.do('twice', 'k');
      await thread.do('set', 'k', round);
      // Calls in flight when the thread ends.
      thread.worker.postMessage({
        id: -1,
        call: ['mset', Array.from({ length: 500 }, (_, n) => ({ key: `x${n}`, value: n }))],
      });
      await thread.worker.terminate();
      expect(await stays.do('get', 'k')).toBe(round);
    }
    await stays.worker.terminate();
  });

  it('never see a value older than a write that was answered', async () => {
    const prefix = `${uniquePrefix('race')}:`;
    const [writer, reader] = [new Thread(prefix), new Thread(prefix)];
    let written = 0;
    let done = false;
    const reading = (async () => {
      let reads = 0;
      while (!done) {
        const before = written;
        const value = (await reader.do('get', 'k')) ?? 0;
        expect(value).toBeGreaterThanOrEqual(before);
        reads++;
      }
      return reads;
    })();
    for (let n = 1; n <= 300; n++) {
      await writer.do('set', 'k', n);
      written = n;
    }
    done = true;
    expect(await reading).toBeGreaterThan(50);
    await Promise.all([writer.worker.terminate(), reader.worker.terminate()]);
  });
});
