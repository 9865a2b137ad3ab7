import { statSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { invalidArgument } from '../errors.js';

const EXTENSIONS = ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts'];
const TYPESCRIPT = new Set(['.ts', '.mts', '.cts', '.tsx']);

/** What makes Node read another language than JavaScript: a loader, or its own type stripping. */
const LOADER = /^(--import|--loader|--experimental-loader|--require|-r|--experimental-(strip|transform)-types)\b/;
/** Of a program's own arguments, what its sandboxes must not have: a debugger on the same port, its own source text. */
const NOT_INHERITED = /^(--inspect|--debug|--watch|--test)/;
const WITH_VALUE = new Set(['-e', '--eval', '-p', '--print', '-pe', '--input-type']);

/**
 * The URL of a processor's file. Without an extension those of JavaScript and TypeScript are tried, as BullMQ tries `.js`.
 *
 * @throws `ERR_INVALID_ARGUMENT` when there is no such file.
 */
export function processorUrl(processor: string | URL): URL {
  const path = processor instanceof URL || processor.startsWith('file:') ? pathOf(processor) : resolve(processor);
  const found = ['', ...EXTENSIONS].map((extension) => path + extension).find(isFile);
  if (found === undefined) throw invalidArgument('processor', `${path}, which does not exist`, 'the path of a file');
  return pathToFileURL(found);
}

function pathOf(url: string | URL): string {
  try {
    return fileURLToPath(url);
  } catch {
    throw invalidArgument('processor', String(url), 'a path, or a URL of a file');
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** This program's arguments for Node that hold for its child processes too. */
export function inheritedArguments(execArgv: readonly string[] = process.execArgv): string[] {
  return execArgv.filter(
    (argument, at) =>
      !NOT_INHERITED.test(argument) && !WITH_VALUE.has(argument) && !WITH_VALUE.has(execArgv[at - 1] ?? ''),
  );
}

/**
 * Arguments that Node needs beside `execArgv` to run a file: for TypeScript its own type stripping, where it has that
 * and nothing else was chosen.
 *
 * @throws `ERR_INVALID_ARGUMENT` for TypeScript that nothing could run.
 */
export function languageArguments(file: URL, execArgv: readonly string[], nodeOptions = ''): string[] {
  if (!TYPESCRIPT.has(extname(file.pathname))) return [];
  if ([...execArgv, ...nodeOptions.split(/\s+/)].some((argument) => LOADER.test(argument))) return [];
  const { features, versions } = process as unknown as {
    features: { typescript?: string | false };
    versions: Record<string, string | undefined>;
  };
  if (features.typescript || versions['bun'] || versions['deno']) return [];
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 6)) return ['--experimental-strip-types'];
  throw invalidArgument(
    'processor',
    `${fileURLToPath(file)}, TypeScript that Node ${process.versions.node} does not run by itself`,
    "JavaScript, Node 22.6 or later, or a loader, such as workerForkOptions: { execArgv: ['--import', 'tsx'] }",
  );
}
