import { cronNextRun } from '../../native.js';
import type { RepeatOptions } from './types.js';

/** When a pattern of cron runs next after `millis`; undefined: never. */
export function defaultRepeatStrategy(millis: number, opts: RepeatOptions): number | undefined {
  const start = opts.startDate === undefined ? millis : Math.max(millis, new Date(opts.startDate).getTime());
  const next = cronNextRun(opts.pattern ?? '', opts.tz, start);
  return opts.immediately ? Date.now() : (next ?? undefined);
}

/** The same for intervals too, which run at multiples of `every`. */
export function getNextMillis(millis: number, opts: RepeatOptions): number | undefined {
  const { pattern, every } = opts;
  if (pattern && every) throw new Error('Both .pattern and .every options are defined for this repeatable job');
  if (every) return Math.floor(millis / every) * every + (opts.immediately ? 0 : every);
  return defaultRepeatStrategy(millis, opts);
}
