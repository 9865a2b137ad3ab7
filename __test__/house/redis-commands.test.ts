import { expect, test } from 'vitest';
import { commandCode } from '../../ts/native.js';
import { COMMAND_ROWS } from '../../ts/redis/commands/rows.js';
import { RedisService } from '../../ts/redis.js';

test('the methods of RedisService are as the table of commands says', async () => {
  const generator = '../../scripts/redis-commands.mjs';
  const { stale } = (await import(generator)) as { stale(): string[] };
  expect(stale(), 'run node scripts/redis-commands.mjs').toEqual([]);
});

test('every row is a method, and a command that the native core knows', () => {
  for (const [method] of COMMAND_ROWS) {
    expect(RedisService.prototype, method).toHaveProperty(method);
    expect(commandCode(method.toUpperCase()), method).not.toBeNull();
  }
});
