// Networks of latent diffusion on the emulated CUDA device.
import '../support/emulated-cuda.js';

import { describe, it } from 'vitest';

import { expectGoldenRun, goldenRuns } from '../support/golden-runs.js';
import { gradientGoldens } from '../support/latent-gradients.js';
import {
  autoencoderGoldens,
  conditionalGoldens,
  controlGoldens,
  expectAutoencoder,
  expectConditional,
  expectControlled,
  expectLora,
  expectSharedContexts,
  expectPrior,
  expectTextEncoder,
  expectTinyAutoencoder,
  loraGoldens,
  textEncoderGoldens,
} from '../support/latent-goldens.js';

// The emulated card is slow in 16 bits, where some of the networks are enough.
const types = [
  { dtype: 'f32', limit: 2e-5, autoencoders: autoencoderGoldens, encoders: textEncoderGoldens, unets: conditionalGoldens },
  { dtype: 'bf16', limit: 3e-2, autoencoders: [autoencoderGoldens[1]!], encoders: [textEncoderGoldens[0]!], unets: conditionalGoldens.slice(1, 3) },
  { dtype: 'f16', limit: 5e-3, autoencoders: [autoencoderGoldens[1]!], encoders: [textEncoderGoldens[3]!], unets: conditionalGoldens.slice(1, 2) },
] as const;

describe.each(types)('on the emulated CUDA device in $dtype', ({ dtype, limit, autoencoders, encoders, unets }) => {
  const options = { device: 'cuda', dtype } as const;

  it.each(autoencoders)('an autoencoder has the values of $golden', async (golden) => {
    await expectAutoencoder(golden, options, limit);
  });

  it('an autoencoder without norms has those of the library', async () => {
    await expectTinyAutoencoder(options, limit);
  });

  it.each(unets)('a conditional U-Net has the prediction of $golden', async (golden) => {
    await expectConditional(golden, options, limit);
  });

  it('a conditional U-Net predicts with shared contexts as with each sample its own', async () => {
    await expectSharedContexts(options);
  });

  it('a U-Net with low-rank additions has the prediction of the library', async () => {
    await expectLora(loraGoldens[0]!, options, Math.max(limit, 5e-5));
  });

  it.each(dtype === 'f32' ? controlGoldens : controlGoldens.slice(1, 2))('$name changes a prediction as in the library', async (golden) => {
    await expectControlled(golden, options, limit);
  });

  it('a diffusion prior has the prediction of the library', async () => {
    await expectPrior(options, limit);
  });

  it.each(encoders)('a text encoder has those of $model/$encoder', async (golden) => {
    await expectTextEncoder(golden, options, limit);
  });
});

describe('a run on the emulated CUDA device in f32', () => {
  const runs = goldenRuns.filter(({ model, name }) => model === 'sd2' || ['ddim', 'pndm', 'no-negative', 'lcm'].includes(name));
  it.each(runs)('of $model by $name has the images of the library', async (run) => {
    await expectGoldenRun(run, { device: 'cuda', dtype: 'f32' });
  });
});

describe('gradients on the emulated CUDA device', () => {
  it.each(gradientGoldens)('of $of go to $to', async ({ compare }) => {
    await compare({ device: 'cuda', dtype: 'f32' }, 1e-4);
  });
});
