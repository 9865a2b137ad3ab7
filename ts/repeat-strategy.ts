import { invalidArgument } from './errors.js';
import type { AddJobOptions } from './types/job-options.js';
import type { RepeatStrategy } from './types/queue-options.js';

/** What stands for a run that never comes. */
export const NEVER: unique symbol = Symbol('never');

/** The answer of a strategy: a time, or never again. @throws `ERR_INVALID_ARGUMENT` for anything else. */
export function chosenRun(answer: unknown): number | typeof NEVER {
  if (answer === undefined || answer === null) return NEVER;
  if (typeof answer !== 'number' || !Number.isFinite(answer) || answer < 0) {
    throw invalidArgument('settings.repeatStrategy()', String(answer), 'milliseconds since the epoch, or undefined');
  }
  return Math.floor(answer);
}

/** The run after that of a scheduler's job by a strategy; undefined for an interval, which has none. */
export async function nextRun(
  job: { id: string; name: string; opts: AddJobOptions },
  strategy: RepeatStrategy | undefined,
  now: number,
): Promise<number | typeof NEVER | undefined> {
  const { repeat } = job.opts;
  if (!strategy || repeat?.pattern === undefined) return undefined;
  // The id ends with the time of the run.
  const run = Number(job.id.slice(job.id.lastIndexOf(':') + 1)) || 0;
  return chosenRun(await strategy(Math.max(now, run), repeat, job.name));
}
