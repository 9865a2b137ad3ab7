import { checkFunction, checkOptions } from '../arguments.js';
import type { CacheRefreshOptions, CacheRefreshResult } from '../types/cache-domain-types.js';
import { checkKey, checkKeys, checkSeconds } from './arguments.js';
import type { DomainHost } from './domain-entries.js';
import type { CacheEngine } from './engine.js';
import { checkConcurrency, inParallel } from './in-parallel.js';

const OPTIONS = ['within', 'pattern', 'refresh', 'ttl', 'tags', 'concurrency', 'signal'];

/** Gives entries that expire soon a new value and a new life. */
export async function refreshExpiringKeys(
  engine: CacheEngine,
  host: DomainHost,
  options: CacheRefreshOptions,
): Promise<CacheRefreshResult> {
  checkOptions(options, OPTIONS);
  const { within = 60, pattern = '*', refresh, ttl, tags, concurrency = 10, signal } = options;
  checkSeconds(within, 'within');
  checkKey(pattern, 'pattern');
  checkFunction(refresh, 'refresh');
  if (typeof ttl === 'number') checkSeconds(ttl, 'ttl');
  else if (ttl !== undefined) checkFunction(ttl, 'ttl');
  if (tags !== undefined) checkFunction(tags, 'tags');
  checkConcurrency(concurrency);
  const result: CacheRefreshResult = { refreshed: 0, kept: 0, failed: [] };
  await inParallel(expiring(engine, pattern, within), concurrency, signal, async (key) => {
    try {
      const value = await refresh(key);
      if (value === null || value === undefined) {
        result.kept++;
        return;
      }
      const life = typeof ttl === 'function' ? ttl(key) : ttl;
      if (life !== undefined) checkSeconds(life, 'ttl');
      const carried = tags?.(key) ?? [];
      checkKeys(carried, 'tags');
      await host.set(key, value, { ttl: life, tags: carried });
      result.refreshed++;
    } catch (error) {
      result.failed.push({ key, error });
    }
  });
  return result;
}

/** Keys that expire soon, slice by slice; each once as long as it is in one slice or in two that follow each other. */
async function* expiring(engine: CacheEngine, pattern: string, within: number): AsyncGenerator<string> {
  let cursor = '0';
  let before = new Set<string>();
  do {
    const [next, ...keys] = await engine.expiring(cursor, pattern, within);
    const slice = new Set(keys);
    for (const key of slice) if (!before.has(key)) yield key;
    before = slice;
    cursor = next!;
  } while (cursor !== '0');
}
