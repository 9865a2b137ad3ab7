import { createError, ERROR_CLASSES, type ErrorCode, type ErrorDetails } from '../errors.js';
import {
  DelayedError,
  JobCancelledError,
  RateLimitError,
  UnrecoverableError,
  WaitingChildrenError,
  WaitingError,
} from '../steering.js';

/** An error as it crosses between a sandbox and its parent. */
export interface CrossingError {
  name: string;
  message: string;
  stack?: string;
  code?: string;
  details?: ErrorDetails;
  retryable?: boolean;
  /** The error's further fields, those that are plain values. */
  fields: Record<string, string | number | boolean | null>;
  cause?: CrossingError | string;
}

/** Causes that are followed: a chain may be a ring. */
const MOST_CAUSES = 8;

const STEERING: Record<string, new (message?: string) => Error> = {
  UnrecoverableError,
  DelayedError,
  JobCancelledError,
  WaitingError,
  RateLimitError,
  WaitingChildrenError,
};

const OWN_FIELDS = new Set(['name', 'message', 'stack', 'code', 'details', 'retryable', 'cause']);

/** `error` in a form that any channel carries. */
export function toCrossing(error: Error, depth = 0): CrossingError {
  const { code, details, retryable, cause } = error as Error & {
    code?: unknown;
    details?: unknown;
    retryable?: unknown;
  };
  const crossing: CrossingError = { name: String(error.name), message: String(error.message), fields: {} };
  if (typeof error.stack === 'string') crossing.stack = error.stack;
  if (typeof code === 'string') crossing.code = code;
  if (typeof retryable === 'boolean') crossing.retryable = retryable;
  if (typeof code === 'string' && code in ERROR_CLASSES && details !== null && typeof details === 'object') {
    crossing.details = details as ErrorDetails;
  }
  for (const [name, value] of Object.entries(error)) {
    const isPlain = value === null || ['string', 'number', 'boolean'].includes(typeof value);
    if (isPlain && (!OWN_FIELDS.has(name) || (name === 'code' && typeof value === 'number'))) {
      crossing.fields[name] = value as string | number | boolean | null;
    }
  }
  if (cause instanceof Error) {
    if (depth < MOST_CAUSES) crossing.cause = toCrossing(cause, depth + 1);
  } else if (cause !== undefined) {
    crossing.cause = String(cause);
  }
  return crossing;
}

/** The error again: with its name, stack and fields, and of its class where that is one of ours. */
export function fromCrossing(crossing: CrossingError): Error {
  const { name, message, stack, code, details, retryable, fields } = crossing;
  const cause = typeof crossing.cause === 'object' ? fromCrossing(crossing.cause) : crossing.cause;
  if (code !== undefined && details !== undefined && code in ERROR_CLASSES) {
    const error = createError({ code: code as ErrorCode, message, details, retryable, cause });
    return hide(error, { stack });
  }
  const Steering = STEERING[name];
  const error = Steering ? new Steering(message) : new Error(message);
  Object.assign(error, fields, code === undefined ? {} : { code });
  return hide(error, { name: error.name === name ? undefined : name, stack, cause });
}

/** Sets fields as the language does: not enumerable. */
function hide(error: Error, fields: Record<string, unknown>): Error {
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) Object.defineProperty(error, name, { value, configurable: true, writable: true });
  }
  return error;
}
