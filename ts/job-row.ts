import type { JobOptions } from './types/job-options.js';

/** Values that the native side gives for each job, in this order. */
export const ROW_WIDTH = 6;

/** A stored job as it crosses: id, name, lock token (empty: not held), data (JSON), opts (JSON), the rest (JSON). */
export type JobRow = [id: string, name: string, token: string, data: string, opts: string, rest: string];

/**
 * Jobs of one delivery: the token of all, then for each id, name, data, opts and the rest. A name or options like those of
 * the job before are null.
 */
export function rowsOf(values: unknown[], jobs: number): JobRow[] {
  const token = values[0] as string;
  const rows = new Array<JobRow>(jobs);
  let [name, opts] = ['', ''];
  for (let job = 0, at = 1; job < jobs; job++, at += 5) {
    name = (values[at + 1] as string | null) ?? name;
    opts = (values[at + 3] as string | null) ?? opts;
    rows[job] = [values[at] as string, name, token, values[at + 2] as string, opts, values[at + 4] as string];
  }
  return rows;
}

/** The rest of a row, as the native side writes it: without what is null at its end. */
export type JobRest = [
  timestamp: number,
  delay: number,
  priority: number,
  attemptsStarted: number,
  attemptsMade: number,
  stalledCounter: number,
  processedOn?: number | null,
  finishedOn?: number | null,
  progress?: string | null,
  returnvalue?: string | null,
  failedReason?: string | null,
  stacktrace?: string | null,
  deferredFailure?: string | null,
  processedBy?: string | null,
  parentKey?: string | null,
  parent?: string | null,
  repeatJobKey?: string | null,
  deduplicationId?: string | null,
];

/**
 * A job as BullMQ's `Job.fromJSON` takes it and `asJSON` gives it: data, result and stack traces are JSON texts, options
 * have the names that users write.
 */
export interface StoredJobJson {
  id: string;
  name: string;
  data: string;
  opts: JobOptions;
  progress?: unknown;
  delay?: number;
  priority?: number;
  timestamp: number;
  attemptsStarted?: number;
  attemptsMade?: number;
  stalledCounter?: number;
  finishedOn?: number;
  processedOn?: number;
  repeatJobKey?: string;
  deduplicationId?: string;
  failedReason?: string;
  deferredFailure?: string;
  stacktrace?: string;
  returnvalue?: string;
  parentKey?: string;
  parent?: { id?: string; queueKey: string };
  processedBy?: string;
}

/** A row in that form. */
export function storedJob([id, name, , data, opts, rest]: JobRow): StoredJobJson {
  const [timestamp, delay, priority, attemptsStarted, attemptsMade, stalledCounter, processedOn, finishedOn, ...texts] =
    JSON.parse(rest) as JobRest;
  const [progress, returnvalue, failedReason, stacktrace, deferredFailure, processedBy, parentKey, parent] = texts;
  const [repeatJobKey, deduplicationId] = texts.slice(8);
  const json: StoredJobJson = {
    id,
    name,
    data: data === '' ? '{}' : data,
    opts: optionsFromStored(opts),
    progress: progress == null ? 0 : storedJson(progress),
    delay,
    priority,
    timestamp,
    attemptsStarted,
    attemptsMade,
    stalledCounter,
  };
  const optional = {
    processedOn,
    finishedOn,
    returnvalue,
    failedReason,
    stacktrace,
    deferredFailure,
    processedBy,
    parentKey,
    parent: parent == null ? null : storedJson(parent),
    repeatJobKey,
    deduplicationId,
  };
  for (const [field, value] of Object.entries(optional)) if (value != null) Object.assign(json, { [field]: value });
  return json;
}

/** A row that was never read from a server. */
export function rowFromStored(json: StoredJobJson, id?: string): JobRow {
  const rest: JobRest = [
    json.timestamp,
    json.delay ?? 0,
    json.priority ?? 0,
    json.attemptsStarted ?? 0,
    json.attemptsMade ?? 0,
    json.stalledCounter ?? 0,
    json.processedOn ?? null,
    json.finishedOn ?? null,
    json.progress === undefined ? null : JSON.stringify(json.progress),
    json.returnvalue ?? null,
    json.failedReason ?? null,
    json.stacktrace ?? null,
    json.deferredFailure ?? null,
    json.processedBy ?? null,
    json.parentKey ?? null,
    json.parent ? JSON.stringify(json.parent) : null,
    json.repeatJobKey ?? null,
    json.deduplicationId ?? null,
  ];
  return [json.id ?? id, json.name, '', json.data || '{}', JSON.stringify(json.opts ?? {}), JSON.stringify(rest)];
}

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
