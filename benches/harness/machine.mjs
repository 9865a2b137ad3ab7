// What the figures were measured on, for the head of each report.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';

const require = createRequire(import.meta.url);

export function packageVersion(name) {
  if (name === 'oxcart') return require('../../package.json').version;
  return JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8')).version;
}

export function machine(server, packages) {
  const versions = packages.map((name) => `${name} ${packageVersion(name)}`).join(', ');
  return `${cpus().length} x ${cpus()[0].model.trim()}, Node ${process.versions.node}, redis-server ${server.version}; ${versions}`;
}
