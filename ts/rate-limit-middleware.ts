import { checkOptionNames } from './arguments.js';
import { invalidArgument, invalidOption } from './errors.js';
import type { RateLimiter } from './rate-limiter.js';
import type { RateLimitDecision, RateLimitMiddlewareOptions } from './types/rate-limit-types.js';

/** What is used of a request where no `key` is given. */
export interface RequestWithAddress {
  /** The client's address, as the framework knows it: behind a proxy, set its `trust proxy` or `trustProxy`. */
  readonly ip?: string | undefined;
}

/** What is used of the response of Express, Connect, or `node:http`. */
export interface PlainResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

/** What is used of a reply of Fastify. */
export interface FastifyReplyLike {
  header(name: string, value: string): unknown;
  code(status: number): { send(body: unknown): unknown };
}

const OPTION_NAMES = ['key', 'cost', 'skip', 'headers', 'body'];

/**
 * Limits requests in Express, and whatever takes middleware of `(request, response, next)`. A refused request is answered
 * with status 429 and `Retry-After`; errors go to `next`.
 *
 * @throws `ERR_INVALID_OPTION`
 *
 * @example
 * app.use('/api', expressRateLimit(limiter, { key: (request) => `api:${request.ip}` }));
 */
export function expressRateLimit<Request = RequestWithAddress>(
  limiter: RateLimiter,
  options: RateLimitMiddlewareOptions<Request> = {},
): (request: Request, response: PlainResponse, next: (error?: unknown) => void) => void {
  const decide = decider(limiter, options);
  return (request, response, next) => {
    decide(request).then((outcome) => {
      if (outcome === undefined) return next();
      for (const [name, value] of outcome.headers) response.setHeader(name, value);
      if (outcome.body === undefined) return next();
      response.statusCode = 429;
      response.setHeader('content-type', 'application/json; charset=utf-8');
      response.end(JSON.stringify(outcome.body));
    }, next);
  };
}

/**
 * Limits requests in Fastify, as an `onRequest` or `preHandler` hook of the server or of a route. A refused request is answered
 * with status 429 and `Retry-After`; errors are those of the route.
 *
 * @throws `ERR_INVALID_OPTION`
 *
 * @example
 * server.addHook('onRequest', fastifyRateLimit(limiter, { key: (request) => `api:${request.ip}` }));
 */
export function fastifyRateLimit<Request = RequestWithAddress>(
  limiter: RateLimiter,
  options: RateLimitMiddlewareOptions<Request> = {},
): (request: Request, reply: FastifyReplyLike) => Promise<unknown> {
  const decide = decider(limiter, options);
  return async (request, reply) => {
    const outcome = await decide(request);
    if (outcome === undefined) return undefined;
    for (const [name, value] of outcome.headers) reply.header(name, value);
    // The reply itself tells Fastify that the request was answered.
    return outcome.body === undefined ? undefined : reply.code(429).send(outcome.body);
  };
}

interface Outcome {
  headers: [name: string, value: string][];
  /** Of a refusal. */
  body?: unknown;
}

/** What is to be done with a request; nothing for one that is not counted. */
function decider<Request = RequestWithAddress>(
  limiter: RateLimiter,
  options: RateLimitMiddlewareOptions<Request>,
): (request: Request) => Promise<Outcome | undefined> {
  const { key = byAddress as (request: Request) => string, cost = 1, skip, headers = true, body = refusal } = options;
  checkOptionNames(options, OPTION_NAMES);
  for (const [name, value] of Object.entries({ key, skip, body })) {
    if (value !== undefined && typeof value !== 'function') throw invalidOption(name, typeof value, 'a function');
  }
  return async (request) => {
    if (await skip?.(request)) return undefined;
    const decision = await limiter.consume(await key(request), typeof cost === 'function' ? cost(request) : cost);
    const outcome: Outcome = { headers: headers ? headersOf(decision) : [] };
    if (!decision.allowed) {
      outcome.headers.push(['retry-after', inSeconds(decision.retryAfter)]);
      outcome.body = body(decision) ?? null;
    }
    return outcome;
  };
}

function byAddress({ ip }: RequestWithAddress): string {
  if (typeof ip !== 'string' || ip === '') {
    throw invalidArgument('request.ip', String(ip), 'an address; or give the option `key`');
  }
  return `ip:${ip}`;
}

/** As draft-ietf-httpapi-ratelimit-headers-06 names them; the time is in seconds from now. */
function headersOf({ limit, remaining, resetAfter }: RateLimitDecision): [string, string][] {
  return [
    ['ratelimit-limit', String(limit)],
    ['ratelimit-remaining', String(remaining)],
    ['ratelimit-reset', inSeconds(resetAfter)],
  ];
}

function refusal({ retryAfter }: RateLimitDecision): unknown {
  return { statusCode: 429, error: 'Too Many Requests', message: `Try again in ${inSeconds(retryAfter)} s.` };
}

function inSeconds(ms: number): string {
  return String(Math.max(Math.ceil(ms / 1_000), 0));
}
