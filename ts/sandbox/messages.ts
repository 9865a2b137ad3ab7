// What a sandbox and its parent tell each other. Everything is plain data, so that the channel of a child process and
// the port of a worker thread carry it alike.

import type { JobMove } from '../job.js';
import type { JobRow } from '../job-row.js';
import type { Argument } from '../native.js';
import type { CrossingError } from './sandbox-error.js';

/** To the sandbox. */
export type ToSandbox =
  /** First: the URL of the processor's file. */
  | { kind: 'load'; file: string }
  /** Runs the processor; comes only after `ready`, one at a time. */
  | { kind: 'run'; run: number; row: JobRow; module: string; queue: string; prefix: string }
  /** Aborts the signal of a run. */
  | { kind: 'abort'; run: number; reason: CrossingError }
  /** The answer to a `call`. */
  | { kind: 'answer'; call: number; value?: unknown; error?: CrossingError }
  /** End when the running job has. */
  | { kind: 'stop' };

/** How a run ended, with what the processor has asked for its job. */
export interface RunEnd {
  run: number;
  /** JSON text of the result. */
  value?: string;
  error?: CrossingError;
  /** The work is done but its result cannot be stored: not to be run again. */
  isFinal?: boolean;
  move?: JobMove;
  isDiscarded: boolean;
  /** The sandbox ends with this run. */
  isLast?: boolean;
}

/** From the sandbox. */
export type FromSandbox =
  | { kind: 'ready' }
  /** The processor's file could not be loaded; the sandbox ends. */
  | { kind: 'broken'; error: CrossingError }
  /** A method of the job: a call to its queue. */
  | { kind: 'call'; call: number; code: number; args: readonly Argument[] }
  | ({ kind: 'ended' } & RunEnd);
