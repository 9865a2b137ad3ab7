import { checkOptions } from '../arguments.js';
import { ClosedError, invalidArgument } from '../errors.js';
import { kindOf } from '../kind-of.js';
import type { PubSubService } from '../pubsub-service.js';
import { type CacheInvalidation, InvalidationStrategy } from '../types/cache-domain-types.js';
import { checkKey, checkKeys } from './arguments.js';

/** What a message asks to be invalidated. What of it is given is invalidated, all of it. */
export interface CacheInvalidationMessage {
  pattern?: string;
  keys?: readonly string[];
  tag?: string;
  tags?: readonly string[];
}

/** What the handler needs of a cache; a `CacheService` is one. */
export interface InvalidatedCache {
  invalidate(invalidation: CacheInvalidation): Promise<number>;
}

export interface CacheInvalidationHandlerOptions {
  /** The channel of the messages. Default `cache:invalidate`. */
  channel?: string;
}

const FIELDS = ['pattern', 'keys', 'tag', 'tags'];

/**
 * Invalidates what messages name: for services that have no access to the cache, and for caches on servers of their own that
 * are to follow one another. Caches on one server need none of this: they follow each other by themselves.
 *
 * It subscribes when it is made. What a message lacks or gets wrong is reported as `error` by the `PubSubService`.
 *
 * @example
 * const handler = new CacheInvalidationHandler(cacheService, pubsubService);
 * await handler.ready;
 * await handler.publishInvalidation({ tag: 'products' });
 */
export class CacheInvalidationHandler implements AsyncDisposable {
  /** Resolves when messages are heard. Rejects when the subscription failed. */
  readonly ready: Promise<void>;
  readonly #cache: InvalidatedCache;
  readonly #pubsub: PubSubService;
  readonly #channel: string;
  readonly #handler = (message: unknown) => this.#handle(message);

  /** @throws `ERR_INVALID_OPTION` for an option that is unknown. */
  constructor(
    cacheService: InvalidatedCache,
    pubsubService: PubSubService,
    options: CacheInvalidationHandlerOptions = {},
  ) {
    checkOptions(options, ['channel']);
    const { channel = 'cache:invalidate' } = options;
    checkKey(channel, 'channel');
    this.#cache = cacheService;
    this.#pubsub = pubsubService;
    this.#channel = channel;
    this.ready = pubsubService.subscribe({ channel, handler: this.#handler });
    // Who does not wait for it hears of a failure from the service.
    this.ready.catch(() => undefined);
  }

  /**
   * Tells every handler of the channel, this one too, what to invalidate.
   *
   * @returns How many subscribers heard it.
   * @throws `ERR_INVALID_ARGUMENT` when it names nothing, or something wrong.
   */
  async publishInvalidation(params: CacheInvalidationMessage): Promise<number> {
    return this.#pubsub.publish({ channel: this.#channel, message: checked(params) });
  }

  /** Hears no more. The services stay open. */
  async close(): Promise<void> {
    await this.ready.catch(() => undefined);
    await this.#pubsub.unsubscribe(this.#channel, this.#handler).catch((error: unknown) => {
      // A service that is closed has no subscription left.
      if (!(error instanceof ClosedError)) throw error;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #handle(message: unknown): Promise<void> {
    const { pattern, keys, tag, tags = [] } = checked(message);
    const all = tag === undefined ? tags : [tag, ...tags];
    await this.#cache.invalidate({ pattern, keys, tags: all, strategy: InvalidationStrategy.EVENT_BASED });
  }
}

function checked(message: unknown): CacheInvalidationMessage {
  checkOptions(message, FIELDS);
  const { pattern, keys, tag, tags } = message as CacheInvalidationMessage;
  if (pattern !== undefined) checkKey(pattern, 'pattern');
  if (keys !== undefined) checkKeys(keys);
  if (tag !== undefined) checkKey(tag, 'tag');
  if (tags !== undefined) checkKeys(tags, 'tags');
  if (Object.keys(message).length === 0) {
    throw invalidArgument('params', kindOf(message), `an object with ${FIELDS.map((one) => `\`${one}\``).join(', ')}`);
  }
  return message as CacheInvalidationMessage;
}
