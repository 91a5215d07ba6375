// Compares batches of alternating sizes on one model, as on a server, with the same batches on models that have run nothing else,
// to the bit. What is captured for one size must outlive what another size needs; the same under compute-sanitizer is among the
// tests of memcheck (CudaSequences).
import { samplers } from '../../dist/index.js';
import { withModel, withModelFolder } from './networks.mjs';
import { printRow, settings } from './settings.mjs';

const { quick, selfTest } = settings;
const cases = [
  ['mnist', 'bf16'],
  ['ddpm-cifar10-32', 'bf16'],
  ['ddpm-cifar10-32', 'f32'],
].slice(0, selfTest ? 1 : quick ? 2 : 3);
/** The sizes, the largest first, as it is reserved. */
const batches = selfTest ? [2, 1, 1, 2, 1] : [16, 1, 1, 1, 2, 1, 4, 1];
const steps = selfTest ? 1 : 3;

async function images(model, batch) {
  const program = samplers.ddim(model.schedule, { steps });
  return (await model.run(program, { count: batch, batch, seed: 1 })).images.data;
}

// This counts NaN as different, as freed memory may be NaN.
const differing = (actual, expected) => actual.reduce((count, value, i) => count + (value === expected[i] ? 0 : 1), 0);

/** Computes the results of each size of batch on a model of its own. */
async function alone(folder, options) {
  const expected = new Map();
  for (const batch of new Set(batches)) {
    expected.set(batch, await withModel(folder, options, (model) => images(model, batch)));
  }
  return expected;
}

async function compare(network, folder, dtype) {
  const options = { device: 'cuda', dtype };
  const expected = await alone(folder, options);
  return withModel(folder, options, async (model) => {
    let wrong = 0;
    for (const [place, batch] of batches.entries()) {
      const values = differing(await images(model, batch), expected.get(batch));
      wrong += values > 0 ? 1 : 0;
      printRow({ network, dtype, place, batch, differing: values });
    }
    return wrong;
  });
}

let wrong = 0;
for (const [network, dtype] of cases) {
  wrong += await withModelFolder(network, (folder) => compare(network, folder, dtype));
}
if (wrong > 0) throw new Error(`${wrong} batches differ from those of a fresh model`);
