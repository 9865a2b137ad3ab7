/** What an error says beside its message: `key`, `queue`, `jobId`, `limit`, `option`, `argument`, `reply`, `maybeExecuted`, … */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

/** Fields of an error; {@link OxcartError} documents them. */
export interface ErrorFields {
  code: ErrorCode;
  message: string;
  retryable?: boolean;
  details?: ErrorDetails;
  cause?: unknown;
}

/**
 * Every error of oxcart. The `code` is the contract and never changes; the wording of the message is not. What each code
 * means and what to do about it stands in `docs/errors.md`. Catch by class to act, by `code` to tell apart.
 */
export class OxcartError extends Error {
  /** Stable name of what went wrong, such as `ERR_COMMAND_TIMED_OUT`. */
  readonly code: ErrorCode;
  /** Facts about the error, by name. */
  readonly details: ErrorDetails;
  /** Whether the same call may succeed later with nothing changed by the caller. */
  readonly retryable: boolean;

  constructor(fields: ErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code;
    this.details = Object.freeze({ ...fields.details });
    this.retryable = fields.retryable ?? false;
  }
}

function named(classes: Record<string, typeof OxcartError>): void {
  // On the prototype and not enumerable, as with the errors of the language: inspecting an error shows it once.
  for (const [name, { prototype }] of Object.entries(classes)) {
    Object.defineProperty(prototype, 'name', { value: name, configurable: true, writable: true });
  }
}

/** The server cannot be used right now: not reached, lost, refusing, loading. Retry later, or tell the operator. */
export class ConnectionError extends OxcartError {}

/** A deadline passed. `details.maybeExecuted` says whether a command may have run. */
export class TimeoutError extends OxcartError {}

/** More calls than this thread takes at a time. Start fewer at once. */
export class OverloadedError extends OxcartError {}

/** A group has as many waiting jobs as it may have. Add later, or let more of them run. */
export class GroupMaxSizeExceededError extends OverloadedError {}

/** The server answered with an error, or with something that the command never answers. */
export class ReplyError extends OxcartError {}

/** An argument of the call is wrong. Change the call. */
export class ArgumentError extends OxcartError {}

/** An option is wrong; `details.option` is its path. Change the configuration. */
export class OptionError extends OxcartError {}

/** The object was closed. */
export class ClosedError extends OxcartError {}

/** The job, queue or scheduler is not in a state in which this can be done. */
export class JobStateError extends OxcartError {}

/** A lock could not be taken, or is no longer held. */
export class LockError extends OxcartError {}

/** A sandboxed processor's process or thread ended under its job. */
export class SandboxError extends OxcartError {}

/** A fault of oxcart itself. Please report it. */
export class InternalError extends OxcartError {}

named({
  OxcartError,
  ConnectionError,
  TimeoutError,
  OverloadedError,
  GroupMaxSizeExceededError,
  ReplyError,
  ArgumentError,
  OptionError,
  ClosedError,
  JobStateError,
  LockError,
  SandboxError,
  InternalError,
});

/** The class of each code. `__test__/errors.test.ts` holds it complete against the codes of the native core. */
export const ERROR_CLASSES = {
  ERR_CONNECTION_LOST: ConnectionError,
  ERR_CONNECTION_FAILED: ConnectionError,
  ERR_AUTHENTICATION_FAILED: ConnectionError,
  ERR_PROTOCOL_VIOLATION: ConnectionError,
  ERR_TLS_FAILED: ConnectionError,
  ERR_COMMAND_TIMED_OUT: TimeoutError,
  ERR_MAX_RETRIES_REACHED: ConnectionError,
  ERR_OFFLINE: ConnectionError,
  ERR_OFFLINE_QUEUE_FULL: ConnectionError,
  ERR_OVERLOADED: OverloadedError,
  ERR_READ_ONLY_SERVER: ConnectionError,
  ERR_SERVER_LOADING: ConnectionError,
  ERR_STORAGE_FAILED: ConnectionError,
  ERR_STORAGE_DAMAGED: ConnectionError,
  ERR_REPLY: ReplyError,
  ERR_UNEXPECTED_REPLY: ReplyError,
  ERR_UNSUPPORTED_COMMAND: ArgumentError,
  ERR_INVALID_OPTION: OptionError,
  ERR_INVALID_ARGUMENT: ArgumentError,
  ERR_CLOSED: ClosedError,
  ERR_NOT_SERIALIZABLE: ArgumentError,
  ERR_CACHE_KEY_TOO_LONG: ArgumentError,
  ERR_CACHE_VALUE_TOO_LARGE: ArgumentError,
  ERR_CACHE_ENTRY_UNREADABLE: InternalError,
  ERR_CACHE_BULK_TOO_LARGE: ArgumentError,
  ERR_QUEUE_NOT_FOUND: JobStateError,
  ERR_JOB_NOT_FOUND: JobStateError,
  ERR_JOB_LOCK_LOST: JobStateError,
  ERR_JOB_NOT_IN_STATE: JobStateError,
  ERR_JOB_TOO_LARGE: ArgumentError,
  ERR_GROUP_MAX_SIZE_EXCEEDED: GroupMaxSizeExceededError,
  ERR_PAYLOAD_UNREADABLE: JobStateError,
  ERR_PARENT_JOB_NOT_FOUND: JobStateError,
  ERR_JOB_HAS_PARENT: JobStateError,
  ERR_JOB_HAS_CHILDREN: JobStateError,
  ERR_JOB_BELONGS_TO_SCHEDULER: JobStateError,
  ERR_SCHEDULER_SLOT_TAKEN: JobStateError,
  ERR_LOCK_NOT_ACQUIRED: LockError,
  ERR_LOCK_LOST: LockError,
  ERR_INCOMPATIBLE_DATA: JobStateError,
  ERR_WAIT_TIMED_OUT: TimeoutError,
  ERR_SANDBOX_CRASHED: SandboxError,
  ERR_INTERNAL: InternalError,
} as const;

/** Every code that `error.code` can have. */
export type ErrorCode = keyof typeof ERROR_CLASSES;

/** Makes an instance of the class of the code. */
export function createError(fields: ErrorFields): OxcartError {
  return new (ERROR_CLASSES[fields.code] ?? OxcartError)(fields);
}

/** An argument that a call does not take. */
export function invalidArgument(argument: string, got: string, allowed: string): OxcartError {
  return createError({
    code: 'ERR_INVALID_ARGUMENT',
    message: `argument \`${argument}\` is ${got}; allowed: ${allowed}`,
    details: { argument },
  });
}

/** An option that a constructor does not take. */
export function invalidOption(option: string, got: string, allowed: string): OxcartError {
  return createError({
    code: 'ERR_INVALID_OPTION',
    message: `option \`${option}\` is ${got}; allowed: ${allowed}`,
    details: { option },
  });
}
