import { checkOptions } from '../arguments.js';
import { invalidArgument } from '../errors.js';
import { kindOf } from '../kind-of.js';
import { type Names, storing } from './arguments.js';
import type { Storing } from './reader.js';

const MAKE_OPTIONS = [
  ...['ttl', 'ttlKey', 'tags', 'grace', 'swr', 'softTimeout', 'hardTimeout', 'earlyRefresh', 'jitter', 'negativeTtl'],
  ...['lock', 'backoff', 'signal'],
];

/** How a value is made, and what happens when it cannot be. */
export interface Making extends Storing {
  readonly graceMs: number;
  readonly swrMs: number;
  /** The longer of the two: how long an entry is kept beyond its life. */
  readonly staleMs: number;
  readonly softMs: number | undefined;
  readonly hardMs: number | undefined;
  /** Of XFetch; 0 refreshes nothing early. */
  readonly beta: number;
  /** Part of the life, 0 to 1. */
  readonly jitter: number;
  /** Seconds. */
  readonly negativeTtl: number | undefined;
  readonly lock: 'local' | 'distributed' | false;
  readonly backoffMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What `getOrSet` does without options. */
export const PLAIN = {
  graceMs: 0,
  swrMs: 0,
  staleMs: 0,
  softMs: undefined,
  hardMs: undefined,
  beta: 0,
  jitter: 0,
  negativeTtl: undefined,
  lock: 'local',
  backoffMs: undefined,
  signal: undefined,
} as const;

/** A life in seconds, or the options of `getOrSet`. */
export function making(options: unknown, names: Names, allowed: readonly string[] = MAKE_OPTIONS): Making {
  if (typeof options !== 'object' || options === null) return { ...storing(options, names), ...PLAIN };
  checkOptions(options, allowed);
  const all = options as Record<string, unknown>;
  const { ttl, ttlKey, tags, earlyRefresh = false, jitter = 0, lock = 'local', signal } = all;
  const graceMs = millis(all, 'grace') ?? 0;
  const swrMs = millis(all, 'swr') ?? 0;
  const beta = earlyRefresh === true ? 1 : earlyRefresh === false ? 0 : earlyRefresh;
  if (typeof beta !== 'number' || !(beta >= 0 && beta <= 100)) {
    throw invalidArgument('earlyRefresh', shown(earlyRefresh), 'a boolean, or a factor from 0 to 100');
  }
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) {
    throw invalidArgument('jitter', shown(jitter), 'the part of the life that chance may take, 0 to 1');
  }
  if (lock !== 'local' && lock !== 'distributed' && lock !== false) {
    throw invalidArgument('lock', shown(lock), '`local`, `distributed`, false');
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidArgument('signal', kindOf(signal), 'an AbortSignal');
  }
  const negativeMs = millis(all, 'negativeTtl');
  return {
    ...storing({ ttl, ttlKey, tags }, names),
    graceMs,
    swrMs,
    staleMs: Math.max(graceMs, swrMs),
    softMs: millis(all, 'softTimeout'),
    hardMs: millis(all, 'hardTimeout'),
    beta,
    jitter,
    negativeTtl: negativeMs === undefined ? undefined : negativeMs / 1000,
    lock,
    backoffMs: millis(all, 'backoff'),
    signal,
  };
}

/** The same for `getOrSetMany`. */
export function bulkMaking(options: unknown, names: Names): Making {
  return making(options, names, ['ttl', 'ttlKey', 'tags', 'grace', 'jitter', 'negativeTtl']);
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `\`${value}\`` : typeof value === 'number' ? String(value) : kindOf(value);
}

/** Seconds as milliseconds; timers take no more than 2^31 of them. */
function millis(options: Record<string, unknown>, name: string): number | undefined {
  const seconds = options[name];
  if (seconds === undefined) return undefined;
  const timer = name === 'softTimeout' || name === 'hardTimeout';
  const most = timer ? 2_147_483 : 3_153_600_000;
  if (typeof seconds !== 'number' || !(seconds >= 0.001 && seconds <= most)) {
    throw invalidArgument(name, shown(seconds), `seconds from 0.001 to ${most}`);
  }
  return seconds * 1000;
}
