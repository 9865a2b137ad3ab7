import { hashKey } from '../cache/key-builder.js';
import type { CacheService } from '../cache-service.js';
import { createError, invalidArgument, invalidOption } from '../errors.js';
import { kindOf } from '../kind-of.js';

type AnyCache = CacheService<any, any>;
type Method = (this: any, ...args: any[]) => any;

/** Longest text of arguments in a key: `limits.maxKeyLength` leaves that much beside a usual prefix. Longer ones are hashed. */
const LONGEST_ARGUMENTS = 256;

/** Which cache a decorated method uses. */
export interface CacheDecoratorTarget {
  /**
   * The cache, or what finds it for an instance. Default: the instance's `cacheService`, else what `setDefaultCacheService`
   * was given.
   */
  cache?: AnyCache | ((instance: any) => AnyCache);
}

/** Options of `@Cacheable` and `@CachePut`. */
export interface CacheableOptions<Args extends any[] = any[]> extends CacheDecoratorTarget {
  /** What its keys begin with; a colon follows. */
  keyPrefix: string;
  /** Seconds. Default: that of the cache. */
  ttl?: number;
  /** A life of the `ttls` option of the cache, by name. `ttl` goes before it. */
  ttlKey?: string;
  /** Tags of the entries, or what makes them of the arguments. */
  tags?: readonly string[] | ((...args: Args) => readonly string[]);
  /**
   * The rest of the key. Default: the arguments as JSON, or a hash of them when that is long. Functions, symbols and cycles among
   * the arguments need one.
   */
  keyGenerator?: (...args: Args) => string | number;
}

/** Options of `@CacheEvict`. What of `keyPrefix`, `tags` and `pattern` is given is invalidated, all of it. */
export interface CacheEvictOptions<Args extends any[] = any[]> extends CacheDecoratorTarget {
  /** The entry that `@Cacheable` with the same prefix and key makes of the same arguments. */
  keyPrefix?: string;
  keyGenerator?: (...args: Args) => string | number;
  /** Every entry whose key begins with `keyPrefix:`, whatever the arguments. Default false. */
  allEntries?: boolean;
  tags?: readonly string[] | ((...args: Args) => readonly string[]);
  pattern?: string | ((...args: Args) => string);
  /** Before the method runs, and so even when it throws. Default false: after it, when it did not throw. */
  beforeInvocation?: boolean;
}

/** A decorator of methods that return promises: for `experimentalDecorators`, and for those of the language. */
export interface CacheDecorator {
  <This, Args extends any[], Result extends PromiseLike<unknown>>(
    method: (this: This, ...args: Args) => Result,
    context: ClassMethodDecoratorContext<This, (this: This, ...args: Args) => Result>,
  ): (this: This, ...args: Args) => Result;
  <Result extends PromiseLike<unknown>>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<(...args: any[]) => Result>,
  ): void;
}

let defaultCache: AnyCache | undefined;

/**
 * The cache of decorated methods whose instance has no `cacheService`; `undefined` takes it back.
 *
 * @example setDefaultCacheService(new CacheService({ redis }));
 */
export function setDefaultCacheService(cache: AnyCache | undefined): void {
  defaultCache = cache;
}

/**
 * Caches what a method returns, by its arguments: `getOrSet` around it, with one call of the method for all who ask at once.
 * `null` and `undefined` are not stored.
 *
 * @throws `ERR_INVALID_OPTION` when the class is defined. A call rejects with `ERR_INVALID_OPTION` when there is no cache, and
 *   with `ERR_INVALID_ARGUMENT` when its arguments make no key.
 * @example
 * class UserService {
 *   constructor(private cacheService: CacheService) {}
 *
 *   @Cacheable({ keyPrefix: 'user:profile', ttl: 3600, keyGenerator: (userId: string) => userId })
 *   async getUserProfile(userId: string): Promise<UserProfile> { … }
 * }
 */
export function Cacheable<Args extends any[] = any[]>(options: CacheableOptions<Args>): CacheDecorator {
  checkStoring('Cacheable', options);
  return around(
    (method) =>
      async function (this: any, ...args: any[]) {
        const key = keyOf(options.keyPrefix, options.keyGenerator, args as Args);
        return cacheOf(options, this).getOrSet(key, () => method.apply(this, args), storage(options, args as Args));
      },
  );
}

