import { type ConnectionListener, openConnection, type ServiceConnection } from './connection.js';
import { invalidArgument, invalidOption } from './errors.js';
import { closed } from './job-errors.js';
import { door, NativeMonitor } from './native.js';
import { ServiceEmitter } from './service-emitter.js';
import type {
  AnalyzeKeysOptions,
  DatabaseMemory,
  KeyAnalysis,
  MemoryUsageOptions,
  RedisHealth,
  RedisInfo,
  RedisLatency,
  RedisMonitoringOptions,
  SlowQuery,
} from './types/monitoring-types.js';
import type { ConnectionState, RedisConfig } from './types/redis-config.js';

export interface RedisMonitoringEvents {
  /** A connection failed. */
  error: [error: Error];
  /** A connection changed its state. */
  state: [state: ConnectionState];
}

/** Calls; the numbers are those of `src/node/monitoring.rs`. */
const CALL = {
  ping: 0,
  info: 1,
  slowQueries: 2,
  latency: 3,
  health: 4,
  memoryUsage: 5,
  analyzeKeys: 6,
  stop: 7,
} as const;

const SLOW_QUERIES = 10;
const MEMORY_USAGE_OPTIONS = ['timeBudgetMs', 'samples'];
const ANALYZE_KEYS_OPTIONS = ['timeBudgetMs', 'samples', 'maxPatterns', 'biggestKeys'];

/**
 * Looks into Redis: its own figures, slow commands, latencies, what takes the memory, and whether all is well.
 *
 * Nothing here makes others wait: keys are gone through in slices of a fraction of a millisecond with pauses between them,
 * never with `KEYS`, and every call has a bound on its time and its memory. Names of keys are in the answers only, never in a log or
 * an error.
 *
 * @example
 * const monitoring = new RedisMonitoringService({ redis });
 * const { status, alerts } = await monitoring.getHealth();
 * const { patterns } = await monitoring.analyzeKeys('user:*', { timeBudgetMs: 2_000 });
 * console.table(patterns.map(({ pattern, count, avgSize }) => ({ pattern, count, avgSize })));
 */
export class RedisMonitoringService extends ServiceEmitter<RedisMonitoringEvents> implements AsyncDisposable {
  readonly #native: NativeMonitor;
  readonly #connections: ServiceConnection[] = [];
  readonly #running = new Map<number, (error: unknown) => void>();
  #calls = 0;
  #closing = false;

