import { invalidArgument } from '../errors.js';
import { kindOf } from '../kind-of.js';

const MOST = 1000;

/** Refuses what is no number of things to do at a time. */
export function checkConcurrency(value: unknown): asserts value is number {
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MOST) return;
  const got = typeof value === 'number' ? String(value) : kindOf(value);
  throw invalidArgument('concurrency', got, `a whole number from 1 to ${MOST}`);
}

/**
 * Does something with each item, so many at a time. When `work` rejects or `signal` is aborted no more is begun, and it rejects
 * once what runs has ended.
 */
export async function inParallel<T>(
  items: AsyncIterable<T> | Iterable<T>,
  concurrency: number,
  signal: AbortSignal | undefined,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let failure: { error: unknown } | undefined;
  const worker = async () => {
    while (failure === undefined) {
      if (signal?.aborted) failure = { error: signal.reason };
      else {
        try {
          const { done, value } = await iterator.next();
          if (done) return;
          await work(value);
        } catch (error) {
          failure ??= { error };
        }
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  if (failure !== undefined) throw failure.error;
}
