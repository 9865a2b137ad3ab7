import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const manifest = async (path: string) => JSON.parse(await readFile(join(root, path), 'utf8'));

it('gives the crate and all packages one version', async () => {
  const { version } = await manifest('package.json');
  const cargo = await readFile(join(root, 'Cargo.toml'), 'utf8');
  expect(/^version = "(.*)"$/m.exec(cargo)?.[1]).toBe(version);
  for (const platform of await readdir(join(root, 'npm'))) {
    expect((await manifest(`npm/${platform}/package.json`)).version, platform).toBe(version);
  }
});

it('has a package for each platform that it is built for, and no other', async () => {
  const { name, napi } = await manifest('package.json');
  const { parseTriple } = await import('@napi-rs/cli');
  const built = (napi.targets as string[]).map((target) => parseTriple(target).platformArchABI);
  expect((await readdir(join(root, 'npm'))).sort()).toEqual(built.sort());
  for (const platform of built) {
    const { name: packageName, main } = await manifest(`npm/${platform}/package.json`);
    expect([packageName, main]).toEqual([`${name}-${platform}`, `oxcart.${platform}.node`]);
  }
});
