import {
  CacheConnectionException,
  CacheOperationFailedException,
  CacheSerializationException,
  ConnectionError,
  createError,
  InvalidCacheDomainException,
  type OxcartError,
  ReplyError,
} from '../errors.js';

/** An error of the connection under the name that it has where a cache throws it; others stay what they are. */
export function asCacheError(error: unknown): unknown {
  if (error instanceof CacheConnectionException || error instanceof CacheOperationFailedException) return error;
  if (error instanceof ConnectionError) return renamed(CacheConnectionException, error);
  if (error instanceof ReplyError) return renamed(CacheOperationFailedException, error);
  return error;
}

function renamed(Name: typeof OxcartError, error: OxcartError): OxcartError {
  const { code, message, details, retryable } = error;
  return new Name({ code, message, details, retryable, cause: error });
}

/** A value that has no stored form. */
export function notStorable(key: string, form: string, why: string, cause: unknown): OxcartError {
  return new CacheSerializationException({
    code: 'ERR_NOT_SERIALIZABLE',
    message: `the value of cache key \`${key.slice(0, 64)}\` cannot be written as ${form}: ${why}`,
    details: { key: key.slice(0, 512) },
    cause,
  });
}

/** A name that no domain has. */
export function invalidDomain(got: string, allowed: string): OxcartError {
  return new InvalidCacheDomainException({
    code: 'ERR_INVALID_CACHE_DOMAIN',
    message: `argument \`domain\` is ${got}; allowed: ${allowed}`,
    details: { argument: 'domain' },
  });
}

/** A value that is larger than its domain takes. */
export function tooLargeForDomain(key: string, domain: string, bytes: number, limit: number): OxcartError {
  return createError({
    code: 'ERR_CACHE_VALUE_TOO_LARGE',
    message: `the value of cache key \`${key.slice(0, 64)}\` has ${bytes} bytes; allowed in the domain \`${domain}\`: ${limit}`,
    details: { key: key.slice(0, 512), limit },
  });
}

/** A call after `close`. */
export function cacheClosed(): OxcartError {
  return createError({ code: 'ERR_CLOSED', message: 'this CacheService is closed' });
}
