// What breaks servers and connections in the suite, for benchmarks: they are TypeScript, so they are bundled first.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

export async function testTools() {
  const folder = mkdtempSync(join(tmpdir(), 'oxcart-tools-'));
  try {
    const outfile = join(folder, 'tools.mjs');
    await build({
      stdin: {
        contents: ["export * from './redis-server.ts';", "export * from './flaky-proxy.ts';"].join('\n'),
        resolveDir: fileURLToPath(new URL('../../__test__/helpers', import.meta.url)),
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      outfile,
      logLevel: 'error',
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
