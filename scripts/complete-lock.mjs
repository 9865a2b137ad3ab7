// Completes package-lock.json for other platforms: `npm install` leaves out each optional package whose manifest the
// registry in use does not have (a mirror that holds one platform), and `npm ci` then refuses the lock everywhere.
// Run it after changing dependencies: `node scripts/complete-lock.mjs [folder]`. Entries made here have no checksum;
// installing from a complete registry on that platform adds it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

const SYSTEMS = /(?:^|-)(android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)(?:-|$)/;
const CPUS = /-(arm64|arm|ia32|loong64|ppc64|riscv64|s390x|wasm32|x64)(?:-|$)/;
const LIBCS = /-(gnu|musl)(?:eabi(?:hf)?)?$/;

const path = join(process.argv[2] ?? root, 'package-lock.json');
const lock = JSON.parse(readFileSync(path, 'utf8'));
const { packages } = lock;
let added = 0;

for (const [parent, { optionalDependencies = {}, dev }] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const hoisted = `node_modules/${name}`;
    if (packages[hoisted] || packages[`${parent}/node_modules/${name}`]) continue;
    const platform = name.slice(name.indexOf('/') + 1);
    const [, cpu] = CPUS.exec(platform) ?? [];
    const [, system] = SYSTEMS.exec(platform) ?? [];
    // Without a platform this machine would try to install it.
    if (!cpu || !(system || cpu === 'wasm32') || !/^\d/.test(version))
      throw new Error(`what is ${name}@${version} for?`);
    const [, libc] = (system === 'linux' && LIBCS.exec(platform)) || [];
    packages[hoisted] = {
      version,
      cpu: [cpu],
      ...(dev && { dev }),
      ...(libc && { libc: [libc === 'gnu' ? 'glibc' : libc] }),
      optional: true,
      ...(system && { os: [system] }),
    };
    added++;
  }
}

lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} entries added to ${path}`);
