// The guides of the cache, run: all blocks of each as one program, on the engine in this process.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import * as oxcart from '../ts/index.js';

const folder = join(import.meta.dirname, '..', 'docs', 'learning');

/** What the guides take from the reader's own program, and what it was asked. */
const asked: string[] = [];
const program = {
  database: {
    async loadUser(id: number) {
      asked.push(`user ${id}`);
      return { id, name: `user ${id}` };
    },
  },
  async send(to: string) {
    asked.push(`send ${to}`);
    return `sent to ${to}`;
  },
  async cleanUp(data: unknown) {
    asked.push(`clean up ${data}`);
  },
};

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'oxcart-guides-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true, maxRetries: 5 }));

let said: string[];
beforeEach(() => {
  vi.stubEnv('REDIS_URL', 'memory://cache-guides');
  said = [];
  asked.length = 0;
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

async function run(guide: string, show: string): Promise<any> {
  const text = await readFile(join(folder, guide), 'utf8');
  const blocks = [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code as string);
  const { outputText } = ts.transpileModule(
    blocks.join('\n').replaceAll('redis://localhost', 'memory://cache-guides').replaceAll('/tmp/', `${scratch}/`),
    {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS },
    },
  );
  const names = ['require', 'exports', 'console', ...Object.keys(program)];
  const AsyncFunction = (async () => undefined).constructor as FunctionConstructor;
  const say = (...words: unknown[]) => said.push(words.join(' '));
  return new AsyncFunction(...names, `${outputText}\nreturn { ${show} };`)(
    () => oxcart,
    {},
    { log: say, error: say },
    ...Object.values(program),
  );
}

it('cache.md', async () => {
  const { cache, user } = await run('cache.md', 'cache, user');
  expect(user).toEqual({ id: 1, name: 'user 1' });
  expect(asked).toEqual(['user 1', 'user 2']);
  expect(said).toEqual(['400 ERR_CACHE_KEY_TOO_LONG']);
  await cache.close();
});

it('cache-database.md', async () => {
  const { cache, user } = await run('cache-database.md', 'cache, user');
  expect(user).toEqual({ id: 1, name: 'user 1' });
  expect(said).toEqual(['0 errors']);
  await cache.close();
});

it('cache-strategies.md', async () => {
  const { users, counters, warmed, failed, today } = await run(
    'cache-strategies.md',
    'users, counters, warmed, failed, today',
  );
  expect([...users]).toEqual([]);
  expect(counters.get('/home')).toBe(100);
  expect([warmed, failed]).toEqual([0, []]);
  expect(said).toEqual(expect.arrayContaining(['100', '3 of 3']));
  expect(today).toMatchObject({ hits: 0, misses: 1, keyCount: 0 });
});

it('cache-invalidation.md', async () => {
  const { cache } = await run('cache-invalidation.md', 'cache, pubsub');
  expect(said[0]).toBe('0 0');
  await cache.set('a', 1, { tags: ['t'] });
  await cache.invalidateByTag('t');
  expect(said.at(-1)).toBe('1 entries with t');
  await cache.close();
});

it('cache-decorators.md', async () => {
  const { profiles } = await run('cache-decorators.md', 'profiles');
  expect(asked).toEqual(['send 7']);
  expect(await profiles.find('7')).toEqual({ id: '7', name: 'Bob' });
  await profiles.remove('7');
  expect(await profiles.find('7')).toEqual({ id: '7', name: 'sent to 7' });
});
