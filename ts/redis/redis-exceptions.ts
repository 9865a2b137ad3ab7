// Names that applications know for errors of Redis. Those that are raised under another name are told apart by their code.

import {
  ArgumentError,
  ConnectionError,
  LockError,
  OxcartError,
  RedisInvalidDataTypeException,
  RedisKeyTooLongException,
  RedisValueTooLargeException,
  ReplyError,
  TimeoutError,
} from '../errors.js';

/** An object given to `set` cannot be written as JSON. Its `status` is 500. */
export class RedisSerializationException extends ArgumentError {}

/** What is stored is not the JSON that `get` with `parse` expects. Its `status` is 500. */
export class RedisDeserializationException extends ArgumentError {}

for (const one of [RedisSerializationException, RedisDeserializationException]) {
  Object.defineProperty(one.prototype, 'name', { value: one.name, configurable: true, writable: true });
  Object.defineProperty(one.prototype, 'status', { value: 500, configurable: true });
}

/** Another name of {@link ConnectionError}, for `instanceof`. */
export abstract class RedisConnectionException extends ConnectionError {
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof ConnectionError;
  }
}

/** Another name of {@link ReplyError}, for `instanceof`. */
export abstract class RedisOperationException extends ReplyError {
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof ReplyError;
  }
}

/** Another name of {@link TimeoutError}, for `instanceof`. */
export abstract class RedisTimeoutException extends TimeoutError {
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof TimeoutError;
  }
}

/** Another name of the {@link LockError} with `ERR_LOCK_NOT_ACQUIRED`, for `instanceof`. */
export abstract class RedisLockException extends LockError {
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof LockError && value.code === 'ERR_LOCK_NOT_ACQUIRED';
  }
}

/** Another name of the {@link LockError} with `ERR_LOCK_LOST`, for `instanceof`. */
export abstract class RedisLockReleaseException extends LockError {
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof LockError && value.code === 'ERR_LOCK_LOST';
  }
}

const EXCEPTIONS: { [Symbol.hasInstance](value: unknown): boolean }[] = [
  RedisConnectionException,
  RedisOperationException,
  RedisTimeoutException,
  RedisLockException,
  RedisLockReleaseException,
  RedisSerializationException,
  RedisDeserializationException,
  RedisKeyTooLongException,
  RedisValueTooLargeException,
  RedisInvalidDataTypeException,
];

/** Any error whose class is, or has another name, that begins with `Redis`; for `instanceof`. */
export abstract class RedisException extends OxcartError {
  static override [Symbol.hasInstance](value: unknown): boolean {
    return EXCEPTIONS.some((one) => one[Symbol.hasInstance](value));
  }
}
