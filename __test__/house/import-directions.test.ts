import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, posix, relative, sep } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');

async function filesUnder(folder: string, extension: string): Promise<{ path: string; text: string }[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(extension));
  return Promise.all(
    files.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      return { path: relative(root, path).split(sep).join('/'), text: await readFile(path, 'utf8') };
    }),
  );
}

/** What a TypeScript file imports, relative ones as paths from the root of the repository. */
function importsOf({ path, text }: { path: string; text: string }): string[] {
  const found = text.matchAll(
    /^\s*(?:import|export)\b[^'";]*?from\s*'([^']+)'|\b(?:import|require)\(\s*'([^']+)'\s*\)/gm,
  );
  return [...found].map(([, from, called]) => {
    const target = (from ?? called) as string;
    return target.startsWith('.') ? posix.join(dirname(path), target) : target;
  });
}

describe('ts/', async () => {
  const files = await filesUnder('ts', '.ts');

  it('reaches the addon through ts/native.ts alone', () => {
    const importers = files.filter((file) => importsOf(file).includes('native.js')).map((file) => file.path);
    expect(importers).toEqual(['ts/native.ts']);
  });

  it('imports nothing but itself, Node and the addon', () => {
    const foreign = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => !target.startsWith('ts/') && !target.startsWith('node:') && target !== 'native.js')
        .map((target) => `${file.path} -> ${target}`),
    );
    expect(foreign).toEqual([]);
  });

  it('keeps ts/types a leaf', () => {
    const outward = files
      .filter((file) => file.path.startsWith('ts/types/'))
      .flatMap((file) =>
        importsOf(file)
          .filter((target) => !target.startsWith('ts/types/') && !target.startsWith('node:'))
          // A type may name a class; nothing may run.
          .filter((target) => !new RegExp(`import type [^;]*${posix.basename(target)}'`).test(file.text))
          .map((target) => `${file.path} -> ${target}`),
      );
    expect(outward).toEqual([]);
  });

  it('has no cycle of imports that run', () => {
    const running = new Map(
      files.map((file) => [
        file.path,
        importsOf({ path: file.path, text: file.text.replace(/^\s*(?:import|export) type\b[^;]*;/gm, '') })
          .filter((target) => target.startsWith('ts/'))
          .map((target) => target.replace(/\.js$/, '.ts')),
      ]),
    );
    const done = new Set<string>();
    const visit = (path: string, trail: string[]): void => {
      if (trail.includes(path)) throw new Error(`cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' -> ')}`);
      if (done.has(path)) return;
      for (const next of running.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of running.keys()) visit(path, []);
  });
});

/** Who may use whom in src/; the arrows of ARCHITECTURE.md. Absent: everything below it. */
const ALLOWED: Record<string, string[]> = {
  error: [],
  clock: ['service'],
  service: ['error'],
  codec: ['error', 'clock', 'service'],
  connection: ['error', 'clock', 'service', 'codec', 'embedded', 'testing'],
  script: ['error', 'clock', 'service', 'codec', 'connection', 'testing'],
  pubsub: ['error', 'clock', 'service', 'codec', 'connection', 'script', 'testing'],
  lock: ['error', 'clock', 'service', 'codec', 'connection', 'script', 'testing'],
  rate_limit: ['error', 'clock', 'service', 'codec', 'connection', 'script', 'lock', 'testing'],
  monitoring: ['error', 'clock', 'service', 'codec', 'connection', 'testing'],
  cache: ['error', 'clock', 'service', 'codec', 'connection', 'script', 'pubsub', 'testing'],
  queue: ['error', 'clock', 'service', 'codec', 'connection', 'script', 'testing'],
  scheduler: ['error', 'clock', 'service', 'codec', 'connection', 'script', 'queue', 'testing'],
};

describe('src/', async () => {
  const files = await filesUnder('src', '.rs');
  const code = (text: string) => text.replace(/\/\/.*$/gm, '');

  it('knows Node-API in src/node only', () => {
    const strays = files
      .filter((file) => !file.path.startsWith('src/node/'))
      .filter((file) => /\bnapi(_derive|_sys)?::|#\[napi\b|use napi\b/.test(code(file.text)))
      .map((file) => file.path);
    expect(strays).toEqual([]);
  });

  it('imports as the arrows in ARCHITECTURE.md are drawn', () => {
    const wrong = files.flatMap((file) => {
      const module = file.path.split('/')[1]?.replace(/\.rs$/, '') ?? '';
      const allowed = ALLOWED[module];
      if (!allowed) return [];
      const used = new Set([...code(file.text).matchAll(/\bcrate::([a-z_]+)::/g)].map(([, name]) => name as string));
      return [...used]
        .filter((name) => name !== module && !allowed.includes(name))
        .map((name) => `${file.path} -> ${name}`);
    });
    expect(wrong).toEqual([]);
  });
});
