import { MAX_PRIORITY } from './priority-limit.js';
import type { JobsOptions } from './types.js';

const EXCLUSIVE = [
  'removeDependencyOnFailure',
  'failParentOnFailure',
  'continueParentOnFailure',
  'ignoreDependencyOnFailure',
] as const;

/** What BullMQ says to options that it does not take, before anything is sent. */
export function checkJobOptions(opts: JobsOptions): void {
  const { jobId, priority, deduplication, backoff } = opts;
  // As BullMQ compares: the number 0 is refused as the text is.
  if (String(jobId ?? '') === '0' || jobId?.startsWith?.('0:')) {
    throw new Error("JobId cannot be '0' or start with '0:'");
  }
  const exclusive = EXCLUSIVE.filter((name) => (opts as Record<string, unknown>)[name]);
  if (exclusive.length > 1) {
    throw new Error(`The following options cannot be used together: ${exclusive.join(', ')}`);
  }
  if (jobId) {
    if (String(Number.parseInt(jobId, 10)) === jobId) throw new Error('Custom Id cannot be integers');
    if (jobId.includes(':') && jobId.split(':').length !== 3) throw new Error('Custom Id cannot contain :');
  }
  if (priority) {
    if (Math.trunc(priority) !== priority) throw new Error('Priority should not be float');
    if (priority > MAX_PRIORITY) throw new Error(`Priority should be between 0 and ${MAX_PRIORITY}`);
  }
  if (deduplication) {
    if (!deduplication.id) throw new Error('Deduplication id must be provided');
    if ('parent' in opts && opts.parent) throw new Error('Deduplication and parent options cannot be used together');
  }
  if (Object.hasOwn(opts, 'debounce')) {
    throw new Error('Debounce option has been removed. Use deduplication option instead');
  }
  if (
    typeof backoff === 'object' &&
    typeof backoff?.jitter === 'number' &&
    (backoff.jitter < 0 || backoff.jitter > 1)
  ) {
    throw new Error('Jitter should be between 0 and 1');
  }
}

/** The limit of a job's size, as BullMQ tells of it. */
export function checkJobSize(name: string, data: unknown, sizeLimit: number | undefined): void {
  if (!sizeLimit) return;
  if (Buffer.byteLength(JSON.stringify(data === undefined ? {} : data)) > sizeLimit) {
    throw new Error(`The size of job ${name} exceeds the limit ${sizeLimit} bytes`);
  }
}
