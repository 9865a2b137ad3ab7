// Makes ts/redis/commands/ of ts/redis/commands.txt: the interfaces of RedisService and of its pipelines, and the rows
// that their methods are installed from.
//
//   node scripts/redis-commands.mjs            writes the files
//   node scripts/redis-commands.mjs --check    fails when they are not as they would be written
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const table = 'ts/redis/commands.txt';
const out = 'ts/redis/commands';
const nativeTable = 'src/connection/command_table_rows.rs';

/** What a method resolves to: its type with text and with Buffers, and what makes it of the reply. */
const REPLIES = {
  ok: { text: "'OK'" },
  'ok?': { text: "'OK' | null" },
  done: { text: "'OK'", orVoid: true },
  int: { text: 'number' },
  'int?': { text: 'number | null' },
  ints: { text: 'number[]' },
  bool: { text: 'boolean', decode: 'bool' },
  bools: { text: 'boolean[]', decode: 'bools' },
  number: { text: 'number', decode: 'number' },
  'number?': { text: 'number | null', decode: 'number' },
  'numbers?': { text: '(number | null)[]', decode: 'numbers' },
  text: { text: 'string', buffer: 'Buffer' },
  'text?': { text: 'string | null', buffer: 'Buffer | null' },
  texts: { text: 'string[]', buffer: 'Buffer[]' },
  'texts?': { text: '(string | null)[]', buffer: '(Buffer | null)[]' },
  'list?': { text: 'string[] | null', buffer: 'Buffer[] | null' },
  map: { text: 'Record<string, string>', buffer: 'Record<string, Buffer>', decode: 'map' },
  'keyed?': { text: '[key: string, element: string] | null', buffer: '[key: Buffer, element: Buffer] | null' },
  'keyedList?': {
    text: '[key: string, elements: string[]] | null',
    buffer: '[key: Buffer, elements: Buffer[]] | null',
  },
  'keyedScore?': {
    text: '[key: string, member: string, score: string] | null',
    buffer: '[key: Buffer, member: Buffer, score: Buffer] | null',
  },
  scan: { text: '[cursor: string, elements: string[]]', buffer: '[cursor: Buffer, elements: Buffer[]]' },
  entries: { text: 'StreamEntry[]', buffer: 'StreamEntry<Buffer>[]' },
  'streams?': {
    text: '[key: string, entries: StreamEntry[]][] | null',
    buffer: '[key: Buffer, entries: StreamEntry<Buffer>[]][] | null',
  },
  places: {
    text: '([longitude: string, latitude: string] | null)[]',
    buffer: '([longitude: Buffer, latitude: Buffer] | null)[]',
  },
  reply: { text: 'RedisReply', buffer: 'RedisBufferReply' },
};

/** Where the methods may have keys, by what the native table says of the command. */
const KEY_PLACES = {
  NONE: [''],
  KEY: ['1'],
  KEYS: ['1+', '1 2+', '1 2*'],
  KEYS_2: ['1 2'],
  KEY_2: [''],
  COUNT_1: [''],
  COUNT_2: [''],
  STORE_COUNT: ['1', '1 3+'],
  'Keys::Streams': [''],
  'Keys::Sort': ['1'],
  'Keys::StoreOption { from: 6 }': ['1'],
  'Keys::StoreOption { from: 5 }': ['1'],
  'range(1, -2, 1)': ['1+'],
  'range(1, -1, 2)': ['1pairs'],
  'range(2, -1, 1)': ['2 3+'],
};

function parse() {
  const groups = [];
  for (const [index, line] of readFileSync(join(root, table), 'utf8').split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const heading = /^\[([\w-]+)\]$/.exec(line)?.[1];
    if (heading) {
      groups.push({ name: heading, methods: new Map() });
      continue;
    }
    const parts = /^(\*?)([a-z_0-9]+)( .*?)? -> (\S+)(?: \| (.+))?$/.exec(line);
    if (!parts) throw new Error(`${table}:${index + 1}: cannot be read`);
    const [, star, method, params, reply, text] = parts;
    if (!(reply in REPLIES)) throw new Error(`${table}:${index + 1}: no reply is called \`${reply}\``);
    if (star === '' && text === undefined) throw new Error(`${table}:${index + 1}: \`${method}\` has no documentation`);
    const { methods } = groups.at(-1);
    const known = methods.get(method) ?? { method, byHand: star !== '', forms: [] };
    known.forms.push({ params: (params ?? '').split(' ').filter(Boolean).map(parameter), reply, text });
    methods.set(method, known);
  }
  return groups;
}

