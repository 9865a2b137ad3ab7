// `npm run bench:commands -- --rounds 3`: builds what is stale, installs the rivals that are compared with, and runs
// one benchmark of benches/.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

const [name, ...options] = process.argv.slice(2);
const script = join(root, 'benches', name ?? '', 'run.mjs');
if (!name || !existsSync(script)) throw new Error(`no benchmark ${name}: there is no ${script}`);

setup();

const benches = join(root, 'benches');
const run = (command, args, cwd) => {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) process.exit(status ?? 1);
};
const wanted = Object.entries(JSON.parse(readFileSync(join(benches, 'package.json'), 'utf8')).dependencies);
const installed = wanted.every(([rival, version]) => {
  const manifest = join(benches, 'node_modules', rival, 'package.json');
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version;
});
if (!installed) run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], benches);
run(process.execPath, [script, ...options], root);
