import { checkOptions } from '../arguments.js';
import { invalidArgument, invalidOption } from '../errors.js';
import { kindOf } from '../kind-of.js';
import type { CacheDomainOptions } from '../types/cache-domain-types.js';
import { checkDomain, priorityNumber, seconds } from './domain-options.js';
import { invalidDomain } from './exceptions.js';
import type { Storing } from './reader.js';

/** What names in arguments stand for. */
export interface Names {
  ttls: Readonly<Record<string, number>>;
  domains: Readonly<Record<string, CacheDomainOptions>>;
}

/** A call of `set`, whatever its form. */
export interface SetCall extends Storing {
  key: string;
  value: unknown;
  condition: 'NX' | 'XX' | undefined;
}

const NO_TAGS: readonly string[] = [];
const ENTRY_OPTIONS = ['ttl', 'ttlKey', 'tags'];
const SET_OPTIONS = [...ENTRY_OPTIONS, 'nx', 'xx'];

export function checkKey(key: unknown, name = 'key'): asserts key is string {
  if (typeof key !== 'string') throw invalidArgument(name, kindOf(key), 'a string');
}

export function checkKeys(keys: unknown, name = 'keys'): asserts keys is readonly string[] {
  if (!Array.isArray(keys)) throw invalidArgument(name, kindOf(keys), 'an array of strings');
  for (const key of keys) checkKey(key, name);
}

export function checkSeconds(value: unknown, name: string): asserts value is number {
  if (typeof value !== 'number') throw invalidArgument(name, kindOf(value), 'a number of seconds');
  if (!(value > 0 && Number.isFinite(value))) throw invalidArgument(name, String(value), 'seconds above 0');
}

/** A life in seconds or options. */
export function storing(options: unknown, names: Names, allowed = ENTRY_OPTIONS): Storing {
  if (options === undefined) return { ttl: undefined, tags: NO_TAGS };
  if (typeof options === 'number') {
    checkSeconds(options, 'ttl');
    return { ttl: options, tags: NO_TAGS };
  }
  checkOptions(options, allowed);
  const { ttl, ttlKey, tags } = options as { ttl?: unknown; ttlKey?: unknown; tags?: unknown };
  if (tags !== undefined) checkKeys(tags, 'tags');
  return { ttl: lifeOf(ttl, ttlKey, names), tags: tags ?? NO_TAGS };
}

function lifeOf(ttl: unknown, ttlKey: unknown, names: Names): number | undefined {
  if (ttl !== undefined) {
    checkSeconds(ttl, 'ttl');
    return ttl;
  }
  if (ttlKey === undefined) return undefined;
  const named = typeof ttlKey === 'string' && Object.hasOwn(names.ttls, ttlKey) ? names.ttls[ttlKey] : undefined;
  if (named === undefined) throw invalidArgument('ttlKey', `\`${String(ttlKey)}\``, known(names.ttls, '`ttls`'));
  return named;
}

/** `set(key, value, ttlOrOptions?)` or `set({ key, value, … })`. */
export function setCall(args: readonly unknown[], names: Names): SetCall {
  const [first, second, third] = args;
  if (args.length === 1 && typeof first === 'object' && first !== null) {
    const allowed = ['key', 'value', ...SET_OPTIONS];
    const { ttl, tags } = storing(first, names, allowed);
    const { key, value } = first as { key?: unknown; value?: unknown };
    checkKey(key);
    return { key, value, ttl, tags, condition: conditionOf(first) };
  }
  checkKey(first);
  const { ttl, tags } = storing(third, names, SET_OPTIONS);
  const condition = typeof third === 'object' ? conditionOf(third as object) : undefined;
  return { key: first, value: second, ttl, tags, condition };
}

function conditionOf(options: { nx?: unknown; xx?: unknown }): 'NX' | 'XX' | undefined {
  if (options.nx && options.xx) throw invalidOption('xx', 'given beside `nx`', 'one of the two');
  return options.nx ? 'NX' : options.xx ? 'XX' : undefined;
}

/** The key of an id in a domain, and the domain. */
export function inDomain(domain: unknown, id: unknown, names: Names): { key: string; options: CacheDomainOptions } {
  const options = domainOf(domain, names);
  if (typeof id !== 'string' && typeof id !== 'number') throw invalidArgument('id', kindOf(id), 'a string or number');
  return { key: `${domainPrefix(String(domain), options)}${id}`, options };
}

/** The options of a domain. */
export function domainOf(domain: unknown, names: Names): CacheDomainOptions {
  const options =
    typeof domain === 'string' && Object.hasOwn(names.domains, domain) ? names.domains[domain] : undefined;
  if (options !== undefined) return options;
  throw invalidDomain(typeof domain === 'string' ? `\`${domain}\`` : kindOf(domain), known(names.domains, '`domains`'));
}

/** What the keys of a domain begin with. */
export function domainPrefix(domain: string, { prefix }: CacheDomainOptions): string {
  return prefix ?? `${domain}:`;
}

function known(names: object, option: string): string {
  const list = Object.keys(names);
  return list.length === 0
    ? `none, because the option ${option} names none`
    : list.map((name) => `\`${name}\``).join(', ');
}

/** Checks the options that this side keeps; those of the engine are checked there. */
export function checkNames(names: { ttls: unknown; domains: unknown }): Names {
  for (const option of ['ttls', 'domains'] as const) {
    if (typeof names[option] !== 'object' || names[option] === null) {
      throw invalidOption(option, kindOf(names[option]), 'an object');
    }
  }
  const { ttls, domains } = names as { ttls: Record<string, unknown>; domains: Record<string, unknown> };
  for (const [name, ttl] of Object.entries(ttls)) seconds(`ttls.${name}`, ttl);
  for (const [name, domain] of Object.entries(domains)) checkDomain(`domains.${name}`, domain);
  return names as Names;
}

/** The options of level 1 with the priorities of domains among its own. */
export function withPriorities<T extends { priorities?: unknown }>(level1: T | undefined, names: Names): T | undefined {
  const { priorities = {} } = level1 ?? {};
  if (typeof priorities !== 'object' || priorities === null) {
    throw invalidOption('level1.priorities', kindOf(priorities), 'an object');
  }
  const all: Record<string, number> = {};
  for (const [name, { priority }] of Object.entries(names.domains)) {
    const prefix = domainPrefix(name, domainOf(name, names));
    if (priority !== undefined) all[prefix] = priorityNumber(`domains.${name}.priority`, priority);
  }
  for (const [prefix, priority] of Object.entries(priorities)) {
    all[prefix] = priorityNumber(`level1.priorities.${prefix}`, priority);
  }
  return Object.keys(all).length === 0 ? level1 : ({ ...level1, priorities: all } as T);
}

/** Checks `level2.prefixes`. */
export function checkPrefixes(prefixes: unknown): Readonly<Record<string, string>> {
  if (typeof prefixes !== 'object' || prefixes === null) {
    throw invalidOption('level2.prefixes', kindOf(prefixes), 'an object');
  }
  for (const [name, prefix] of Object.entries(prefixes)) {
    if (typeof prefix !== 'string') throw invalidOption(`level2.prefixes.${name}`, kindOf(prefix), 'a string');
  }
  return prefixes as Record<string, string>;
}

/**
 * The options of the engine as JSON. What JSON leaves out or turns to null would be accepted in silence, so it travels as
 * text of a wrong type and is refused there, by its path.
 */
export function engineOptions(options: object): string {
  return JSON.stringify(options, (_, value: unknown) => {
    if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint') return kindOf(value);
    return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
  });
}
