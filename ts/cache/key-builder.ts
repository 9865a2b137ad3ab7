import { createHash } from 'node:crypto';
import { invalidArgument } from '../errors.js';

/** The names in braces of a pattern: `'user' | 'page'` of `'list:{user}:{page}'`. */
export type PatternParams<Pattern extends string> = string extends Pattern
  ? string
  : Pattern extends `${string}{${infer Name}}${infer Rest}`
    ? Name | PatternParams<Rest>
    : never;

/**
 * Fills the names in braces of a pattern.
 *
 * @throws `ERR_INVALID_ARGUMENT` when a name has no value.
 * @example buildKey('user:profile:{userId}', { userId: 7 }) // 'user:profile:7'
 */
export function buildKey<const Pattern extends string>(
  pattern: Pattern,
  params: Record<PatternParams<Pattern>, string | number>,
): string {
  return pattern.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = (params as Record<string, unknown>)[name];
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw invalidArgument(`params.${name}`, String(value), `a string or number, which \`${pattern}\` needs`);
    }
    return String(value);
  });
}

/**
 * A key for the answer of `endpoint` to `params`: the same for the same parameters in any order, at any depth.
 *
 * @example hashKey('/products', { page: 1, sort: 'price' }) // 'api:/products:' and 32 hexadecimal digits
 */
export function hashKey(endpoint: string, params: unknown): string {
  const digest = createHash('sha256')
    .update(JSON.stringify(sorted(params)) ?? 'undefined')
    .digest('hex');
  return `api:${endpoint}:${digest.slice(0, 32)}`;
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || 'toJSON' in value) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]));
}

/**
 * Names lives of entries, in seconds, for the `ttls` option and `ttlKey`.
 *
 * @throws `ERR_INVALID_ARGUMENT` for a life that is not a positive finite number.
 * @example const CACHE_TTL = defineTtls({ STORY_DETAIL: 60 * 60, SEARCH_RESULTS: 60 * 3 });
 */
export function defineTtls<const Ttls extends Record<string, number>>(ttls: Ttls): Readonly<Ttls> {
  for (const [name, seconds] of Object.entries(ttls)) {
    if (!(typeof seconds === 'number' && seconds > 0 && Number.isFinite(seconds))) {
      throw invalidArgument(name, String(seconds), 'seconds above 0');
    }
  }
  return Object.freeze({ ...ttls });
}

export interface CacheKeyOptions<Entity extends string = string, Operation extends string = string> {
  /** What is cached: `story`. */
  entity: Entity;
  /** Which view of it: `detail`, `list`. */
  operation: Operation;
  /** What tells one from another. Written as `name=value`, sorted by name. */
  identifiers?: Record<string, string | number>;
  /** A further distinction, at the end of the key. */
  variant?: string;
}

/**
 * Builds keys of one form: `prefix:entity:operation:name=value:variant`. Set the application's prefix once, or extend
 * the class:
 *
 * ```ts
 * class Keys extends CacheKeyBuilder {
 *   static override prefix = 'sc';
 *   static storyDetail(slug: string) {
 *     return Keys.build({ entity: 'story', operation: 'detail', identifiers: { slug } });
 *   }
 * }
 * ```
 */
export class CacheKeyBuilder {
  /** The first part of every key. Empty, the default, leaves it out. */
  static prefix = '';

  // biome-ignore-start lint/complexity/noThisInStatic: a subclass has a prefix of its own

  /** @example CacheKeyBuilder.build({ entity: 'story', operation: 'detail', identifiers: { slug: 'x' } }) // 'story:detail:slug=x' */
  static build(options: CacheKeyOptions): string {
    const { entity, operation, identifiers = {}, variant } = options;
    const parts = [entity, operation];
    for (const name of Object.keys(identifiers).sort()) parts.push(`${name}=${part(identifiers[name]!)}`);
    if (variant !== undefined && variant !== '') parts.push(variant);
    return this.join(parts);
  }

  /**
   * A pattern of all keys of an entity, or of one operation on it.
   *
   * @example CacheKeyBuilder.pattern({ entity: 'story' }) // 'story:*'
   */
  static pattern(options: Partial<CacheKeyOptions> = {}): string {
    const { entity, operation } = options;
    const parts = entity === undefined ? [] : operation === undefined ? [entity] : [entity, operation];
    return `${this.join(parts.map(literal), literal(this.prefix))}${parts.length > 0 || this.prefix !== '' ? ':' : ''}*`;
  }

  private static join(parts: readonly string[], prefix = this.prefix): string {
    return (prefix === '' ? parts : [prefix, ...parts]).join(':');
  }

  // biome-ignore-end lint/complexity/noThisInStatic: as above
}

/** A value cannot pass for the next part of the key. */
function part(value: string | number): string {
  return String(value).replace(/[%:]/g, encodeURIComponent);
}

function literal(text: string): string {
  return text.replace(/[\\*?[\]^]/g, '\\$&');
}
