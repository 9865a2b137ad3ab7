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

describe.each([
  ['index', 'ts/index.ts', 10],
  ['testing', 'ts/testing/index.ts', 2],
  ['bullmq', 'ts/compat/bullmq/index.ts', 10],
])('public names of %s', async (entry, source, atLeast) => {
  const expected = await exportsOf(source);

  it('are not empty', () => {
    expect(expected.values.length).toBeGreaterThanOrEqual(atLeast);
  });

  it.each(['d.ts', 'd.mts'])('are the same in %s', async (extension) => {
    expect(await exportsOf(`${entry}.${extension}`)).toEqual(expected);
  });

  it('are the same for require', () => {
    const loaded = createRequire(import.meta.url)(join(root, `${entry}.js`));
    expect(Object.keys(loaded).sort()).toEqual(expected.values);
    for (const [name, value] of Object.entries(loaded)) expect(value, name).toBeDefined();
  });

  it('are the same for import, and the same objects', async () => {
    const required = createRequire(import.meta.url)(join(root, `${entry}.js`));
    const imported = await import(/* @vite-ignore */ join(root, `${entry}.mjs`));
    expect(Object.keys(imported).sort()).toEqual(expected.values);
    for (const name of expected.values) expect(imported[name], name).toBe(required[name]);
  });
});
