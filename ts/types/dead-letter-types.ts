/** Why a job has failed for good. */
export type DeadLetterReason =
  /** Its attempts were used up. */
  | 'failed'
  /** Its error forbade another attempt. */
  | 'unrecoverable'
  /** Its workers died too often. */
  | 'stalled'
  /** Its last attempt ran longer than its `timeout`. */
  | 'timeout'
  /** It was not started in time. */
  | 'expired'
  /** It was started more often than the worker allows. */
  | 'started-too-often'
  | 'child-failed';

/** What a dead letter tells: the data of a job named `failed-job` in the queue of dead letters. */
export interface DeadLetterData<Original = any> {
  /** Queue that the job failed in. */
  originalQueue: string;
  /** Name of the job. */
  originalJobType: string;
  originalJobId?: string;
  originalData: Original;
  /** Message of the last failure. */
  error: string;
  reason?: DeadLetterReason;
  /** ISO text. */
  failedAt: string;
  attemptsMade: number;
  stacktrace?: string[];
}

/** Which dead letters are meant. Everything that is given must hold. */
export interface DeadLetterFilter {
  /** Ids of letters. */
  ids?: string[];
  /** Queue that the job failed in. */
  queue?: string;
  /** Id that the job had there. */
  jobId?: string;
  /** Name of the job. */
  name?: string;
  reason?: DeadLetterReason;
  /** Part of the error's message. */
  error?: string;
  /** Letters that were made at that time or later. */
  since?: Date | number;
  until?: Date | number;
}
