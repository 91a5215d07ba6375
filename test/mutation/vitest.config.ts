import { defineConfig } from 'vitest/config';

import all from '../../vitest.config.js';

// One project of one thread at a time, as Stryker's runner wants it; without browsers, load and what counts bytes.
export default defineConfig({
  ...(all.resolve === undefined ? {} : { resolve: all.resolve }),
  test: {
    include: ['test/lib/**/*.test.ts', 'packages/server/test/**/*.test.ts'],
    exclude: ['packages/server/test/{browser,process}/**'],
    testTimeout: 30_000,
  },
});
