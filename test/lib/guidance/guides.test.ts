// Guided sampling: against trajectories that the authors' code gives, and in closed form.
import { describe, expect, it } from 'vitest';

import { DiffusionModel } from '../../../lib/model.js';
import type { OptionsOfSampler } from '../../../lib/samplers/index.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath } from '../../support/temporary.js';
import { tensorReader } from '../../support/tensors.js';

const path = packagePath('test/fixtures/gradients/guidance/adm-class.safetensors');
const network = packagePath('test/fixtures/unet/openai-adm-class');
const steps = 5;
type DdimOptions = { sampler: 'ddim' } & OptionsOfSampler<'ddim'>;
type DdpmOptions = { sampler: 'ddpm' } & OptionsOfSampler<'ddpm'>;

const golden = tensorReader(path);

const trajectories: { name: string; options: DdimOptions | DdpmOptions }[] = [
  { name: 'ddpm', options: { sampler: 'ddpm', variance: 'learned' } },
  { name: 'ddim.0.0', options: { sampler: 'ddim', clippedNoise: true, eta: 0 } },
  { name: 'ddim.0.5', options: { sampler: 'ddim', clippedNoise: true, eta: 0.5 } },
];

describe.each(['reference', 'cpu'])('guided trajectories on %s', (device) => {
  it.each(trajectories)('of $name are those of guided-diffusion', async ({ name, options }) => {
    await using model = await DiffusionModel.load(network, { device });
    const gradients = await golden(`${name}.gradients`);
    const states = await golden(`${name}.states`);
    const each = states.length / steps;
    const seen: number[] = [];
    const { images } = await model.sample({
      ...options,
      timesteps: [800, 600, 400, 200, 0],
      count: 2,
      init: await golden('x'),
      noise: await golden('noise'),
      classLabels: await golden('labels', ['I64']),
      guides: [
        (_, [t]) => {
          seen.push(t!);
          return gradients.slice((seen.length - 1) * each, seen.length * each);
        },
      ],
    });
    expect(seen).toEqual([800, 600, 400, 200, 0]);
    const last = states.slice((steps - 1) * each);
    expect(maxDifference(images.data, last)).toBeLessThan(
      (device === 'reference' ? 1e-5 : 1e-3) * Math.max(...last.map(Math.abs)),
    );
  });
});

it('guides are those of the call, whatever becomes of their list', async () => {
  await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
  const guide = (x: Float32Array): Float32Array => x.map((value) => -value);
  const run = { sampler: 'ddim', steps: 2, seed: 1 } as const;
  const guides = [guide];
  const guided = model.sample({ ...run, guides });
  guides.push(guide);
  expect((await guided).images.data).toEqual((await model.sample({ ...run, guides: [guide] })).images.data);
});