/**
 * Runs the method every time and stores what it returns, where `@Cacheable` with the same prefix and key finds it. `null` and
 * `undefined` remove the entry.
 *
 * @throws as {@link Cacheable}
 */
export function CachePut<Args extends any[] = any[]>(options: CacheableOptions<Args>): CacheDecorator {
  checkStoring('CachePut', options);
  return around(
    (method) =>
      async function (this: any, ...args: any[]) {
        const key = keyOf(options.keyPrefix, options.keyGenerator, args as Args);
        const cache = cacheOf(options, this);
        const result = await method.apply(this, args);
        await cache.set(key, result, storage(options, args as Args));
        return result;
      },
  );
}

/**
 * Invalidates entries when the method has run.
 *
 * @throws as {@link Cacheable}
 * @example
 * @CacheEvict({ keyPrefix: 'user:profile', keyGenerator: (userId: string) => userId })
 * async deleteUser(userId: string): Promise<void> { … }
 */
export function CacheEvict<Args extends any[] = any[]>(options: CacheEvictOptions<Args>): CacheDecorator {
  const own = ['keyPrefix', 'keyGenerator', 'allEntries', 'tags', 'pattern', 'beforeInvocation'];
  checkNames('CacheEvict', options, own);
  const { keyPrefix, keyGenerator, allEntries = false, tags, pattern, beforeInvocation = false } = options;
  if (keyPrefix === undefined && tags === undefined && pattern === undefined) {
    throw invalidOption('keyPrefix', 'missing', 'a string, unless `tags` or `pattern` is given');
  }
  if (keyPrefix !== undefined) checkPrefix(keyPrefix);
  if (allEntries && keyPrefix === undefined) throw invalidOption('allEntries', 'given alone', 'beside `keyPrefix`');
  checkGenerator(keyGenerator);
  checkTags(tags);
  const evict = async (cache: AnyCache, args: Args) => {
    const glob = typeof pattern === 'function' ? pattern(...args) : pattern;
    const named = typeof tags === 'function' ? tags(...args) : tags;
    await Promise.all([
      keyPrefix === undefined
        ? 0
        : allEntries
          ? cache.clear(keyPrefix)
          : cache.delete(keyOf(keyPrefix, keyGenerator, args)),
      named === undefined ? 0 : cache.invalidateTags(named),
      glob === undefined ? 0 : cache.deletePattern(glob),
    ]);
  };
  return around(
    (method) =>
      async function (this: any, ...args: any[]) {
        const cache = cacheOf(options, this);
        if (beforeInvocation) await evict(cache, args as Args);
        const result = await method.apply(this, args);
        if (!beforeInvocation) await evict(cache, args as Args);
        return result;
      },
  );
}

/** A decorator for both kinds of calls. */
function around(wrap: (method: Method) => Method): CacheDecorator {
  return ((first: unknown, second: unknown, descriptor?: PropertyDescriptor) => {
    if (descriptor === undefined) {
      const kind = (second as { kind?: unknown } | undefined)?.kind;
      if (kind !== 'method' || typeof first !== 'function') throw onlyMethods(String(kind));
      return named(wrap(first as Method), first as Method);
    }
    const method: unknown = descriptor.value;
    if (typeof method !== 'function') throw onlyMethods('accessor');
    descriptor.value = named(wrap(method as Method), method as Method);
    return undefined;
  }) as CacheDecorator;
}

/** What `reflect-metadata` adds, where it is loaded. */
interface MetadataReflect {
  getMetadataKeys?(target: object): unknown[];
  getMetadata?(key: unknown, target: object): unknown;
  defineMetadata?(key: unknown, value: unknown, target: object): void;
}

/** Frameworks find methods by their names and the metadata on them. */
function named(wrapped: Method, method: Method): Method {
  Object.defineProperty(wrapped, 'name', { value: method.name, configurable: true });
  Object.defineProperty(wrapped, 'length', { value: method.length, configurable: true });
  const metadata = Reflect as MetadataReflect;
  for (const key of metadata.getMetadataKeys?.(method) ?? []) {
    metadata.defineMetadata?.(key, metadata.getMetadata?.(key, method), wrapped);
  }
  return wrapped;
}

