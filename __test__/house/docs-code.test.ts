import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const guides = (await readdir(join(root, 'docs'), { recursive: true })).filter((name) => name.endsWith('.md'));
const documents = ['README.md', ...guides.map((name) => `docs/${name}`)];

// What the guides take from the reader's own program.
const READERS_PROGRAM = `
declare const database: { loadUser(id: number): Promise<{ id: number; name: string }> };
declare function send(to: string): Promise<string>;
declare function cleanUp(data: unknown): Promise<void>;
declare function show(message: unknown, userId?: string): void;
declare function audit(channel: string, message: unknown): void;
`;

/** All TypeScript blocks of a document, in order, as one module: later ones go on from earlier ones. */
async function moduleOf(document: string): Promise<string> {
  const text = await readFile(join(root, document), 'utf8');
  const blocks = [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code as string);
  return blocks.length === 0 ? '' : `${blocks.join('\n')}\nexport {};\n`;
}

function typeErrors(name: string, code: string): string[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.check.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root);
  options.paths = {
    oxcart: [join(root, 'ts', 'index.ts')],
    'oxcart/bullmq': [join(root, 'ts', 'compat', 'bullmq', 'index.ts')],
    'oxcart/testing': [join(root, 'ts', 'testing', 'index.ts')],
  };
  options.noUnusedLocals = false;
  const host = ts.createCompilerHost(options);
  const virtual = new Map([
    [join(root, `${name}.ts`), code],
    [join(root, 'readers-program.d.ts'), READERS_PROGRAM],
  ]);
  const { readFile: readReal, fileExists: existsReal } = host;
  host.readFile = (path) => virtual.get(path) ?? readReal.call(host, path);
  host.fileExists = (path) => virtual.has(path) || existsReal.call(host, path);
  const program = ts.createProgram([...virtual.keys()], options, host);
  const file = program.getSourceFile(join(root, `${name}.ts`));
  return [...program.getSemanticDiagnostics(file), ...program.getSyntacticDiagnostics(file)].map((diagnostic) => {
    const { line } = file!.getLineAndCharacterOfPosition(diagnostic.start ?? 0);
    return `${code.split('\n')[line]}  // ${ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ')}`;
  });
}

describe('the code in', async () => {
  for (const document of documents) {
    const code = await moduleOf(document);
    if (code === '') continue;
    it(`${document} type-checks`, { timeout: 60_000 }, () => {
      expect(typeErrors(document.replace(/\W/g, '-'), code)).toEqual([]);
    });
  }

  it('a guide with a wrong call would be noticed', { timeout: 60_000 }, () => {
    const wrong = "import { CacheService } from 'oxcart';\nawait new CacheService().get(12);\nexport {};\n";
    expect(typeErrors('wrong', wrong)).toHaveLength(1);
  });
});
