import type { LimiterOptions } from './queue-options.js';

/** Bounds of each group that has none of its own. They are the queue's: all workers of all processes share them. */
export interface GroupLimits {
  /** Jobs of a group running at once. Default: no bound. */
  concurrency?: number;
  /** Jobs of a group started in each period. Default: no bound. */
  limit?: LimiterOptions;
}

/** A group with waiting jobs. */
export interface GroupState {
  id: string;
  waiting: number;
  active: number;
  /** `limited` by its rate, `maxed` by its concurrency. */
  status: 'waiting' | 'limited' | 'maxed' | 'paused';
}
