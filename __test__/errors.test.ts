import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createError, ERROR_CLASSES, type ErrorCode, InternalError, OxcartError, TimeoutError } from '../ts/errors.js';
import { door, errorCodes, makeError } from '../ts/native.js';

test('every code of the native core has a class, and no other code has one', () => {
  expect(Object.keys(ERROR_CLASSES).sort()).toEqual([...errorCodes()].sort());
});

test('every code has one row in docs/errors.md, with meaning, cause and remedy, under its class', () => {
  const text = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8');
  const rows = new Map<string, { cells: string[]; heading: string }>();
  let heading = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('## ')) heading = line;
    const cells = line.split('|').map((cell) => cell.trim());
    const code = /^`(ERR_\w+)`$/.exec(cells[1] ?? '')?.[1];
    if (!code) continue;
    expect(rows.has(code), `${code} has two rows`).toBe(false);
    rows.set(code, { cells: cells.slice(2, 5), heading });
  }
  expect([...rows.keys()].sort()).toEqual([...errorCodes()].sort());
  for (const [code, { cells, heading }] of rows) {
    expect(
      cells.filter((cell) => cell.length > 3),
      code,
    ).toHaveLength(3);
    expect(heading, code).toContain(`\`${ERROR_CLASSES[code as ErrorCode].name}\``);
  }
});

test('an error is an instance of its class, with its fields and its name', () => {
  const cause = new Error('why');
  const error = createError({
    code: 'ERR_COMMAND_TIMED_OUT',
    message: 'too slow',
    retryable: true,
    details: { maybeExecuted: true },
    cause,
  });
  expect(error).toBeInstanceOf(TimeoutError);
  expect(error).toBeInstanceOf(OxcartError);
  expect(error).toMatchObject({ name: 'TimeoutError', message: 'too slow', retryable: true, cause });
  expect(error.details).toEqual({ maybeExecuted: true });
  expect(Object.isFrozen(error.details)).toBe(true);
  expect(String(error)).toBe('TimeoutError: too slow');
  expect(error.stack).toContain('errors.test.ts');
});

test('causes keep their class and their own causes', () => {
  const error = makeError({
    code: 'ERR_REPLY',
    message: 'outer',
    cause: { code: 'ERR_COMMAND_TIMED_OUT', message: 'middle', cause: { message: 'root' } },
  });
  expect(error.cause).toBeInstanceOf(TimeoutError);
  const root = (error.cause as Error).cause as Error;
  expect(root).toBeInstanceOf(Error);
  expect(root.message).toBe('root');
});

test('a code that this half does not know is still an error with that code', () => {
  const error = makeError({ code: 'ERR_OF_THE_FUTURE' as ErrorCode, message: 'm' });
  expect(error).toBeInstanceOf(OxcartError);
  expect(error).not.toBeInstanceOf(InternalError);
  expect(error.code).toBe('ERR_OF_THE_FUTURE');
});

test('a call that the native core refuses rejects with the stack of who awaited it', async () => {
  async function inner(): Promise<void> {
    await door.call(0xff_ffff, 0, []);
  }
  async function callerOfTheCaller(): Promise<void> {
    await inner();
  }
  const error = await callerOfTheCaller().catch((error: unknown) => error);
  expect(error).toMatchObject({ name: 'ClosedError', code: 'ERR_CLOSED' });
  expect((error as Error).stack).toMatch(/at (async )?inner .*errors\.test\.ts/);
  expect((error as Error).stack).toMatch(/at (async )?callerOfTheCaller .*errors\.test\.ts/);
});
