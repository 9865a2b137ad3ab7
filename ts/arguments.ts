import { invalidArgument, invalidOption } from './errors.js';
import { kindOf } from './kind-of.js';

// Checks of what TypeScript would have refused, so that JavaScript is told at the call what is wrong, not later or never.

export function checkText(argument: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidArgument(argument, kindOf(value), 'a string');
  return value;
}

export function checkNumber(argument: string, value: unknown, allowed = 'a number'): number {
  if (typeof value !== 'number') throw invalidArgument(argument, kindOf(value), allowed);
  return value;
}

/** The arguments of a call that were given in an object. */
export function checkObject<T extends object>(argument: string, value: T): T {
  if (value === null || typeof value !== 'object') throw invalidArgument(argument, kindOf(value), 'an object');
  return value;
}

/** Refuses what is no function: it would otherwise fail in the middle of things. */
export function checkFunction(value: unknown, name: string): asserts value is (...args: any[]) => unknown {
  if (typeof value !== 'function') throw invalidArgument(name, kindOf(value), 'a function');
}

/** The options of a constructor, whose names are checked by whoever knows them all. */
export function checkServiceOptions<T extends object>(options: T): T {
  if (options === null || typeof options !== 'object') throw invalidOption('options', kindOf(options), 'an object');
  return options;
}

/** The options of a call: refuses those that nobody would look at. */
export function checkOptions(options: unknown, allowed: readonly string[]): asserts options is object {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalidArgument('options', kindOf(options), 'an object');
  }
  checkOptionNames(options, allowed);
}

/** Refuses a name that is not among `allowed`. */
export function checkOptionNames(options: object, allowed: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!allowed.includes(name)) throw invalidOption(name, 'unknown', allowed.map((one) => `\`${one}\``).join(', '));
  }
}
