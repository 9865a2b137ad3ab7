// Brings a bare machine (Node, Rust, gcc, apt) to where the demo and the tests run, and does nothing when it is there
// already. `npm run demo` and `npm test` call it first. It stands on Node alone: it runs before `npm ci`.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** A failure that the person at the terminal can act on; shown without a stack. */
export class SetupError extends Error {}

/**
 * Makes everything ready and says what it does; `redis` and `postgres` say whether these servers are needed. Returns false, having
 * said nothing, when there was nothing to do.
 */
export function setup({ redis = true, postgres = false } = {}) {
  requireTools();
  const started = performance.now();
  const did = [redis && installRedisServer(), postgres && installPostgres(), installPackages(), build()].includes(true);
  if (did) say(`ready after ${Math.round((performance.now() - started) / 1000)} s`);
  return did;
}

function say(text) {
  console.log(`setup: ${text}`);
}

function run(command, args, { env = {}, quiet = false } = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
    encoding: 'utf8',
    timeout: 30 * 60_000,
    shell: process.platform === 'win32' && command === 'npm',
  });
  if (result.error) throw new SetupError(`${command} could not run: ${result.error.message}`);
  if (result.status !== 0) {
    throw new SetupError(`\`${command} ${args.join(' ')}\` failed\n${quiet ? result.stdout + result.stderr : ''}`);
  }
}

function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}

function requireTools() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(`building needs Node 20.19 or later, this is ${process.version}`);
  }
  if (process.platform !== 'win32' && !onPath('cargo')) {
    throw new SetupError('cargo is missing; install Rust from rustup.rs, then run this again');
  }
}

// ---------------------------------------------------------------------------------------------- servers

function installRedisServer() {
  if (process.env.OXCART_TEST_REDIS_SERVER || onPath('redis-server') || process.platform === 'win32') return false;
  install('redis-server', 'redis');
  return true;
}

/** For the tests of the cache's level 3, which make a cluster of their own. */
function installPostgres() {
  if (process.env.OXCART_TEST_POSTGRES_BIN || process.platform === 'win32') return false;
  const versions = '/usr/lib/postgresql';
  const has = (version) => existsSync(join(versions, version, 'bin', 'initdb'));
  if (existsSync(versions) && readdirSync(versions).some(has)) return false;
  install('postgresql', 'postgresql', ', and say where with OXCART_TEST_POSTGRES_BIN');
  return true;
}

function install(name, brewName, more = '') {
  if (!onPath('apt-get')) {
    throw new SetupError(
      `${name} is missing; install it (for example \`brew install ${brewName}\`)${more}, then run this again`,
    );
  }
  const isRoot = process.getuid() === 0;
  if (!isRoot && !onPath('sudo')) {
    throw new SetupError(`${name} is missing; run \`apt-get install ${name}\` as root, then run this again`);
  }
  say(`installing ${name} with apt`);
  const apt = (...args) =>
    isRoot
      ? run('apt-get', args, { env: { DEBIAN_FRONTEND: 'noninteractive' }, quiet: true })
      : run('sudo', ['DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args], { quiet: true });
  const get = () => apt('install', '-y', '-o', 'DPkg::Lock::Timeout=120', '--no-install-recommends', name);
  withoutServiceStart(isRoot, () => {
    try {
      get();
    } catch {
      // Package lists that are missing (a fresh image) or too old.
      apt('update');
      get();
    }
  });
}

/**
 * Debian starts a service when its package is installed; tests and demo start servers of their own, so port 6379 is
 * left alone. policy-rc.d is Debian's way to say so.
 */
function withoutServiceStart(isRoot, install) {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return install();
  const shell = (text) => (isRoot ? run('sh', ['-c', text]) : run('sudo', ['sh', '-c', text]));
  shell(`printf '#!/bin/sh\\nexit 101\\n' > ${policy} && chmod 755 ${policy}`);
  try {
    install();
  } finally {
    shell(`rm -f ${policy}`);
  }
}

// ---------------------------------------------------------------------------------------------- npm packages

function installPackages() {
  if (packagesAreCurrent()) return false;
  say('installing npm packages');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  return true;
}

/** What is installed (npm's own record of it) against what the lock file asks for. */
function packagesAreCurrent() {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(([path, { version, optional, link }]) => {
    if (path === '' || link || !path.startsWith('node_modules/')) return true;
    // Binaries for other platforms are in the lock and never on this disk.
    if (!installed[path]) return optional === true;
    return installed[path].version === version;
  });
}

// ---------------------------------------------------------------------------------------------- build

const stampPath = join(root, 'target', 'oxcart-build.json');

/** Builds the release addon and dist/ when their sources are not the ones they were built from. */
function build() {
  const stamp = readStamp();
  const native = digest(['src', 'lua', 'build.rs', 'Cargo.toml', 'Cargo.lock', 'rust-toolchain.toml']);
  const built = [];
  if (stamp.native !== native || stamp.addon !== fingerprint(addonPath())) {
    say('building the native addon (release; the first time takes a few minutes)');
    run('npm', ['run', '--silent', 'build:native']);
    built.push('native');
  }
  const typescript = digest(['ts', 'tsconfig.json', 'native.d.ts', 'package.json']);
  if (stamp.typescript !== typescript || stamp.dist !== fingerprint(distPath)) {
    say('compiling TypeScript');
    run('npm', ['run', '--silent', 'build:ts']);
    built.push('typescript');
  }
  if (built.length === 0) return false;
  mkdirSync(join(root, 'target'), { recursive: true });
  const made = { native, addon: fingerprint(addonPath()), typescript, dist: fingerprint(distPath) };
  writeFileSync(stampPath, `${JSON.stringify(made)}\n`);
  return true;
}

const distPath = join(root, 'dist', 'index.js');

/** This machine's addon as `napi build --platform` names it, if it has been built. */
function addonPath() {
  const name = readdirSync(root).find((file) => /^oxcart\..+\.node$/.test(file));
  return name === undefined ? undefined : join(root, name);
}

function readStamp() {
  return existsSync(stampPath) ? JSON.parse(readFileSync(stampPath, 'utf8')) : {};
}

/** Changes when the file was written by anyone else since, such as a debug build. */
function fingerprint(path) {
  if (path === undefined || !existsSync(path)) return undefined;
  const { mtimeMs, size } = statSync(path);
  return `${mtimeMs}:${size}`;
}

function digest(names) {
  const hash = createHash('sha256');
  const visit = (path) => {
    if (!existsSync(path)) return;
    if (statSync(path).isDirectory()) {
      for (const entry of readdirSync(path).sort()) visit(join(path, entry));
    } else {
      hash.update(relative(root, path)).update('\0').update(readFileSync(path)).update('\0');
    }
  };
  for (const name of names) visit(join(root, name));
  return hash.digest('hex');
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    if (!setup({ postgres: true })) say('nothing to do');
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`setup: ${error.message}`);
    process.exitCode = 1;
  }
}
