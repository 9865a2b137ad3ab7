import { optionsFromStored } from '../../job-row.js';
import type { JobJson, JobProgress } from './types.js';

/** A job's hash as BullMQ gives it. */
export function jobJsonOf(id: string, hash: Record<string, string>): JobJson {
  const number = (name: string) => (hash[name] === undefined ? undefined : Number(hash[name]));
  const json = {
    id,
    name: hash['name'],
    data: hash['data'] ?? '{}',
    opts: optionsFromStored(hash['opts'] ?? '{}'),
    progress: progressOf(hash['progress']),
    timestamp: number('timestamp'),
    delay: number('delay'),
    priority: number('priority'),
    attemptsMade: number('atm') ?? number('attemptsMade') ?? 0,
    attemptsStarted: number('ats') ?? 0,
    stalledCounter: number('stc') ?? 0,
    finishedOn: number('finishedOn'),
    processedOn: number('processedOn'),
    failedReason: hash['failedReason'],
    stacktrace: hash['stacktrace'],
    returnvalue: hash['returnvalue'],
    parentKey: hash['parentKey'],
    parent: hash['parent'] === undefined ? undefined : JSON.parse(hash['parent']),
    repeatJobKey: hash['rjk'],
    deduplicationId: hash['deid'],
    deferredFailure: hash['defa'],
    processedBy: hash['pb'],
  };
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== undefined)) as unknown as JobJson;
}

function progressOf(text: string | undefined): JobProgress {
  return text === undefined ? 0 : (JSON.parse(text) as JobProgress);
}
