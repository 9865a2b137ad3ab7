import { createError, type OxcartError } from '../errors.js';
import { startTimeout, stopTimeout } from '../system-time.js';
import type { CacheDomainOptions, CacheWriteFailure, WriteBehindOptions } from '../types/cache-domain-types.js';
import type { RedisConfig } from '../types/redis-config.js';
import { Agenda, type Done, type DueItem } from './agenda.js';
import { writeBehindSettings } from './domain-options.js';
import { decode, encode, type Serializer } from './values.js';

/** How much longer than an attempt a process holds on to a value, so that no other process writes it meanwhile. */
const CLAIM_BEYOND_MS = 30_000;
const LONGEST_BACKOFF = 60;
/** Pause between two looks at what still waits. */
const LOOK_MS = 20;

export interface WriteBehindSettings {
  /** Of the domain. */
  name: string;
  options: CacheDomainOptions;
  redis: RedisConfig;
  prefix: string;
  serializer: Serializer;
  /** Removes an id from the cache. */
  forget(id: string): Promise<unknown>;
  failed(failure: CacheWriteFailure): void;
}

/** A removal waits as this; values wait as they are stored. */
const REMOVAL = '';

/**
 * The writes of one domain on their way to its source. One value waits for each id, the last one, in Redis: it outlives this
 * process, and any process that has the domain writes it. A value is written by one process at a time, at least once.
 */
export class WriteBehind {
  readonly #name: string;
  readonly #options: CacheDomainOptions;
  readonly #settings: Required<WriteBehindOptions>;
  readonly #serializer: Serializer;
  readonly #agenda: Agenda;
  readonly #forget: (id: string) => Promise<unknown>;
  readonly #failed: (failure: CacheWriteFailure) => void;

  constructor({ name, options, redis, prefix, serializer, forget, failed }: WriteBehindSettings) {
    this.#name = name;
    this.#options = options;
    this.#serializer = serializer;
    this.#forget = forget;
    this.#failed = failed;
    this.#settings = writeBehindSettings(options.writeBehind ?? {}, `domains.${name}.writeBehind`);
    const { timeout, maxPending, concurrency } = this.#settings;
    this.#agenda = new Agenda(
      {
        redis,
        prefix,
        name: `writes:${name}`,
        claimMs: timeout * 1000 + CLAIM_BEYOND_MS,
        maxItems: maxPending,
        concurrency,
        keepsDue: true,
      },
      (item) => this.#write(item),
    );
  }

  /** Has a value written; resolves, when it is safe, to what tells it from others of the id. */
  write(id: string, value: unknown): Promise<string> {
    return this.#put(id, encode(id, value, this.#serializer));
  }

  /** Has an id removed. */
  remove(id: string): Promise<string> {
    return this.#put(id, REMOVAL);
  }

  /** Whether no other value of an id came after this one. */
  async isLatest(id: string, version: string): Promise<boolean> {
    const waiting = await this.#agenda.peek(id).catch(() => null);
    return waiting?.[0] === version;
  }

  /** What waits to be written under an id: null for a removal. */
  async waiting(id: string): Promise<{ value: unknown } | undefined> {
    const waiting = await this.#agenda.peek(id);
    if (waiting === null) return undefined;
    return { value: waiting[1] === REMOVAL ? null : decode(waiting[1]) };
  }

  /** Writes what waits for newer values now; resolves when nothing waits. */
  async flush(timeoutSeconds: number): Promise<void> {
    const end = performance.now() + timeoutSeconds * 1000;
    await this.#agenda.hurry(this.#settings.delay * 1000);
    try {
      for (;;) {
        const count = await this.#agenda.count();
        if (count === 0) return;
        if (performance.now() > end) throw stillWaiting(this.#name, count);
        await new Promise((resolve) => startTimeout(resolve, LOOK_MS));
      }
    } finally {
      await this.#agenda.hurry(0).catch(() => undefined);
    }
  }

  get isBusy(): boolean {
    return this.#agenda.isBusy;
  }

  close(): Promise<void> {
    return this.#agenda.close();
  }

  #put(id: string, payload: string): Promise<string> {
    return this.#agenda.put(id, payload, this.#agenda.now() + this.#settings.delay * 1000);
  }

  async #write({ id, payload, attempts }: DueItem): Promise<Done> {
    const { maxAttempts, backoff } = this.#settings;
    let value: unknown;
    try {
      value = payload === REMOVAL ? undefined : decode(payload);
      await this.#attempt(id, value, attempts + 1);
      return { retryAt: undefined };
    } catch (error) {
      const failure = { domain: this.#name, id, value, attempts: attempts + 1, error };
      if (attempts + 1 < maxAttempts) {
        const pause = Math.min(backoff * 2 ** attempts, LONGEST_BACKOFF);
        this.#failed({ ...failure, dead: false });
        // Half of the pause is left to chance, so that values that failed together do not come back together.
        return { retryAt: this.#agenda.now() + pause * 1000 * (0.5 + Math.random() / 2) };
      }
      // Unless a newer value took its place.
      const settled = (isGone: boolean) => {
        if (isGone) void this.#bury({ ...failure, dead: true });
      };
      return { retryAt: undefined, settled };
    }
  }

  async #bury(failure: CacheWriteFailure): Promise<void> {
    await this.#forget(failure.id).catch(() => undefined);
    this.#failed(failure);
  }

  async #attempt(id: string, value: unknown, attempt: number): Promise<void> {
    const { write, remove } = this.#options;
    const controller = new AbortController();
    const context = { domain: this.#name, signal: controller.signal, attempt };
    const ms = this.#settings.timeout * 1000;
    let timer: ReturnType<typeof startTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = startTimeout(() => {
        const error = tooLate(this.#name, ms);
        reject(error);
        controller.abort(error);
      }, ms);
    });
    try {
      const written = async () => (value === undefined ? remove?.(id, context) : write!(id, value, context));
      await Promise.race([written(), late]);
    } finally {
      stopTimeout(timer);
    }
  }
}

function tooLate(domain: string, ms: number): OxcartError {
  return createError({
    code: 'ERR_WAIT_TIMED_OUT',
    message: `a write of the domain \`${domain}\` took longer than ${ms} ms`,
    details: { domain },
    retryable: true,
  });
}

function stillWaiting(domain: string, count: number): OxcartError {
  return createError({
    code: 'ERR_WAIT_TIMED_OUT',
    message: `${count} writes of the domain \`${domain}\` still wait for their source`,
    details: { domain, count },
    retryable: true,
  });
}
