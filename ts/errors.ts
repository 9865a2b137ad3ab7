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
  /** The HTTP status to answer a request with that failed for this: 400, 408, 409, 500 or 503, by class. */
  declare readonly status: number;

  constructor(fields: ErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code;
    this.details = Object.freeze({ ...fields.details });
    this.retryable = fields.retryable ?? false;
  }
}

/** The status of a class that has one of its own; others have that of the class they extend. */
function answered(statuses: [typeof OxcartError, number][]): void {
  for (const [{ prototype }, status] of statuses) {
    Object.defineProperty(prototype, 'status', { value: status, configurable: true });
  }
}

function named(classes: Record<string, { prototype: OxcartError }>): void {
  // On the prototype and not enumerable, as with the errors of the language: inspecting an error shows it once.
  for (const [name, { prototype }] of Object.entries(classes)) {
    Object.defineProperty(prototype, 'name', { value: name, configurable: true, writable: true });
  }
}

/** The server cannot be used right now: not reached, lost, refusing, loading. Retry later, or tell the operator. */
export class ConnectionError extends OxcartError {}

/** A deadline passed. `details.maybeExecuted` says whether a command may have run. */
export class TimeoutError extends OxcartError {}

/** More at a time than this thread, a queue or a limit takes. Start fewer at once, or later. */
export class OverloadedError extends OxcartError {}

/** A group has as many waiting jobs as it may have. Add later, or let more of them run. */
export class GroupMaxSizeExceededError extends OverloadedError {}

/** The server answered with an error, or with something that the command never answers. */
export class ReplyError extends OxcartError {}

/** An argument of the call is wrong. Change the call. */
export class ArgumentError extends OxcartError {}

/** A fault of oxcart itself. Please report it. */
export class InternalError extends OxcartError {}

/**
 * Any error of a cache that has a name of its own: `error instanceof CacheException` is true for those whose names begin with
 * `Cache`, and for {@link InvalidCacheDomainException}. Each extends the class that says what to do about it as well.
 */
export abstract class CacheException extends OxcartError {
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof OxcartError && CACHE_EXCEPTIONS.some((one) => value instanceof one);
  }
}

/** A key is longer than `limits.maxKeyLength` of a `RedisService`. */
export class RedisKeyTooLongException extends ArgumentError {}

/** A value is larger than `limits.maxValueSize` of a `RedisService`. */
export class RedisValueTooLargeException extends ArgumentError {}

/** The key holds a value of another type than the command works on (`WRONGTYPE`). */
export class RedisInvalidDataTypeException extends ReplyError {}

/** A key of a cache is longer than `limits.maxKeyLength`. */
export class CacheKeyTooLongException extends ArgumentError {}

/** A value of a cache is larger than `limits.maxValueSize`, or than the `maxSize` of its domain. */
export class CacheValueTooLargeException extends ArgumentError {}

/** A call names a domain that the options of the cache do not have. */
export class InvalidCacheDomainException extends ArgumentError {}

/** A value cannot be written in the form in which the cache stores it. */
export class CacheSerializationException extends ArgumentError {}

/** With `onError: 'throw'`: Redis cannot be used right now. */
export class CacheConnectionException extends ConnectionError {}

/** With `onError: 'throw'`: Redis refused an operation. */
export class CacheOperationFailedException extends ReplyError {}

/** What is stored under a key of a cache cannot be read: it counts as missing, and the event `error` tells of it. */
export class CacheDeserializationException extends InternalError {}

const CACHE_EXCEPTIONS: (typeof OxcartError)[] = [
  CacheKeyTooLongException,
  CacheValueTooLargeException,
  InvalidCacheDomainException,
  CacheSerializationException,
  CacheDeserializationException,
  CacheConnectionException,
  CacheOperationFailedException,
];

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
  CacheException,
  CacheKeyTooLongException,
  CacheValueTooLargeException,
  InvalidCacheDomainException,
  CacheSerializationException,
  CacheDeserializationException,
  CacheConnectionException,
  CacheOperationFailedException,
  RedisKeyTooLongException,
  RedisValueTooLargeException,
  RedisInvalidDataTypeException,
});

answered([
  [OxcartError, 500],
  [ConnectionError, 503],
  [TimeoutError, 408],
  [OverloadedError, 503],
  [ArgumentError, 400],
  [ClosedError, 503],
  [JobStateError, 409],
  [LockError, 409],
  [RedisInvalidDataTypeException, 400],
]);

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
  ERR_LIMIT_REACHED: OverloadedError,
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
  ERR_KEY_TOO_LONG: RedisKeyTooLongException,
  ERR_VALUE_TOO_LARGE: RedisValueTooLargeException,
  ERR_CACHE_KEY_TOO_LONG: CacheKeyTooLongException,
  ERR_CACHE_VALUE_TOO_LARGE: CacheValueTooLargeException,
  ERR_CACHE_ENTRY_UNREADABLE: CacheDeserializationException,
  ERR_CACHE_DATABASE_FAILED: ConnectionError,
  ERR_CACHE_BULK_TOO_LARGE: ArgumentError,
  ERR_INVALID_CACHE_DOMAIN: InvalidCacheDomainException,
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
  if (fields.code === 'ERR_REPLY' && fields.details?.['reply'] === 'WRONGTYPE') {
    return new RedisInvalidDataTypeException(fields);
  }
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
