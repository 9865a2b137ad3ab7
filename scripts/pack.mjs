// Makes the tarballs that `npm publish` would upload: the package itself and the addon for this machine.
// `node scripts/pack.mjs [folder]`; the default folder is the root. Prints one path per line.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './setup.mjs';

/** Packs both into `folder` and returns their paths: `{ main, platform }`. Expects a finished `npm run build`. */
export function pack(folder) {
  const addon = readdirSync(root).find((name) => /^oxcart\..+\.node$/.test(name));
  if (addon === undefined || !existsSync(join(root, 'dist', 'index.js'))) {
    throw new Error('nothing is built yet: run `npm run build` first');
  }
  const platform = addon.slice('oxcart.'.length, -'.node'.length);
  const staging = mkdtempSync(join(tmpdir(), 'oxcart-pack-'));
  try {
    return { main: packMain(staging, platform, folder), platform: packPlatform(staging, platform, addon, folder) };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

function packMain(staging, platform, folder) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const { scripts, devDependencies, ...published } = manifest;
  // In the repository these would be packages that `npm ci` cannot find before they are published. A release names all
  // platforms (`napi prepublish`), a local tarball the one it was built for.
  published.optionalDependencies = { [`${manifest.name}-${platform}`]: manifest.version };
  const into = join(staging, 'main');
  for (const name of [...manifest.files, 'README.md', 'LICENSE']) {
    cpSync(join(root, name), join(into, name), { recursive: true });
  }
  writeFileSync(join(into, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
  return npmPack(into, folder);
}

function packPlatform(staging, platform, addon, folder) {
  const into = join(staging, 'platform');
  cpSync(join(root, 'npm', platform), into, { recursive: true });
  copyFileSync(join(root, addon), join(into, addon));
  return npmPack(into, folder);
}

function npmPack(from, folder) {
  const result = spawnSync('npm', ['pack', '--json', '--silent', '--pack-destination', resolve(folder)], {
    cwd: from,
    encoding: 'utf8',
    timeout: 60_000,
    shell: process.platform === 'win32',
  });
  if (result.status !== 0) throw new Error(`npm pack failed: ${result.error?.message ?? result.stderr}`);
  const { name, version } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
  const tarball = join(resolve(folder), `${name}-${version}.tgz`);
  if (!existsSync(tarball)) throw new Error(`npm pack did not make ${tarball}`);
  return tarball;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { main, platform } = pack(process.argv[2] ?? root);
  console.log(`${main}\n${platform}`);
}
