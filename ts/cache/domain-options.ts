import { invalidOption } from '../errors.js';
import { kindOf } from '../kind-of.js';
import {
  type CacheDomainOptions,
  CachePriority,
  CacheStrategy,
  type WriteBehindOptions,
} from '../types/cache-domain-types.js';

const OPTIONS = ['ttl', 'prefix', 'maxSize', 'priority', 'strategy', 'load', 'write', 'remove', 'writeBehind'];
const FUNCTIONS = ['load', 'write', 'remove'] as const;

/** Least, most and default of the options of write-behind. */
const WRITE_BEHIND = {
  delay: [0.001, 3600, 1],
  concurrency: [1, 1000, 4],
  maxAttempts: [1, 1000, 10],
  backoff: [0.01, 60, 1],
  timeout: [0.1, 3600, 30],
  maxPending: [1, 1_000_000, 10_000],
} as const;
const WHOLE = ['concurrency', 'maxAttempts', 'maxPending'];

/** A priority as the engine knows it. */
export function priorityNumber(path: string, priority: unknown): number {
  const known = typeof priority === 'string' ? (CachePriority as Record<string, unknown>)[priority] : priority;
  if (typeof known === 'number' && CachePriority[known] !== undefined) return known;
  const allowed = Object.keys(CachePriority).map((one) => (Number.isNaN(Number(one)) ? `\`${one}\`` : one));
  throw invalidOption(path, told(priority), allowed.join(', '));
}

/** Whether `set` reaches the source. */
export function writesToSource({ strategy }: CacheDomainOptions): boolean {
  return strategy?.startsWith('WRITE') === true;
}

/** Refuses options of a domain that are unknown, wrong, or without effect. */
export function checkDomain(path: string, domain: unknown): asserts domain is CacheDomainOptions {
  if (typeof domain !== 'object' || domain === null) throw invalidOption(path, kindOf(domain), 'an object');
  for (const name of Object.keys(domain)) {
    if (!OPTIONS.includes(name)) {
      throw invalidOption(`${path}.${name}`, 'unknown', OPTIONS.map((one) => `\`${one}\``).join(', '));
    }
  }
  const options = domain as CacheDomainOptions;
  const { ttl, prefix, maxSize, priority, strategy = 'CACHE_ASIDE', writeBehind } = options;
  if (priority !== undefined) priorityNumber(`${path}.priority`, priority);
  if (ttl !== undefined) seconds(`${path}.ttl`, ttl);
  if (prefix !== undefined && typeof prefix !== 'string') {
    throw invalidOption(`${path}.prefix`, kindOf(prefix), 'a string');
  }
  if (maxSize !== undefined && !(Number.isSafeInteger(maxSize) && maxSize > 0)) {
    throw invalidOption(`${path}.maxSize`, told(maxSize), 'a whole number of bytes above 0');
  }
  if (!Object.values<string>(CacheStrategy).includes(strategy)) {
    const allowed = Object.values(CacheStrategy).map((one) => `\`${one}\``);
    throw invalidOption(`${path}.strategy`, told(strategy), allowed.join(', '));
  }
  for (const name of FUNCTIONS) {
    const given = options[name];
    if (given !== undefined && typeof given !== 'function') {
      throw invalidOption(`${path}.${name}`, kindOf(given), 'a function');
    }
  }
  const writes = writesToSource(options);
  if (writes && options.write === undefined) {
    throw invalidOption(`${path}.write`, 'missing', `a function, which \`${strategy}\` needs`);
  }
  if (strategy === 'READ_THROUGH' && options.load === undefined) {
    throw invalidOption(`${path}.load`, 'missing', 'a function, which `READ_THROUGH` needs');
  }
  for (const name of ['write', 'remove'] as const) {
    if (options[name] !== undefined && !writes) {
      throw invalidOption(`${path}.${name}`, `given with \`${strategy}\``, 'only with a strategy that writes');
    }
  }
  if (writeBehind !== undefined) {
    if (strategy !== 'WRITE_BEHIND') {
      throw invalidOption(`${path}.writeBehind`, `given with \`${strategy}\``, 'only with `WRITE_BEHIND`');
    }
    writeBehindSettings(writeBehind, `${path}.writeBehind`);
  }
}

/** The options of write-behind with their defaults. */
export function writeBehindSettings(given: WriteBehindOptions, path: string): Required<WriteBehindOptions> {
  if (typeof given !== 'object' || given === null) throw invalidOption(path, kindOf(given), 'an object');
  const names = Object.keys(WRITE_BEHIND) as (keyof typeof WRITE_BEHIND)[];
  for (const name of Object.keys(given)) {
    if (!names.includes(name as keyof typeof WRITE_BEHIND)) {
      throw invalidOption(`${path}.${name}`, 'unknown', names.map((one) => `\`${one}\``).join(', '));
    }
  }
  const settings = {} as Required<WriteBehindOptions>;
  for (const name of names) {
    const [least, most, otherwise] = WRITE_BEHIND[name];
    const value: unknown = given[name] ?? otherwise;
    const isWhole = WHOLE.includes(name);
    const fits = typeof value === 'number' && value >= least && value <= most && (!isWhole || Number.isInteger(value));
    if (!fits) {
      const unit = isWhole ? 'a whole number' : 'seconds';
      throw invalidOption(`${path}.${name}`, told(value), `${unit} from ${least} to ${most}`);
    }
    settings[name] = value;
  }
  return settings;
}

/** Refuses what is no life. */
export function seconds(option: string, value: unknown): void {
  if (!(typeof value === 'number' && value > 0 && Number.isFinite(value))) {
    throw invalidOption(option, told(value), 'seconds above 0');
  }
}

function told(value: unknown): string {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? `\`${value}\`` : kindOf(value);
}
