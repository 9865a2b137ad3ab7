import type { JobOptions } from './types/job-options.js';

/** Values that the native side gives for each job, in this order. */
export const ROW_WIDTH = 6;

/** A stored job as it crosses: id, name, lock token (empty: not held), data (JSON), opts (JSON), the rest (JSON). */
export type JobRow = [id: string, name: string, token: string, data: string, opts: string, rest: string];

/** The rest of a row, as the native side writes it. */
export type JobRest = [
  timestamp: number,
  delay: number,
  priority: number,
  attemptsStarted: number,
  attemptsMade: number,
  stalledCounter: number,
  processedOn: number | null,
  finishedOn: number | null,
  progress: string | null,
  returnvalue: string | null,
  failedReason: string | null,
  stacktrace: string | null,
  deferredFailure: string | null,
  processedBy: string | null,
  parentKey: string | null,
  parent: string | null,
  repeatJobKey: string | null,
  deduplicationId: string | null,
];

const LONG_NAMES: Record<string, string> = {
  de: 'deduplication',
  fpof: 'failParentOnFailure',
  cpof: 'continueParentOnFailure',
  idof: 'ignoreDependencyOnFailure',
  rdof: 'removeDependencyOnFailure',
  kl: 'keepLogs',
};

/** Options with the names that users write, from those that are stored. */
export function optionsFromStored(text: string): JobOptions {
  const stored = storedJson(text);
  if (stored === null || typeof stored !== 'object') return {};
  const options: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(stored)) {
    if (name === 'tm' || name === 'omc') {
      const key = name === 'tm' ? 'metadata' : 'omitContext';
      options['telemetry'] = { ...(options['telemetry'] as object | undefined), [key]: value };
    } else {
      options[LONG_NAMES[name] ?? name] = value;
    }
  }
  return options as JobOptions;
}

/** A stored value. Text that is not JSON, which another program may have written, is given back as it is. */
export function storedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
