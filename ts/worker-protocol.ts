// What crosses between a worker and its native side.

import type { AttemptOutcome } from './attempt.js';
import type { JobRow } from './job-row.js';
import type { Argument } from './native.js';

/** Calls beside those of queues. The numbers are those of `src/node/worker.rs`. */
export const WORKER_CALL = {
  run: 100,
  report: 101,
  pause: 102,
  resume: 103,
  setConcurrency: 104,
  rateLimit: 105,
  close: 106,
  nextJob: 120,
  watchStalled: 121,
} as const;

/** What became of a job. */
export const OUTCOME = { completed: 0, failed: 1, delayed: 2, waiting: 3, 'waiting-children': 4, timedOut: 5 } as const;

/** Events of `src/node/worker.rs`. */
export const WORKER_EVENT = {
  jobs: 0,
  lockLost: 1,
  failedUndelivered: 2,
  stalled: 3,
  drained: 4,
  error: 5,
  paused: 6,
  resumed: 7,
  closed: 8,
  schedulersRepaired: 40,
  runAdded: 41,
  locksRenewed: 9,
  cancelRequested: 10,
} as const;

/** How an attempt was stored; `refused` is why it failed instead of what was reported. */
export type Settlement = [
  kind: 'completed' | 'failed' | 'retrying' | 'moved',
  attemptsMade: number,
  delayMs: number,
  refused: Error | null,
];

/** What a report is answered: true, for short, where it was completed as reported. */
export type Reported = Settlement | true;

/** The answer of `QUEUE_CALL.finish`: the next job (or null), milliseconds of a rate limit, when the next one is due. */
export type Finished = [settlement: Settlement, next: [JobRow | null, limited: number, due: number] | null];

/** The last of these traces, where there is a bound. */
export function keepLast(traces: string[], limit: number | undefined): string[] {
  if (limit === undefined) return traces;
  return limit === 0 ? [] : traces.slice(-limit);
}

/** The arguments of the call that reports an outcome. */
export function reportArguments(id: string, token: string, outcome: AttemptOutcome<unknown>): Argument[] {
  const kind = outcome.kind === 'failed' && outcome.timedOut ? OUTCOME.timedOut : OUTCOME[outcome.kind];
  switch (outcome.kind) {
    case 'completed':
      return [id, token, kind, outcome.value];
    case 'failed': {
      const { message, stack } = outcome.error;
      return [id, token, kind, String(message), stack, outcome.retryAfterMs ?? undefined];
    }
    case 'delayed':
      return [id, token, kind, outcome.untilMs];
    default:
      return [id, token, kind];
  }
}
