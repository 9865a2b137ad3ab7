// What a scenario is played in: a Redis with a proxy before it, caches of this process and of others, and a source.
import { execFileSync, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ask } from '../harness/server-info.mjs';
import { Source } from './source.mjs';

const folder = fileURLToPath(new URL('.', import.meta.url));

export class World {
  /** Of the caches' keys. */
  prefix = `scores-${randomUUID().slice(0, 8)}:`;
  source = new Source();
  #adapter;
  #open = [];
  #children = [];

  /** `server` and `proxy` are a `RedisServer` and a `FlakyProxy` that leads to it. */
  constructor(adapter, server, proxy) {
    this.#adapter = adapter;
    this.server = server;
    this.proxy = proxy;
  }

  /** A cache in this process; with `proxied`, behind the proxy. `patienceMs`: how long its writes wait for Redis. */
  async cache({ proxied = false, reachable = true, patienceMs = undefined } = {}) {
    const port = proxied ? this.proxy.port : this.server.port;
    const cache = await this.#adapter.open({ port, prefix: this.prefix, reachable, patienceMs });
    this.#open.push(cache);
    return cache;
  }

  /**
   * A cache in a process of its own, with a source of its own. Its `getOrSet` takes, for a factory, what its source does:
   * `{ value, takesMs }`.
   */
  async other({ skewSeconds = 0, proxied = false } = {}) {
    const port = proxied ? this.proxy.port : this.server.port;
    const child = fork(join(folder, 'process.mjs'), [this.#adapter.name, String(port), this.prefix], {
      ...(skewSeconds !== 0 && skewed(skewSeconds)),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#children.push(child);
    const waiting = new Map();
    let last = 0;
    const ready = new Promise((resolve, reject) => {
      child.once('exit', (code) => {
        const gone = new Error(`the other process ended with ${code}`);
        reject(gone);
        for (const { fail } of waiting.values()) fail(gone);
      });
      child.on('message', ({ id, value, error }) => {
        if (id === 0) return error === undefined ? resolve(value) : reject(new Error(error));
        const { done, fail } = waiting.get(id);
        waiting.delete(id);
        return error === undefined ? done(value) : fail(new Error(error));
      });
    });
    const call = (name, ...args) =>
      new Promise((done, fail) => {
        const id = ++last;
        waiting.set(id, { done, fail });
        child.send({ id, name, args });
      });
    const born = await ready;
    if (skewSeconds !== 0 && Math.abs(born - Date.now() - skewSeconds * 1000) > 10_000) {
      throw new Error('the clock of the other process was not moved');
    }
    const names = ['get', 'set', 'getOrSet', 'delete', 'invalidateTag', 'deletePattern', 'clear', 'loads', 'crowd'];
    const calls = Object.fromEntries(names.map((name) => [name, (...args) => call(name, ...args)]));
    return { ...calls, kill: () => child.kill('SIGKILL') };
  }

  /** A command by somebody who knows nothing of caches. */
  redis(...words) {
    return ask(this.server.port, ...words);
  }

  /** Keys in Redis that are the cache's. */
  async keys() {
    const script = 'return table.concat(redis.call("KEYS", "*"), "\\n")';
    const keys = await this.redis('EVAL', script, '0');
    return keys === '' ? [] : keys.split('\n');
  }

  /** Removes from Redis what remembers that tags were invalidated, as an eviction does. */
  async loseTagMarkers() {
    const markers = this.#adapter.tagMarkers(await this.keys());
    if (markers.length === 0) throw new Error('there are no markers of tags');
    await this.redis('DEL', ...markers);
  }

  sleep(ms) {
    return sleep(ms);
  }

  async close() {
    this.proxy.heal();
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.race([Promise.allSettled(this.#open.map(async (cache) => cache.close())), sleep(2_000)]);
  }
}

let shim;

/**
 * How a process is started whose wall clock is off. The shim moves it for native code too; where there is none, only the
 * clock of JavaScript moves.
 */
function skewed(seconds) {
  if (process.platform !== 'linux') {
    const patch = `const now = Date.now; Date.now = () => now() + ${seconds * 1000};`;
    return { execArgv: ['--import', `data:text/javascript,${encodeURIComponent(patch)}`] };
  }
  if (shim === undefined) {
    const directory = mkdtempSync(join(tmpdir(), 'oxcart-clock-'));
    process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
    shim = join(directory, 'skewed-clock.so');
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, join(folder, 'skewed-clock.c'), '-ldl']);
  }
  return { env: { ...process.env, LD_PRELOAD: shim, OXCART_CLOCK_SKEW_SECONDS: String(seconds) } };
}