function parameter(word) {
  const [, rest, name, kinds, optional] = /^(\.{3})?(\w+)((?::[\w=]+)*)(\?)?$/.exec(word) ?? [];
  if (name === undefined) throw new Error(`${table}: \`${word}\` is no parameter`);
  const kind = kinds.split(':').slice(1);
  if (name === 'key' && kind.length === 0) kind.push('key');
  return {
    name,
    rest: rest !== undefined,
    optional: optional !== undefined,
    kind: kind[0] ?? 'value',
    ofKeys: kind[1] === 'key',
  };
}

function keyPlaces({ params }) {
  return params
    .map(({ kind, rest, ofKeys, optional }, index) => {
      if (kind === 'pairs') return ofKeys ? `${index + 1}pairs` : '';
      if (kind !== 'key') return '';
      return `${index + 1}${rest ? (optional ? '*' : '+') : ''}`;
    })
    .filter(Boolean)
    .join(' ');
}

/** Compares with what the native core knows of the commands, which is where keys get their prefix. */
function compareWithNative(groups) {
  const blocking = new Set();
  const rows = new Map();
  const source = readFileSync(join(root, nativeTable), 'utf8');
  for (const [, name, keys, blocks] of source.matchAll(
    /^ {4}row\("([^"]+)", \w+, ((?:[^()]|\([^()]*\))+)\)(\.blocks)?/gm,
  )) {
    rows.set(name, keys);
    if (blocks) blocking.add(name);
  }
  for (const { methods } of groups) {
    for (const one of methods.values()) {
      const { method, forms } = one;
      one.blocks = blocking.has(method.toUpperCase());
      const keys = rows.get(method.toUpperCase());
      if (keys === undefined) throw new Error(`${nativeTable} has no command ${method.toUpperCase()}`);
      const [allowed, given] = [KEY_PLACES[keys], keyPlaces(forms.at(-1))];
      if (!allowed?.includes(given)) {
        throw new Error(`${table}: \`${method}\` has keys at \`${given}\`, ${nativeTable} says ${keys}`);
      }
    }
  }
}

const RESTS = { key: '(Key | readonly Key[])[]', value: '(RedisArgument | readonly RedisArgument[])[]' };
const TYPES = {
  key: 'Key',
  value: 'RedisArgument',
  int: 'number | bigint',
  number: 'number | bigint | string',
  bound: 'RedisArgument',
  text: 'string',
};

/** The parameter lists of a form in TypeScript: two where an object may take the place of names and values. */
function signatures({ params }) {
  const one = ({ name, kind, rest, optional }) => {
    if (rest) return `...${name}: ${RESTS[kind] ?? RESTS.value}`;
    const type = kind.startsWith('flag=') ? 'boolean | string' : TYPES[kind];
    return `${name}${optional ? '?' : ''}: ${type}`;
  };
  const between = params.findIndex(({ rest }, index) => rest && index < params.length - 1);
  if (between >= 0) return [`...args: [${params.map(one).join(', ')}]`];
  const lists = [params.map(one).join(', ')];
  if (params.at(-1)?.kind === 'pairs') {
    lists.push([...params.slice(0, -1).map(one), `${params.at(-1).name}: object`].join(', '));
  }
  return lists;
}

const interfaceOf = (group, suffix) =>
  `${group
    .split('-')
    .map((word) => word[0].toUpperCase() + word.slice(1))
    .join('')}${suffix}`;

function groupFile({ name, methods }) {
  const lines = [];
  for (const { method, forms, byHand } of methods.values()) {
    if (byHand) continue;
    for (const form of forms) {
      const { text, buffer, orVoid } = REPLIES[form.reply];
      for (const list of signatures(form)) {
        lines.push(`/** ${form.text} */`, `${method}(${list}): Promise<${text}>;`);
        // Interfaces of applications say void where the reply is always OK.
        if (orVoid) lines.push(`${method}(${list}): Promise<void>;`);
      }
      if (!buffer) continue;
      for (const list of signatures(form)) {
        lines.push(`/** {@link ${method}} with Buffers. */`, `${method}Buffer(${list}): Promise<${buffer}>;`);
      }
    }
  }
  // Forms of one method stand together.
  const sorted = together(lines);
  const body = sorted.join('\n');
  const argumentTypes = ['RedisArgument', 'RedisBufferReply', 'RedisReply'].filter((type) => body.includes(type));
  const imports = [
    ...(/\bKey\b/.test(body) ? ['Key'] : []),
    ...argumentTypes,
    ...(body.includes('StreamEntry') ? ['StreamEntry'] : []),
  ];
  return `${HEAD}${imports.length > 0 ? `import type { ${imports.join(', ')} } from '../command-types.js';\n` : ''}
/** Commands of the group "${name.replaceAll('-', ' ')}". */
export interface ${interfaceOf(name, 'Commands')} {\n${body}\n}\n`;
}

