import { checkOptions } from '../arguments.js';
import { invalidArgument } from '../errors.js';
import {
  type CacheInvalidation,
  InvalidationStrategy,
  type ScheduledInvalidation,
} from '../types/cache-domain-types.js';
import type { RedisConfig } from '../types/redis-config.js';
import { Agenda, type Done, type DueItem } from './agenda.js';
import { checkKey, checkKeys } from './arguments.js';
import { timeArgument } from './statistics.js';

/** How long one process has for an invalidation: a pattern may walk through a large database. */
const CLAIM_MS = 10 * 60_000;
const MOST = 10_000;
const CONCURRENCY = 4;
/** Pause after a failure. It doubles up to a minute: Redis comes back, and the invalidation must not be lost. */
const PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;

/** Invalidations at a time. They wait in Redis; one of the processes that have the cache does each. */
export class ScheduledInvalidations {
  readonly #agenda: Agenda;
  readonly #invalidate: (invalidation: CacheInvalidation) => Promise<unknown>;

  /** `invalidate` rejects when Redis fails. */
  constructor(redis: RedisConfig, prefix: string, invalidate: (invalidation: CacheInvalidation) => Promise<unknown>) {
    this.#invalidate = invalidate;
    const settings = { redis, prefix, name: 'invalidations', claimMs: CLAIM_MS, maxItems: MOST };
    this.#agenda = new Agenda({ ...settings, concurrency: CONCURRENCY, keepsDue: false }, (item) => this.#do(item));
  }

  async schedule(invalidation: ScheduledInvalidation): Promise<void> {
    checkOptions(invalidation, ['key', 'tags', 'pattern', 'at']);
    const { key, tags, pattern } = invalidation as { key?: string; tags?: readonly string[]; pattern?: string };
    const given = [key, tags, pattern].filter((one) => one !== undefined);
    if (given.length !== 1) {
      throw invalidArgument(
        'invalidation',
        `one with ${given.length} targets`,
        'exactly one of `key`, `tags`, `pattern`',
      );
    }
    if (key !== undefined) checkKey(key);
    if (tags !== undefined) checkKeys(tags, 'tags');
    if (pattern !== undefined) checkKey(pattern, 'pattern');
    const at = timeArgument('at', (invalidation as { at?: unknown }).at);
    if (at === undefined) throw invalidArgument('at', 'undefined', 'a Date, or milliseconds since the epoch');
    // The target is the id: scheduling it again moves its time.
    await this.#agenda.put(
      JSON.stringify({ keys: key === undefined ? undefined : [key], tags, pattern }),
      '',
      Math.max(0, at),
    );
  }

  get isBusy(): boolean {
    return this.#agenda.isBusy;
  }

  close(): Promise<void> {
    return this.#agenda.close();
  }

  async #do({ id, attempts }: DueItem): Promise<Done> {
    try {
      const strategy = InvalidationStrategy.TTL_BASED;
      await this.#invalidate({ ...(JSON.parse(id) as CacheInvalidation), strategy });
      return { retryAt: undefined };
    } catch {
      return { retryAt: this.#agenda.now() + Math.min(PAUSE_MS * 2 ** attempts, LONGEST_PAUSE_MS) };
    }
  }
}
