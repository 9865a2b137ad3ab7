import type { RepeatOptions } from './types.js';

/** @throws BullMQ's errors for the name of a queue. */
export function checkQueueName(name: unknown): void {
  if (!name) throw new Error('Queue name must be provided');
  if (String(name).includes(':')) throw new Error('Queue name cannot contain :');
}

/** @throws BullMQ's errors for schedules that make no sense. */
export function checkRepeatOptions({ pattern, every, immediately, startDate }: RepeatOptions): void {
  if (pattern && every) throw new Error('Both .pattern and .every options are defined for this repeatable job');
  if (!pattern && !every) throw new Error('Either .pattern or .every options must be defined for this repeatable job');
  if (immediately && startDate) {
    throw new Error('Both .immediately and .startDate options are defined for this repeatable job');
  }
}
