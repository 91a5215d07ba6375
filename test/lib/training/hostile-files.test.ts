// What the fuzz targets of training require of parsers, for damaged seeds.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, it } from 'vitest';

import { fuzz as cifar } from '../../fuzz/targets/cifar.js';
import { fuzz as idx } from '../../fuzz/targets/idx.js';
import { fuzz as jpeg } from '../../fuzz/targets/jpeg.js';
import { fuzz as metrics } from '../../fuzz/targets/metrics.js';
import { fuzz as npy } from '../../fuzz/targets/npy.js';
import { fuzz as npz } from '../../fuzz/targets/npz.js';
import { fuzz as parquet } from '../../fuzz/targets/parquet.js';
import { fuzz as trainingState } from '../../fuzz/targets/training-state.js';
import { packagePath } from '../../support/temporary.js';

const targets = { cifar, idx, jpeg, metrics, npy, npz, parquet, 'training-state': trainingState };

describe.each(Object.entries(targets))('%s', (name, fuzz) => {
  const corpus = packagePath(`test/fuzz/corpus/${name}`);

  it.each(readdirSync(corpus))('takes or refuses what becomes of %s', async (seed) => {
    const bytes = readFileSync(join(corpus, seed));
    await fuzz(bytes);
    const change = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        let damaged = Buffer.from(bytes);
        for (const [at, byte, end] of changes) {
          damaged[Math.min(at, damaged.length - 1)] = byte;
          if (end % 7 === 0) damaged = damaged.subarray(0, Math.max(1, end));
        }
        await fuzz(damaged);
      }),
      { numRuns: 60 },
    );
  });
});
