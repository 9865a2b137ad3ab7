import { openConnection, type ServiceConnection } from '../connection.js';
import { door, NativeAgenda } from '../native.js';
import { onConnection } from '../split-connection.js';
import type { RedisConfig } from '../types/redis-config.js';
import { cacheClosed } from './exceptions.js';

/** Calls and events; the numbers are those of `src/node/cache_agenda.rs`. */
const CALL = { put: 0, peek: 1, settle: 2, count: 3, hurry: 4 } as const;

export interface AgendaSettings {
  redis: RedisConfig;
  /** Of the cache. */
  prefix: string;
  /** Which agenda of that cache. */
  name: string;
  /** Milliseconds that one process has for an item before another may take it. */
  claimMs: number;
  maxItems: number;
  concurrency: number;
  /** Whether what replaces an item is due when that was. */
  keepsDue: boolean;
}

/** An item that is due, and ours to do. */
export interface DueItem {
  readonly id: string;
  readonly version: string;
  readonly payload: string;
  /** How often it was tried before. */
  readonly attempts: number;
}

/** What became of an item: it is done with, or due again then, in milliseconds since the epoch. */
export type Done = { retryAt: number | undefined; settled?: (isGone: boolean) => void };

const IDLE = { state: () => undefined, error: () => undefined };

/**
 * Work for later that outlives the process: items by id, each done at least once, by one process at a time, the last one put
 * under an id last. `src/cache/agenda.rs` has the rules.
 */
export class Agenda {
  readonly #native: NativeAgenda;
  readonly #connection: ServiceConnection;
  readonly #perform: (item: DueItem) => Promise<Done>;
  readonly #running = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  /** `perform` does an item; it never rejects. */
  constructor(settings: AgendaSettings, perform: (item: DueItem) => Promise<Done>) {
    const { redis, prefix, name, claimMs, maxItems, concurrency, keepsDue } = settings;
    this.#perform = perform;
    // The cache's own connection to the same server tells of its state.
    const connection = openConnection(redis, IDLE);
    this.#connection = connection;
    this.#native = onConnection(
      connection,
      () => new NativeAgenda(door.native, connection.json, prefix, name, [claimMs, maxItems, concurrency], keepsDue),
    );
    connection.listen(this.#native.id, (_event, attempts, _, values) => {
      const [id, version, claimMs, payload] = values as [string, string, number, string];
      const running = this.#do({ id, version, payload, attempts }, claimMs).finally(() =>
        this.#running.delete(running),
      );
      this.#running.add(running);
    });
  }

  /** Whether items are being done here. */
  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  /** By which items are due. */
  now(): number {
    return this.#connection.now();
  }

  /** Resolves to the item's version. */
  put(id: string, payload: string, dueMs: number): Promise<string> {
    return this.#call(CALL.put, [id, payload, Math.ceil(dueMs)]);
  }

  peek(id: string): Promise<[version: string, payload: string] | null> {
    return this.#call(CALL.peek, [id]);
  }

  count(): Promise<number> {
    return this.#call(CALL.count, []);
  }

  /** Has items done this long before they are due. */
  hurry(aheadMs: number): Promise<void> {
    return this.#call(CALL.hurry, [aheadMs]);
  }

  /** Takes no more items, waits for those that are being done, and leaves the connection. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      while (this.#running.size > 0) await Promise.all(this.#running);
      this.#native.close();
      this.#connection.close();
    })();
    return this.#closing;
  }

  async #do(item: DueItem, claimMs: number): Promise<void> {
    // What comes in while closing is left to others.
    const done = this.#closing ? { retryAt: this.now() } : await this.#perform(item);
    const retryAt = done.retryAt === undefined ? undefined : Math.ceil(done.retryAt);
    const settling = door.call(this.#native.id, CALL.settle, [item.id, item.version, claimMs, retryAt]);
    // Unsettled, the claim runs out, and the item is done once more.
    const isGone = await settling.catch(() => false);
    done.settled?.(isGone === true);
  }

  #call(code: number, args: readonly (string | number)[]): Promise<any> {
    if (this.#closing) {
      return Promise.reject(cacheClosed());
    }
    return door.call(this.#native.id, code, args);
  }
}
