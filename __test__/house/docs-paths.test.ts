import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const entries = await readdir(root);
const guides = (await readdir(join(root, 'docs'), { recursive: true })).filter((name) => name.endsWith('.md'));
const documents = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...guides.map((name) => `docs/${name}`)];

/** Made by the build, so absent from a clone. */
const BUILT = /^(dist|target|node_modules)(\/|$)|\.node$/;

/** `src/queue/job.rs`, `ts/*.ts`, `index.js`: what begins with something that stands, or once stood, at our root. */
function pathsIn(text: string): string[] {
  const spans = [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, span]) => span as string);
  return spans.filter((span) => {
    if (/[\s()<>…{}:@]|^[/.]$|^-/.test(span) || span.startsWith('oxcart/')) return false;
    return (
      entries.includes(span) || /^[\w.]+\/[\w./*-]*$/.test(span) || /^[\w-]+\.(md|json|toml|ts|mjs|rs|lua)$/.test(span)
    );
  });
}

function exists(path: string): boolean {
  // A pattern stands for its folder.
  const fixed = path.includes('*') ? path.slice(0, path.lastIndexOf('/', path.indexOf('*'))) : path;
  return existsSync(join(root, fixed));
}

describe('documents', () => {
  it.each(documents)('%s names only paths that exist', async (document) => {
    const text = await readFile(join(root, document), 'utf8');
    expect(pathsIn(text).filter((path) => !exists(path) && !BUILT.test(path))).toEqual([]);
  });

  it.each(documents)('%s links only to files that exist', async (document) => {
    const text = await readFile(join(root, document), 'utf8');
    const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target]) => target as string);
    const local = links.filter((target) => !/^[a-z]+:/.test(target));
    expect(local.filter((target) => !existsSync(join(root, document, '..', target)))).toEqual([]);
  });

  it('would notice a path that is gone', () => {
    expect(pathsIn('see `src/no/such.rs` and `npm test` and `GET`').filter((path) => !exists(path))).toEqual([
      'src/no/such.rs',
    ]);
  });
});
