import { checkOptions } from '../arguments.js';
import { invalidArgument } from '../errors.js';
import { kindOf } from '../kind-of.js';
import { type CacheInvalidation, InvalidationStrategy } from '../types/cache-domain-types.js';
import { checkKey, checkKeys, domainOf, domainPrefix, inDomain, type Names } from './arguments.js';
import type { CacheEngine } from './engine.js';

const FIELDS = ['domain', 'keys', 'tags', 'pattern', 'strategy'];

/** What is removed, with domains resolved. */
export interface Invalidated {
  keys: readonly string[];
  tags: readonly string[];
  patterns: readonly string[];
  /** Keys that begin with `start` and have `part` between colons in what follows. */
  having?: { readonly start: string; readonly part: string };
  strategy: InvalidationStrategy;
}

/** What an invalidation means. */
export function resolveInvalidation(given: CacheInvalidation, names: Names): Invalidated {
  checkOptions(given, FIELDS);
  const { domain, keys = [], tags = [], pattern, strategy } = given;
  if (!Array.isArray(keys)) throw invalidArgument('keys', kindOf(keys), 'an array');
  checkKeys(tags, 'tags');
  if (pattern !== undefined) checkKey(pattern, 'pattern');
  const strategies = Object.values<string>(InvalidationStrategy);
  if (strategy !== undefined && !strategies.includes(strategy)) {
    throw invalidArgument('strategy', `\`${String(strategy)}\``, strategies.map((one) => `\`${one}\``).join(', '));
  }
  const patterns = pattern === undefined ? [] : [pattern];
  const isEmpty = keys.length === 0 && tags.length === 0 && patterns.length === 0;
  const told = (strategy as InvalidationStrategy | undefined) ?? usual(keys, patterns, tags);
  if (domain === undefined) {
    if (isEmpty) throw invalidArgument('invalidation', 'of nothing', '`keys`, `tags`, `pattern` or `domain`');
    checkKeys(keys);
    return { keys, tags, patterns, strategy: told };
  }
  const start = literal(domainPrefix(domain, domainOf(domain, names)));
  return {
    keys: keys.map((id) => inDomain(domain, id, names).key),
    tags,
    patterns: isEmpty ? [`${start}*`] : patterns.map((one) => start + one),
    strategy: told,
  };
}

/** Everything that belongs to a resource: its tag, its key, and the keys that have its id as a part. */
export function resourceInvalidation(prefix: string, resource: string, id: string): Invalidated {
  return {
    keys: [`${prefix}${id}`],
    tags: [`${resource}:${id}`],
    patterns: [],
    having: { start: prefix, part: id },
    strategy: InvalidationStrategy.MANUAL,
  };
}

/** Does it; how many entries there were. Rejects when Redis fails. */
export async function invalidateAll(engine: CacheEngine, all: Invalidated): Promise<number> {
  const { keys, tags, patterns, having } = all;
  const counts = await Promise.all([
    keys.length === 0 ? 0 : engine.deleteMany(keys),
    tags.length === 0 ? 0 : engine.invalidateTags(tags),
    ...patterns.map((pattern) => engine.deletePattern(pattern)),
    having === undefined ? 0 : engine.deletePart(having.start, having.part),
  ]);
  return counts.reduce((sum, count) => sum + count, 0);
}

function usual(keys: readonly unknown[], patterns: readonly unknown[], tags: readonly unknown[]): InvalidationStrategy {
  const onlyTags = tags.length > 0 && keys.length === 0 && patterns.length === 0;
  return onlyTags ? InvalidationStrategy.TAG_BASED : InvalidationStrategy.MANUAL;
}

/** Takes the special meaning from the characters of a glob. */
function literal(text: string): string {
  return text.replace(/[\\*?[\]^]/g, '\\$&');
}
