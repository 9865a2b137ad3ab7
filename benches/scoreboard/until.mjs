import { setTimeout as sleep } from 'node:timers/promises';

/** What a cache did instead of what is right. */
export class Wrong extends Error {
  name = 'Wrong';
}

/** Fails as {@link Wrong} unless the two are the same. */
export function same(actual, expected, what) {
  if (!Object.is(actual, expected) && JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Wrong(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

/** Looks until `look` returns something truthy and returns that. */
export async function until(look, what, timeoutMs = 10_000) {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > end) throw new Wrong(`not within ${timeoutMs / 1000} s: ${what}`);
    await sleep(5);
  }
}

/** The outcome of `work`, which fails as {@link Wrong} when it takes longer. */
export async function within(work, timeoutMs, what) {
  const timer = new AbortController();
  const late = sleep(timeoutMs, undefined, { signal: timer.signal }).then(() => {
    throw new Wrong(`${what}: no answer within ${timeoutMs} ms`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}

/** The error that `work` rejects with. */
export async function failure(work, what) {
  try {
    const value = await work;
    throw new Wrong(`${what}: resolved to ${JSON.stringify(value)} instead of rejecting`);
  } catch (error) {
    if (error instanceof Wrong) throw error;
    return error;
  }
}
