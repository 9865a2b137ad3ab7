import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['__test__/**/*.test.ts'],
    // A worker thread must not share its Node-API environment with another test file, and a crash must take only one file down.
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    typecheck: {
      enabled: true,
      include: ['__test__/types/**/*.test-d.ts'],
      tsconfig: './tsconfig.check.json',
      ignoreSourceErrors: true,
    },
    // CommonJS that Node itself has to load: the native loader, and what we ship.
    server: { deps: { external: [/\/native\.js$/, /\/dist\//, /\/oxcart[^/]*\/index\.m?js$/] } },
  },
});