  /** @throws `ERR_INVALID_OPTION` with the path of a wrong or unknown option. */
  constructor(options: RedisMonitoringOptions = {}) {
    super();
    const { redis = {}, thresholds = {}, ...others } = object('options', options);
    const [unknown] = Object.keys(others);
    if (unknown !== undefined) throw invalidOption(unknown, 'unknown', '`redis`, `thresholds`');
    const configs: readonly RedisConfig[] = Array.isArray(redis) ? redis : [redis as RedisConfig];
    const listener: ConnectionListener = {
      state: (state) => this.fire('state', state),
      error: (error) => this.fire('error', error),
    };
    try {
      for (const config of configs) this.#connections.push(openConnection(config, listener));
      const servers = this.#connections.map(({ json }) => json);
      this.#native = new NativeMonitor(door.native, servers, JSON.stringify(object('thresholds', thresholds)));
    } catch (error) {
      for (const connection of this.#connections) connection.close();
      throw error;
    }
    this.#connections[0]!.listen(this.#native.id);
  }

  /**
   * Figures of the server.
   *
   * @throws What the connection gives.
   */
  async getInfo(): Promise<RedisInfo> {
    return (await this.#call(CALL.info)) as RedisInfo;
  }

  /**
   * What each database takes, estimated from some of its keys, within `timeBudgetMs`. Databases without keys are not listed.
   * Other databases than that of the connection are asked over connections that are closed again.
   *
   * @throws `ERR_INVALID_OPTION`; `ERR_WAIT_TIMED_OUT` when the time was over before the server told anything;
   *   `ERR_REPLY` or `ERR_AUTHENTICATION_FAILED` when the server does not allow `MEMORY USAGE`; the reason of `signal`.
   */
  async getMemoryUsage(options: MemoryUsageOptions = {}): Promise<DatabaseMemory[]> {
    return (await this.#long(CALL.memoryUsage, options, MEMORY_USAGE_OPTIONS, {})) as DatabaseMemory[];
  }

  /**
   * Commands that took longer than the server's `slowlog-log-slower-than`, the latest first.
   *
   * @param limit How many of all servers together. Default 10; an integer from 1 to 10,000.
   * @throws `ERR_INVALID_ARGUMENT` for the limit, and what the connection gives.
   */
  async getSlowQueries(limit: number = SLOW_QUERIES): Promise<SlowQuery[]> {
    if (!Number.isInteger(limit)) throw invalidArgument('limit', String(limit), 'an integer from 1 to 10000');
    return dated((await this.#call(CALL.slowQueries, [limit])) as SlowQuery[]);
  }

  /**
   * How long commands take, as the server itself measures it, since it started or `CONFIG RESETSTAT`.
   *
   * @throws What the connection gives.
   */
  async getLatency(): Promise<RedisLatency> {
    const latency = (await this.#call(CALL.latency)) as RedisLatency;
    return { ...latency, events: dated(latency.events) };
  }

  /** Whether the server is well. A server that does not answer is an alert, not an error. */
  async getHealth(): Promise<RedisHealth> {
    return (await this.#call(CALL.health)) as RedisHealth;
  }

  /**
   * What the keys are: how many of which pattern, their sizes, types and times to live, and the biggest ones.
   *
   * Within `timeBudgetMs` as many keys are gone through as can be, in slices with pauses; the counts of those stand for
   * all (`complete` says whether they are all, the margins how far off they may be). Sizes and times to live are asked of a
   * sample of them.
   *
   * @param pattern Which keys, as in `SCAN`: `user:*`. Default all. With the `keyPrefix` of the connection, only keys under that
   *   are looked at, and told without it.
   * @throws `ERR_INVALID_OPTION`; `ERR_WAIT_TIMED_OUT` when the time was over before the server told anything; the reason of
   *   `signal`; and what the connection gives.
   *
   * @example
   * const { patterns, biggestKeys, complete } = await monitoring.analyzeKeys();
   */
  async analyzeKeys(pattern = '*', options: AnalyzeKeysOptions = {}): Promise<KeyAnalysis> {
    if (typeof pattern !== 'string') throw invalidArgument('pattern', typeof pattern, 'a string');
    return (await this.#long(CALL.analyzeKeys, options, ANALYZE_KEYS_OPTIONS, { pattern })) as KeyAnalysis;
  }

  /** Round trip to every server. */
  async ping(): Promise<string> {
    return (await this.#call(CALL.ping)) as string;
  }

  /** Refuses new calls, ends long ones with `ERR_CLOSED`, and leaves the connections. Twice is safe. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    for (const end of this.#running.values()) end(closed(this.describe()));
    this.#native.close();
    for (const connection of this.#connections) connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected describe(): string {
    return 'monitoring service';
  }

  async #call(code: number, args: (string | number)[] = []): Promise<unknown> {
    if (this.#closing) throw closed(this.describe());
    return door.call(this.#native.id, code, args);
  }

  /** A call that can be ended. */
  async #long(
    code: number,
    options: { signal?: AbortSignal },
    allowed: string[],
    more: { pattern?: string },
  ): Promise<unknown> {
    const { signal, ...engine } = object('options', options);
    const unknown = Object.keys(engine).find((name) => !allowed.includes(name));
    if (unknown !== undefined) {
      throw invalidOption(unknown, 'unknown', [...allowed, 'signal'].map((name) => `\`${name}\``).join(', '));
    }
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw invalidOption('signal', typeof signal, 'an AbortSignal');
    }
    if (this.#closing) throw closed(this.describe());
    signal?.throwIfAborted();
    const number = ++this.#calls;
    const ended = new Promise<never>((_, reject) => this.#running.set(number, reject));
    const abort = () => {
      this.#running.get(number)?.(signal!.reason);
      void door.call(this.#native.id, CALL.stop, [number]).catch(() => undefined);
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const answer = door.call(this.#native.id, code, [number, JSON.stringify({ ...engine, ...more })]);
      // Whichever comes second has nobody to tell.
      void answer.catch(() => undefined);
      return await Promise.race([answer, ended]);
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#running.delete(number);
    }
  }
}

/** Times cross as milliseconds. */
function dated<T extends { timestamp: Date }>(rows: T[]): T[] {
  return rows.map((row) => ({ ...row, timestamp: new Date(row.timestamp) }));
}

function object<T extends object>(argument: string, value: T): T {
  if (value === null || typeof value !== 'object') throw invalidOption(argument, String(value), 'an object');
  return value;
}
