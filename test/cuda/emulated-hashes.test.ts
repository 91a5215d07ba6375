// Bits of runs of every kind on the emulated card: see test/lib/model/hashes.test.ts.
import '../support/emulated-cuda.js';

import { describe, expect, it } from 'vitest';

import { hashedRuns, hashOf } from '../support/hashed-runs.js';
import { sampleHashes } from '../support/sample-hashes.js';

describe('runs on the emulated card', () => {
  it.for(hashedRuns)('$name: the same bits as before', async ({ name, run }, context) => {
    if (process.arch !== 'x64') {
      context.skip('skipped: the mathematical functions of another processor round otherwise');
      return;
    }
    expect(hashOf(await run('cuda'))).toBe(sampleHashes.runs.cuda[name]);
  });
});
