import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from '../helpers/redis-server.js';

const root = join(import.meta.dirname, '..', '..');
const run = promisify(execFile);

/** A new TypeScript project outside the repository, with the package installed from what `npm publish` would upload. */
let project: string;
let server: RedisServer;
let tarballs: string[];

async function inProject(command: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await run(command, args, { cwd: project, timeout: 120_000 });
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(' ')} failed:\n${stdout}${stderr}`, { cause: error });
  }
}

beforeAll(async () => {
  server = await RedisServer.start();
  project = await mkdtemp(join(tmpdir(), 'oxcart-consumer-'));
  await cp(join(import.meta.dirname, 'consumer'), project, {
    recursive: true,
    filter: (path) => !path.includes('node_modules'),
  });
  await mkdir(join(project, 'tarballs'));
  const { stdout } = await run(process.execPath, [join(root, 'scripts', 'pack.mjs'), join(project, 'tarballs')]);
  tarballs = stdout.trim().split('\n');
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'];
  await inProject('npm', 'ci', ...quiet);
  await inProject('npm', 'install', '--no-save', ...quiet, ...tarballs);
}, 180_000);

afterAll(async () => {
  await server?.stop();
  if (project) await rm(project, { recursive: true, force: true });
});

describe('the package, installed from its tarballs', () => {
  it('needs no install script', async () => {
    for (const name of await readdir(join(project, 'node_modules'))) {
      if (!name.startsWith('oxcart')) continue;
      const manifest = JSON.parse(await readFile(join(project, 'node_modules', name, 'package.json'), 'utf8'));
      expect(manifest.scripts, name).toBeUndefined();
    }
  });

  it('brings its addon as a package of its own and no other dependency', async () => {
    const installed = (await readdir(join(project, 'node_modules'))).filter((name) => name.startsWith('oxcart'));
    expect(installed).toHaveLength(2);
    const manifest = JSON.parse(await readFile(join(project, 'node_modules', 'oxcart', 'package.json'), 'utf8'));
    expect(manifest.dependencies).toBeUndefined();
    expect(Object.keys(manifest.optionalDependencies)).toEqual(installed.filter((name) => name !== 'oxcart'));
  });

  it('runs the program that the README starts with', { timeout: 120_000 }, async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const [, program, output] = /^```ts\n([\s\S]*?)^```\n+```text\n([\s\S]*?)^```/m.exec(readme) ?? [];
    const folder = join(project, 'readme');
    await mkdir(folder);
    await writeFile(join(folder, 'start.mts'), program as string);
    const tsc = join('node_modules', 'typescript5', 'bin', 'tsc');
    const options = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
    await inProject(process.execPath, tsc, ...options, join(folder, 'start.mts'));
    const { stdout } = await run(process.execPath, [join(folder, 'start.mjs')], {
      env: { ...process.env, REDIS_URL: server.url },
      timeout: 30_000,
    });
    expect(stdout).toBe(output);
  });

  it.each(['typescript5', 'typescript7'])(
    'type-checks and runs as ESM and as CommonJS under %s',
    async (typescript) => {
      const out = join(project, `out-${typescript}`);
      await inProject(process.execPath, join('node_modules', typescript, 'bin', 'tsc'), '-p', '.', '--outDir', out);
      for (const main of ['main-esm.mjs', 'main-cjs.cjs']) {
        const seen = JSON.parse(await inProject(process.execPath, join(out, main), server.url));
        expect(seen, main).toEqual(['Ada', 'Grace', '42', 'Joan', 'text', '60000']);
      }
    },
    120_000,
  );
});
