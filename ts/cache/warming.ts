import { checkFunction, checkOptions } from '../arguments.js';
import { invalidArgument } from '../errors.js';
import { kindOf } from '../kind-of.js';
import type { CacheWarmOptions, CacheWarmResult } from '../types/cache-domain-types.js';
import { inDomain, type Names, storing } from './arguments.js';
import type { DomainEntries, DomainHost } from './domain-entries.js';
import { checkConcurrency, inParallel } from './in-parallel.js';

const OPTIONS = ['domain', 'keys', 'ttl', 'tags', 'load', 'concurrency', 'refresh', 'onProgress', 'signal'];

/** Loads values before anyone asks for them. */
export async function warm(
  host: DomainHost,
  domains: DomainEntries,
  names: Names,
  options: CacheWarmOptions,
): Promise<CacheWarmResult> {
  checkOptions(options, OPTIONS);
  const { domain, keys, ttl, tags, load, concurrency = 10, refresh = false, onProgress, signal } = options;
  if (!Array.isArray(keys)) throw invalidArgument('keys', kindOf(keys), 'an array');
  checkConcurrency(concurrency);
  if (load !== undefined) checkFunction(load, 'load');
  if (onProgress !== undefined) checkFunction(onProgress, 'onProgress');
  if (load === undefined && (domain === undefined || domains.loader(domain, '') === undefined)) {
    throw invalidArgument('load', 'missing', 'a function, or a domain that has a `load`');
  }
  const given = storing({ ttl, tags }, names);
  const named = keys.map((key) => {
    if (typeof key !== 'string' && typeof key !== 'number') {
      throw invalidArgument('keys', `an array with ${kindOf(key)}`, 'strings and numbers');
    }
    if (domain === undefined) return { id: String(key), stored: String(key), storing: given };
    const { key: stored, options } = inDomain(domain, key, names);
    return { id: String(key), stored, storing: { ...given, ttl: given.ttl ?? options.ttl } };
  });
  const result: CacheWarmResult = { warmed: 0, present: 0, absent: 0, failed: [] };
  let done = 0;
  await inParallel(named, concurrency, signal, async ({ id, stored, storing }) => {
    const source = load === undefined ? domains.loader(domain!, id)! : () => load(id);
    try {
      let isMade = false;
      const factory = () => {
        isMade = true;
        return source();
      };
      let value: unknown;
      if (refresh) {
        value = await factory();
        if (value !== null && value !== undefined) await host.set(stored, value, storing);
      } else {
        value = await host.getOrSet(stored, factory, storing);
      }
      if (value === null || value === undefined) result.absent++;
      else if (isMade) result.warmed++;
      else result.present++;
    } catch (error) {
      result.failed.push({ key: id, error });
    }
    onProgress?.({ done: ++done, total: named.length, key: id });
  });
  return result;
}
