import type { CacheEngine, Lease, Peeked } from './engine.js';
import type { Desk } from './flights.js';
import type { Making } from './making.js';

/** What a source gave. */
export interface Made {
  readonly key: string;
  readonly text: string;
  /** Whether it stands for `null` or `undefined`. */
  readonly nothing: boolean;
  /** Seconds, where the source named them itself. */
  readonly ttl?: number | undefined;
  /** Tags that the source named. */
  readonly late: readonly string[];
  /** Milliseconds that it took, where it is to be refreshed early; else 0. */
  readonly loadMs: number;
  /** From before the source was asked. */
  readonly validity: Peeked;
  readonly lease: Lease | undefined;
}

/** Stores what a source gave, unless it was invalidated meanwhile; the value as the callers get it. */
export async function store(engine: CacheEngine, desk: Desk, made: Made, making: Making): Promise<unknown> {
  const { key, text, nothing, late, loadMs, validity, lease } = made;
  let ttl = nothing ? making.negativeTtl : (made.ttl ?? making.ttl);
  if (making.jitter > 0) ttl = (ttl ?? engine.defaultTtlMs / 1000) * (1 - making.jitter * Math.random());
  if (ttl !== undefined) ttl = Math.max(0.001, ttl);
  const { stamp, gaps } = validity;
  // Nothing stands in for nothing.
  const stale = nothing ? 0 : making.staleMs / 1000;
  const fill = engine.fill({ key, text, ttl, tags: making.tags, late, stamp, gaps, lease, stale, loadMs });
  const stored = engine.closed ? await fill.catch(() => false) : await desk.attempt(fill);
  if (stored === true) desk.stored(key);
  // Level 1 has the counters of tags that came late.
  if (stored === false || late.length > 0) return desk.decoded(key, text);
  const ttlMs = ttl === undefined ? engine.defaultTtlMs : ttl * 1000;
  return desk.keep(key, text, validity, Math.min(hotLife(ttlMs, loadMs), engine.localLifeMs));
}

/** How long the hot view may hold a value: near its end every read draws lots whether to refresh it. */
export function hotLife(freshMs: number, loadMs: number): number {
  return loadMs === 0 ? freshMs : Math.max(0, freshMs - 10 * loadMs);
}
