import { invalidOption } from './errors.js';

/** Options that only this layer knows; the engine checks the others. */
export function checkOwnOptions(autorun: unknown, settings: unknown, closeTimeout: unknown): void {
  if (typeof autorun !== 'boolean') throw invalidOption('autorun', typeof autorun, 'true or false');
  if (settings === null || typeof settings !== 'object') throw invalidOption('settings', typeof settings, 'an object');
  for (const [name, value] of Object.entries(settings)) {
    if (name !== 'backoffStrategy' && name !== 'repeatStrategy') {
      throw invalidOption(`settings.${name}`, 'unknown', 'backoffStrategy, repeatStrategy');
    }
    if (value !== undefined && typeof value !== 'function') {
      throw invalidOption(`settings.${name}`, typeof value, 'a function');
    }
  }
  if (closeTimeout !== undefined && !(typeof closeTimeout === 'number' && closeTimeout >= 0)) {
    throw invalidOption('closeTimeout', String(closeTimeout), 'milliseconds from 0');
  }
}
