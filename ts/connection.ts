import { invalidOption } from './errors.js';
import { door, NativeRetryStrategy } from './native.js';
import { type ServiceTime, timeAt } from './service-time.js';
import type { ConnectionState, RedisConfig } from './types/redis-config.js';

/** What a service does with news of its connection. */
export interface ConnectionListener {
  state(state: ConnectionState): void;
  error(error: Error): void;
}

/** The connection of one service, from this side. */
export interface ServiceConnection {
  /** For the constructor of the `Native*` class. */
  readonly json: string;
  /** The time that is stored there, in milliseconds since the epoch. */
  readonly now: () => number;
  /** Calls back when so much of that time is over. */
  readonly after: ServiceTime['after'];
  /** Takes the news of a target; `others` takes its other events. */
  listen(target: number, others?: (event: number, a: number, b: number, values: unknown[]) => void): void;
  /** Ends the news. Closing twice is safe. */
  close(): void;
}

/** Events that every target with a connection has: `src/node/link_events.rs`. */
const STATE_EVENT = 0xff00;
const STATES: readonly ConnectionState[] = [
  'CONNECTING',
  'CONNECTED',
  'READY',
  'DISCONNECTING',
  'DISCONNECTED',
  'RECONNECTING',
  'ERROR',
];

type Strategy = NonNullable<RedisConfig['retryStrategy']>;

/** A `retryStrategy` behind the door. Services that were given the same function share it, and so their connection. */
interface SharedStrategy {
  native: NativeRetryStrategy;
  listeners: Set<ConnectionListener>;
}

const strategies = new Map<Strategy, SharedStrategy>();

/** Code of `NativeRetryStrategy`: `[request, milliseconds]`, or `[request]` to give up, or neither to take the default. */
const ANSWER = 0;
const GIVE_UP = 1;
const DEFAULT = 2;

/** Longest delay: what a timer can hold. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** Prepares the connection of a service. */
export function openConnection(config: RedisConfig, listener: ConnectionListener): ServiceConnection {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw invalidOption('config', config === null ? 'null' : `a ${typeof config}`, 'an object');
  }
  const { retryStrategy, ...plain } = config;
  if (retryStrategy !== undefined && typeof retryStrategy !== 'function') {
    throw invalidOption('retryStrategy', `a ${typeof retryStrategy}`, 'a function');
  }
  noteIfNothingIsConfigured(plain);
  const { now, after } = timeAt(plain.url ?? (plain.host === undefined ? process.env['REDIS_URL'] : undefined));
  const strategy = retryStrategy && share(retryStrategy, listener);
  let listened: number | undefined;
  return {
    json: JSON.stringify(strategy ? { ...plain, retryStrategy: strategy.native.key } : plain),
    now,
    after,
    listen(target, others) {
      listened = target;
      door.listen(target, (event, a, b, values) => {
        if (event !== STATE_EVENT) {
          others?.(event, a, b, values);
          return;
        }
        listener.state(STATES[a]!);
        if (values.length > 0) listener.error(values[0] as Error);
      });
    },
    close() {
      if (listened !== undefined) door.unlisten(listened);
      if (retryStrategy) leave(retryStrategy, listener);
    },
  };
}

let isNoted = false;

/** Says once that there is no server, when nobody asked for that. */
function noteIfNothingIsConfigured(config: Omit<RedisConfig, 'retryStrategy'>): void {
  if (isNoted || config.url !== undefined || config.host !== undefined || process.env['REDIS_URL']) return;
  isNoted = true;
  if (process.env['NODE_ENV'] === 'production') {
    process.emitWarning(
      'NO REDIS IS CONFIGURED IN PRODUCTION: jobs, cache and messages live in the memory of this process, no other ' +
        'process sees them, and they are LOST when it ends. Set REDIS_URL, or say that this is meant with url: "memory://".',
      { type: 'OxcartWarning', code: 'OXCART_MEMORY_IN_PRODUCTION' },
    );
  } else {
    process.emitWarning(
      'no Redis is configured, so everything stays in this process (memory://); set REDIS_URL to use one',
      {
        type: 'OxcartWarning',
        code: 'OXCART_MEMORY',
      },
    );
  }
}

function share(strategy: Strategy, listener: ConnectionListener): SharedStrategy {
  const known = strategies.get(strategy);
  if (known) {
    known.listeners.add(listener);
    return known;
  }
  const shared = { native: new NativeRetryStrategy(door.native), listeners: new Set([listener]) };
  const { id } = shared.native;
  door.listen(id, (_event, request, times) => {
    const [code, args] = decide(strategy, times, shared.listeners);
    // The answer keeps no process alive that has nothing else to wait for: it is settled at once.
    void door.call(id, code, [request, ...args]).catch(() => undefined);
  });
  strategies.set(strategy, shared);
  return shared;
}

function leave(strategy: Strategy, listener: ConnectionListener): void {
  const shared = strategies.get(strategy);
  if (!shared?.listeners.delete(listener) || shared.listeners.size > 0) return;
  strategies.delete(strategy);
  door.unlisten(shared.native.id);
  shared.native.close();
}

function decide(strategy: Strategy, times: number, listeners: Set<ConnectionListener>): [number, number[]] {
  try {
    const delay: unknown = strategy(times);
    if (typeof delay !== 'number') return [GIVE_UP, []];
    if (Number.isNaN(delay)) throw new TypeError('retryStrategy returned NaN');
    return [ANSWER, [Math.round(Math.min(Math.max(delay, 0), LONGEST_DELAY))]];
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    for (const listener of listeners) listener.error(failure);
    return [DEFAULT, []];
  }
}