function onlyMethods(kind: string): Error {
  return invalidArgument('target', `a ${kind}`, 'a method');
}

function cacheOf({ cache }: CacheDecoratorTarget, instance: any): AnyCache {
  const found: unknown =
    typeof cache === 'function' ? cache(instance) : (cache ?? instance?.cacheService ?? defaultCache);
  if (typeof (found as AnyCache | undefined)?.getOrSet === 'function') return found as AnyCache;
  const got = found === undefined || found === null ? 'missing' : kindOf(found);
  throw invalidOption(
    'cache',
    got,
    'a CacheService here, as `cacheService` of the instance, or by `setDefaultCacheService`',
  );
}

function keyOf<Args extends any[]>(
  prefix: string,
  generator: ((...args: Args) => string | number) | undefined,
  args: Args,
): string {
  if (generator !== undefined) {
    const rest: unknown = generator(...args);
    if (typeof rest === 'string' || typeof rest === 'number') return `${prefix}:${rest}`;
    throw invalidArgument(
      'keyGenerator',
      `a function that returned ${kindOf(rest)}`,
      'one that returns a string or number',
    );
  }
  const text = textOf(args);
  return text.length <= LONGEST_ARGUMENTS
    ? `${prefix}:${text}`
    : `${prefix}:${hashKey('', text).slice('api::'.length)}`;
}

function textOf(args: unknown[]): string {
  try {
    return JSON.stringify(args, (_, value: unknown) => {
      // JSON would leave it out, and calls that differ in it would share an entry.
      if (typeof value === 'function' || typeof value === 'symbol') throw new TypeError(`JSON has no ${typeof value}`);
      if (value instanceof Map || value instanceof Set) throw new TypeError(`JSON has no ${value.constructor.name}`);
      return value;
    });
  } catch (cause) {
    throw createError({
      code: 'ERR_INVALID_ARGUMENT',
      message: `the arguments make no cache key: ${(cause as Error).message}; give the decorator a \`keyGenerator\``,
      details: { argument: 'args' },
      cause,
    });
  }
}

function storage<Args extends any[]>({ ttl, ttlKey, tags }: CacheableOptions<Args>, args: Args) {
  return { ttl, ttlKey, tags: typeof tags === 'function' ? tags(...args) : tags };
}

function checkStoring(decorator: string, options: CacheableOptions<any>): void {
  checkNames(decorator, options, ['keyPrefix', 'ttl', 'ttlKey', 'tags', 'keyGenerator']);
  checkPrefix(options.keyPrefix);
  checkGenerator(options.keyGenerator);
  checkTags(options.tags);
  const { ttl } = options;
  if (ttl !== undefined && !(typeof ttl === 'number' && ttl > 0 && Number.isFinite(ttl))) {
    throw invalidOption('ttl', typeof ttl === 'number' ? String(ttl) : kindOf(ttl), 'seconds above 0');
  }
}

function checkNames(decorator: string, options: unknown, own: readonly string[]): void {
  const allowed = [...own, 'cache'];
  if (typeof options !== 'object' || options === null) {
    throw invalidArgument('options', kindOf(options), `the options of \`@${decorator}\``);
  }
  for (const name of Object.keys(options)) {
    if (!allowed.includes(name)) throw invalidOption(name, 'unknown', allowed.map((one) => `\`${one}\``).join(', '));
  }
}

function checkPrefix(prefix: unknown): void {
  if (typeof prefix !== 'string' || prefix === '') {
    throw invalidOption('keyPrefix', prefix === '' ? 'empty' : kindOf(prefix), 'a string of at least one character');
  }
}

function checkGenerator(generator: unknown): void {
  if (generator !== undefined && typeof generator !== 'function') {
    throw invalidOption('keyGenerator', kindOf(generator), 'a function');
  }
}

function checkTags(tags: unknown): void {
  if (tags !== undefined && typeof tags !== 'function' && !Array.isArray(tags)) {
    throw invalidOption('tags', kindOf(tags), 'an array of strings, or a function that makes one');
  }
}
