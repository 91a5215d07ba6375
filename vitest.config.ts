import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    alias: { 'dpm-native': new URL('./lib/index.ts', import.meta.url).pathname },
  },
  test: {
    include: ['test/**/*.test.ts'],
    // A crash in native code then ends one worker process and is reported, instead of taking the whole run with it.
    pool: 'forks',
    // The engine uses every core by itself, and tests that count bytes or measure time want the machine for themselves.
    maxWorkers: 1,
    execArgv: ['--expose-gc'],
    testTimeout: 30_000,
    // What .ci/run counts.
    reporters: process.env.CI === undefined ? ['default'] : ['default', ['json', { outputFile: 'build/vitest.json' }]],
    coverage: { include: ['lib/**/*.ts'] },
  },
});
