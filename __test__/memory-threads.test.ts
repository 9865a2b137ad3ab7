import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

interface Held {
  /** Clients of the store. */
  open: number;
  handles: number;
  threads: number;
  memoryKb: number;
}

// Linux only: elsewhere no /proc.
test.skipIf(process.platform !== 'linux')(
  'a hundred threads that come and go share the store of a name, and leave nothing behind',
  { timeout: 180_000 },
  async () => {
    const program = fileURLToPath(new URL('./fixtures/thread-rounds.mjs', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', program, '100', '20'], {
      timeout: 170_000,
    });
    const { early, late, rounds } = JSON.parse(stdout) as {
      early: Held;
      late: Held;

      rounds: number;
    };
    expect(rounds).toBe(100);
    expect(late.open).toBeLessThanOrEqual(early.open);
    expect(late.handles - early.handles).toBeLessThanOrEqual(2);
    expect(late.threads - early.threads).toBeLessThanOrEqual(1);
    // A thread that stayed would hold some megabytes in each of the eighty rounds.
    expect(late.memoryKb - early.memoryKb).toBeLessThan(40_000);
  },
);
