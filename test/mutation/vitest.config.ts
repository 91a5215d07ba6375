import { defineConfig } from 'vitest/config';

import all from '../../vitest.config.js';

// One project of one thread at a time, as Stryker's runner wants it; without what starts processes or counts bytes.
export default defineConfig({
  ...(all.resolve === undefined ? {} : { resolve: all.resolve }),
  test: {
    include: ['test/lib/**/*.test.ts'],
    exclude: ['test/lib/cli/**', 'test/lib/files/**'],
    testTimeout: 30_000,
  },
});