function together(lines) {
  const byMethod = new Map();
  let doc = [];
  for (const line of lines) {
    if (line.startsWith('/**')) {
      doc = [line];
      continue;
    }
    const method = line.slice(0, line.indexOf('('));
    byMethod.set(method, [...(byMethod.get(method) ?? []), ...doc, line]);
    doc = [];
  }
  return [...byMethod.values()].flat();
}

function chainFile(groups) {
  const lines = new Map();
  for (const { methods } of groups) {
    for (const { method, forms, byHand, blocks } of methods.values()) {
      if (byHand || blocks) continue;
      for (const form of forms) {
        for (const list of signatures(form)) {
          for (const name of REPLIES[form.reply].buffer ? [method, `${method}Buffer`] : [method]) {
            lines.set(name, (lines.get(name) ?? new Set()).add(`${name}(${list}): this;`));
          }
        }
      }
    }
  }
  const body = [...lines.values()].flatMap((signatures) => [...signatures]).join('\n');
  return `${HEAD}import type { Key, RedisArgument } from '../command-types.js';

/** The commands of \`RedisService\`, collected instead of sent; none that waits on the server. */
export interface ChainedCommands {\n${body}\n}\n`;
}

function allFile(groups) {
  const names = groups.map(({ name }) => [name, interfaceOf(name, 'Commands')]);
  return `${HEAD}${names.map(([file, name]) => `import type { ${name} } from './${file}.js';`).join('\n')}

/** Every command that has a method, but for those that \`RedisService\` itself documents. */
export interface RedisCommands extends ${names.map(([, name]) => name).join(', ')} {}\n`;
}

/** A parameter for `CommandMethod`: its name and one letter for what it takes. */
function compact({ name, kind, rest, optional }) {
  if (kind === 'pairs') return `${name}:P`;
  if (rest) return `${name}:${kind === 'key' ? 'K' : 'V'}${optional ? '*' : '+'}`;
  if (kind.startsWith('flag=')) return `${name}:f${kind.slice('flag='.length)}`;
  return `${name}:${{ key: 'k', int: 'i', number: 'n', text: 't' }[kind] ?? 'v'}`;
}

function rowsFile(groups) {
  const rows = groups.flatMap(({ methods }) =>
    [...methods.values()].map(({ method, forms, byHand, blocks }) => {
      const widest = forms.at(-1);
      const required = Math.min(...forms.map(({ params }) => params.filter(({ optional }) => !optional).length));
      const decode = REPLIES[widest.reply].decode ?? '';
      const hasBuffers = forms.some(({ reply }) => REPLIES[reply].buffer);
      return `  ['${method}', '${widest.params.map(compact).join(' ')}', ${required}, '${decode}', ${hasBuffers}, ${byHand}, ${blocks}],`;
    }),
  );
  return `${HEAD}/** What makes a method's result of a reply. */
export type Decoder = '' | 'bool' | 'bools' | 'number' | 'numbers' | 'map';

/** Method, parameters, how many it needs, what is made of the reply, whether there is a Buffer form, whether it is written by hand, whether it waits. */
export type CommandRow = readonly [method: string, parameters: string, required: number, decode: Decoder, hasBuffers: boolean, byHand: boolean, blocks: boolean];

/** Every method that is a command. */
export const COMMAND_ROWS: readonly CommandRow[] = [\n${rows.join('\n')}\n];\n`;
}

const HEAD = `// Made by scripts/redis-commands.mjs of ${table}: change that, not this.\n\n`;

function formatted(path, text) {
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [biome, 'check', '--write', `--stdin-file-path=${path}`],
    {
      cwd: root,
      input: text,
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`Biome cannot format ${path}: ${stderr}`);
  return stdout;
}

/** The files, by their paths. */
export function generate() {
  const groups = parse();
  compareWithNative(groups);
  const files = new Map(groups.map((group) => [`${out}/${group.name}.ts`, groupFile(group)]));
  files.set(`${out}/chained-commands.ts`, chainFile(groups));
  files.set(`${out}/redis-commands.ts`, allFile(groups));
  files.set(`${out}/rows.ts`, rowsFile(groups));
  return new Map([...files].map(([path, text]) => [path, formatted(path, text)]));
}

/** The files that are not as they would be written. */
export function stale() {
  const files = generate();
  const there = readdirSync(join(root, out)).map((name) => `${out}/${name}`);
  return [...new Set([...files.keys(), ...there])].filter(
    (path) => !there.includes(path) || readFileSync(join(root, path), 'utf8') !== files.get(path),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) {
    const old = stale();
    if (old.length > 0) {
      console.error(`not as generated, run node scripts/redis-commands.mjs: ${old.join(', ')}`);
      process.exitCode = 1;
    }
  } else {
    const files = generate();
    rmSync(join(root, out), { recursive: true, force: true });
    mkdirSync(join(root, out), { recursive: true });
    for (const [path, text] of files) writeFileSync(join(root, path), text);
  }
}
