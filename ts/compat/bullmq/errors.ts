import { OxcartError } from '../../errors.js';
import { QUEUE_CALL } from '../../job-host.js';
import { UnrecoverableError } from '../../steering.js';
import { ErrorCode } from './enums.js';

export const CONNECTION_CLOSED_ERROR_MSG = 'Connection is closed.';
export const DELAYED_ERROR = 'bullmq:movedToDelayed';
export const RATE_LIMIT_ERROR = 'bullmq:rateLimitExceeded';
export const UNRECOVERABLE_ERROR = 'bullmq:unrecoverable';
export const WAITING_CHILDREN_ERROR = 'bullmq:movedToWaitingChildren';
export const WAITING_ERROR = 'bullmq:movedToWait';

/** The queue, worker or reader of events was closed. */
export class ConnectionClosedError extends Error {
  override name = 'ConnectionClosedError';
  constructor(message = CONNECTION_CLOSED_ERROR_MSG) {
    super(message);
  }
}

/** The names under which BullMQ's messages tell of calls. */
const COMMANDS: Record<number, [command: string, state?: string]> = {
  [QUEUE_CALL.add]: ['addJob'],
  [QUEUE_CALL.remove]: ['removeJob'],
  [QUEUE_CALL.retry]: ['reprocessJob', 'failed'],
  [QUEUE_CALL.promote]: ['promote', 'delayed'],
  [QUEUE_CALL.updateData]: ['updateData'],
  [QUEUE_CALL.updateProgress]: ['updateProgress'],
  [QUEUE_CALL.addLog]: ['addLog'],
  [QUEUE_CALL.changeDelay]: ['changeDelay', 'delayed'],
  [QUEUE_CALL.changePriority]: ['changePriority'],
  [QUEUE_CALL.upsertScheduler]: ['addJobScheduler'],
};

/** The error that BullMQ gives in place of one of ours, which becomes its `cause`; others stay as they are. */
export function bullmqError(error: unknown, code: number, args: readonly unknown[]): unknown {
  if (!(error instanceof OxcartError)) return error;
  if (code === QUEUE_CALL.obliterate && error.code === 'ERR_JOB_NOT_IN_STATE') {
    // Dashboards know this refusal by its words.
    return new Error('Cannot obliterate queue with active jobs', { cause: error });
  }
  const [command, state] = COMMANDS[code] ?? ['moveToFinished', 'active'];
  const found = meaningOf(error, String(args[0]), command, code === QUEUE_CALL.retry ? String(args[1]) : state);
  if (!found) return error;
  found.cause = error;
  return found;
}

function meaningOf(error: OxcartError, jobId: string, command: string, state: string | undefined): Error | undefined {
  const { reply } = error.details;
  const coded = (code: ErrorCode, message: string, made: Error = new Error(message)) => Object.assign(made, { code });
  switch (error.code) {
    case 'ERR_CLOSED':
      return new ConnectionClosedError();
    case 'ERR_JOB_NOT_FOUND':
      return coded(ErrorCode.JobNotExist, `Missing key for job ${jobId}. ${command}`);
    case 'ERR_JOB_LOCK_LOST':
      return reply === 'LOCKMISMATCH'
        ? coded(ErrorCode.JobLockMismatch, `Lock mismatch for job ${jobId}. Cmd ${command} from ${state ?? 'active'}`)
        : coded(ErrorCode.JobLockNotExist, `Missing lock for job ${jobId}. ${command}`);
    case 'ERR_JOB_NOT_IN_STATE':
      return coded(ErrorCode.JobNotInState, `Job ${jobId} is not in the ${state} state. ${command}`);
    case 'ERR_JOB_HAS_CHILDREN': {
      if (reply !== 'FAILEDCHILDREN') {
        return coded(ErrorCode.JobPendingChildren, `Job ${jobId} has pending dependencies. ${command}`);
      }
      const message = `Cannot complete job ${jobId} because it has at least one failed child. ${command}`;
      return coded(ErrorCode.JobHasFailedChildren, message, new UnrecoverableError(message));
    }
    case 'ERR_PARENT_JOB_NOT_FOUND':
      return coded(ErrorCode.ParentJobNotExist, `Missing key for parent job ${parentOf(error)}. ${command}`);
    case 'ERR_JOB_HAS_PARENT': {
      const parent = /the parent `([^`]*)`/.exec(error.message)?.[1] ?? '';
      return coded(ErrorCode.ParentJobCannotBeReplaced, `The parent job ${parent} cannot be replaced. ${command}`);
    }
    case 'ERR_JOB_BELONGS_TO_SCHEDULER': {
      const message = `Job ${jobId} belongs to a job scheduler and cannot be removed directly. ${command}`;
      return coded(ErrorCode.JobBelongsToJobScheduler, message);
    }
    case 'ERR_SCHEDULER_SLOT_TAKEN': {
      const message = `Cannot create job scheduler iteration - current and next time slots already have jobs. ${command}`;
      return coded(ErrorCode.SchedulerJobSlotsBusy, message);
    }
    default:
      return undefined;
  }
}

/** The key of the parent, which the message of the script names. */
function parentOf(error: OxcartError): string {
  return /(\S+:\S+)/.exec(error.message.replace(/^.*PARENTNOTFOUND/, ''))?.[1] ?? '';
}
