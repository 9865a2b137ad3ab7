import { checkOptions } from '../arguments.js';
import { CachePriority, type CacheStatsQuery } from '../types/cache-domain-types.js';
import type { CacheStats } from '../types/cache-types.js';
import { domainOf, domainPrefix, type Names } from './arguments.js';
import type { CacheEngine } from './engine.js';
import { type Statistics, timeArgument } from './statistics.js';

/** Which statistics a call wants. */
export function statsQuery(
  given: unknown,
  names: Names,
): { domain?: string; start: string; from?: number; to?: number } {
  const query = typeof given === 'string' ? { domain: given } : (given ?? {});
  checkOptions(query, ['domain', 'startTime', 'endTime']);
  const { domain, startTime, endTime } = query as CacheStatsQuery;
  const start = domain === undefined ? '' : domainPrefix(domain, domainOf(domain, names));
  return { domain, start, from: timeArgument('startTime', startTime), to: timeArgument('endTime', endTime) };
}

/** Reads and what the cache holds; `counting` is how many keys there are in Redis, and whether that is all of them. */
export async function statsReport(
  engine: CacheEngine,
  statistics: Statistics,
  { domain, start, from, to }: ReturnType<typeof statsQuery>,
  counting: Promise<[keys: number, complete: boolean]>,
): Promise<CacheStats> {
  const { level1, level2, level3, misses } = statistics.reads(domain, from, to);
  const [keyCount, complete] = await counting;
  const [localCount, memoryUsed] = start === '' ? engine.localSize : engine.localSizeOf(start);
  const rate = (hits: number, missed: number) => (hits === 0 ? 0 : hits / (hits + missed));
  const beyond = level3 + misses;
  const asked = level2 + beyond;
  const hits = level1 + level2 + level3;
  const database = engine.database;
  return {
    hits,
    misses,
    hitRate: rate(hits, misses),
    keyCount,
    memoryUsed,
    levels: {
      level1: {
        hits: level1,
        misses: asked,
        hitRate: rate(level1, asked),
        keyCount: localCount,
        memoryUsed,
        ...(start === '' && byPriority(engine.localPriorities)),
      },
      level2: { hits: level2, misses: beyond, hitRate: rate(level2, beyond), keyCount, complete },
      ...(database !== undefined && domain === undefined
        ? { level3: { hits: level3, misses, hitRate: rate(level3, misses), ...database } }
        : undefined),
    },
  };
}

function byPriority(numbers: readonly number[]): Pick<CacheStats['levels']['level1'], 'priorities'> | undefined {
  if (numbers.length === 0) return undefined;
  const tally = (priority: CachePriority) => {
    const [keyCount, memoryUsed, evicted] = numbers.slice((priority - 1) * 3) as [number, number, number];
    return { keyCount, memoryUsed, evicted };
  };
  const { LOW, MEDIUM, HIGH, CRITICAL } = CachePriority;
  return { priorities: { LOW: tally(LOW), MEDIUM: tally(MEDIUM), HIGH: tally(HIGH), CRITICAL: tally(CRITICAL) } };
}
