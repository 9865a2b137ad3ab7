import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');

/** The names that a hand-kept file exports by `export { … } from`, split into values and types. */
async function exportsOf(file: string): Promise<{ values: string[]; types: string[] }> {
  const text = await readFile(join(root, file), 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const values: string[] = [];
  const types: string[] = [];
  source.forEachChild((node) => {
    if (!ts.isExportDeclaration(node)) return;
    const clause = node.exportClause;
    // `export * from` would hide what the package gives away.
    if (!clause || !ts.isNamedExports(clause)) throw new Error(`${file}: only named exports, found ${node.getText()}`);
    for (const element of clause.elements) {
      (node.isTypeOnly || element.isTypeOnly ? types : values).push(element.name.text);
    }
  });
  return { values: values.sort(), types: types.sort() };
}

describe('public names', async () => {
  const expected = await exportsOf('ts/index.ts');

  it('are not empty', () => {
    expect(expected.values.length).toBeGreaterThan(10);
  });

  it.each(['index.d.ts', 'index.d.mts'])('are the same in ts/index.ts and %s', async (file) => {
    expect(await exportsOf(file)).toEqual(expected);
  });

  it('are the same for require', () => {
    const loaded = createRequire(import.meta.url)(join(root, 'index.js'));
    expect(Object.keys(loaded).sort()).toEqual(expected.values);
    for (const [name, value] of Object.entries(loaded)) expect(value, name).toBeDefined();
  });

  it('are the same for import, and the same objects', async () => {
    const required = createRequire(import.meta.url)(join(root, 'index.js'));
    const imported = await import(/* @vite-ignore */ join(root, 'index.mjs'));
    expect(Object.keys(imported).sort()).toEqual(expected.values);
    for (const name of expected.values) expect(imported[name], name).toBe(required[name]);
  });
});
