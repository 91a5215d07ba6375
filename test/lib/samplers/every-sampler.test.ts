// Samplers, all of them, on the bundled network: the native loop against the float64 interpreter, record by record.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { leastEvaluations } from '../../../lib/batch/demand.js';
import { DiffusionModel, type AnySampleOptions, type SampleOptions } from '../../../lib/model.js';
import type { HostProgram } from '../../../lib/program/program.js';
import { NetworkEvaluator } from '../../../lib/run/network-evaluator.js';
import { samplerNames, samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { analyticCosts } from '../../../lib/variance/costs.js';
import { checkedRun } from '../../support/checked-context.js';
import { registers } from '../../support/interpreter.js';
import { interpretRecord, largestError } from '../../support/native-record.js';
import { initialRecord, normals } from '../../support/philox.js';
import { packagePath } from '../../support/temporary.js';

const seed = 9;
const elements = 28 * 28;
const heads = ['npr', 'sn', 'ocm', null] as const;
const models = new Map<(typeof heads)[number], DiffusionModel>();

beforeAll(async () => {
  for (const head of heads) {
    models.set(head, await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu', exact: true, head }));
  }
});
afterAll(async () => {
  for (const model of models.values()) await model.close();
});

function modelFor(sampler: SamplerName): DiffusionModel {
  const head = heads.find((each) => each !== null && sampler.startsWith(each)) ?? null;
  return models.get(head)!;
}

const takesSteps = (sampler: SamplerName, { solver }: SamplerOptions): boolean =>
  'steps' in samplers[sampler].facts.options && solver !== 'rk45';

const variants: [SamplerName, SamplerOptions][] = [
  ...samplerNames.map((name): [SamplerName, SamplerOptions] => [name, {}]),
  ['probability-flow', { trajectory: 'quadratic' }],
  ['dpm-solver-3', { clip: 'static', solverType: 'taylor', denoiseToZero: true }],
  ['dpm-solver++-2s', { clip: { dynamic: 0.995 }, trajectory: 'uniform' }],
  ['unipc', { form: 'noise', order: 3, trajectory: 'logsnr' }],
  ['dpm-solver++-2m', { timesteps: [999, 700, 400, 150, 40, 0] }],
  ['heun', { trajectory: 'logsnr' }],
  ['probability-flow', { solver: 'rk45', rtol: 0.05, atol: 0.05 }],
  ['npr-ddpm', { avgCov: true }],
  ['sn-ddim', { avgCov: true, eta: 0.5 }],
  ['predictor-corrector', { clip: 'static' }],
];

/** Compares every primitive of a host program with float64, and the result with that of a run. */
async function expectHostProgram(model: DiffusionModel, program: HostProgram): Promise<void> {
  const count = 2;
  const x = model.device.tensor([count, ...model.sampleShape]);
  const initial = [0, 1].flatMap((sampleIndex) =>
    Array.from(normals({ seed: [seed, 0], sampleIndex, record: initialRecord, draw: 0 }, elements)),
  );
  const init = Float32Array.from(initial, (value) => program.initialScale * value);
  await x.write(init);
  const { worst, primitives } = await checkedRun(program, x, seed, new NetworkEvaluator(model.unet, null));
  expect(worst).toBeLessThan(1e-5);
  expect(primitives).toContain('evaluate');
  expect(primitives).toContain('linearCombination');
  const { images } = await model.run(program, { seed, count, init });
  expect(images.data).toEqual(await x.read());
  x.free();
}

describe('samplers on the bundled network', () => {
  it.each(variants)('%s %j equals the interpreter after every record', async (sampler, options) => {
    const model = modelFor(sampler);
    const needsGamma = sampler.startsWith('analytic') && { gamma: model.gamma! };
    const program = samplers[sampler](model.schedule, {
      ...(options.timesteps === undefined && takesSteps(sampler, options) && { steps: 6 }),
      ...needsGamma,
      ...options,
    });
    if (program.kind === 'host') {
      await expectHostProgram(model, program);
      return;
    }
    const { snapshots } = await model.run(program, { seed, snapshotEvery: 1 });
    const initial = normals({ seed: [seed, 0], sampleIndex: 0, record: initialRecord, draw: 0 }, elements);
    const state = registers(
      initial.map((value) => program.initialScale * value),
      program.history,
    );
    let worst = 0;
    for (const [index, record] of program.records.entries()) {
      await interpretRecord(model, record, state, { seed, sampleIndex: 0, record: index });
      const { data } = snapshots[index]!.images;
      worst = Math.max(worst, largestError(data, state.x));
      // The same state for both: a network's response to a difference of two is not the loop's.
      state.x = Float64Array.from(data);
    }
    // The register y is not seen from here: its rounding goes through the network before it shows. And a variance that is
    // the difference of a head and a square keeps fewer digits.
    const hidden = program.head !== null || program.records.some(({ read }) => read === 'y');
    expect(worst).toBeLessThan(hidden ? 1e-4 : 1.5e-5);
  });

  it.each(samplerNames)('%s evaluates as often as a batch takes for the least before it has the program', (sampler) => {
    if (!takesSteps(sampler, {})) {
      expect(leastEvaluations({})).toBeUndefined();
      return;
    }
    const model = modelFor(sampler);
    const gamma = sampler.startsWith('analytic') && { gamma: model.gamma! };
    for (const steps of [3, 4, 5, 7, 8, 25]) {
      const program = samplers[sampler](model.schedule, { steps, ...gamma });
      if (program.kind === 'host') continue;
      const evaluations = program.records.filter(({ evaluate }) => evaluate).length;
      expect(evaluations).toBeGreaterThanOrEqual(leastEvaluations({ steps })!);
    }
  });

  it('take the head they need, whatever the model was loaded with', async () => {
    await using model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu', exact: true });
    const options: SampleOptions = { sampler: 'npr-ddpm', steps: 4, count: 2, seed };
    const { images } = await model.sample(options);
    expect(images.data).toEqual((await models.get('npr')!.sample(options)).images.data);
    await expect(models.get('npr')!.sample({ sampler: 'sn-ddim', steps: 4 })).rejects.toThrow(/needs the head 'sn'/);
  });

  it('refuse options that are not theirs', async () => {
    const model = models.get(null)!;
    const refused = async (options: AnySampleOptions): Promise<unknown> => model.sample(options).catch(String);
    expect(await refused({ sampler: 'unipc', steps: 4, eta: 1 })).toMatch(/no option 'eta'/);
    expect(await refused({ sampler: 'heun', steps: 4, denoiseToZero: true })).toMatch(/heun/);
    expect(await refused({ sampler: 'dpm-solver-3', steps: 2 })).toMatch(/needs 3 evaluations/);
    expect(await refused({ sampler: 'dpm-solver-adaptive', steps: 2 })).toMatch(/no option 'steps'/);
    expect(await refused({ sampler: 'heun', timesteps: [999, 3, 1] })).toMatch(/no option 'timesteps'/);
    expect(await refused({ sampler: 'dpm-solver-2m', steps: 4, tStart: 500 })).toMatch(/tStart <= 1/);
  });

  it('find an optimal trajectory from the table of the model', async () => {
    const model = models.get(null)!;
    const given = await model.sample({
      sampler: 'analytic-ddpm',
      steps: 5,
      seed,
      trajectory: 'optimal',
      costs: analyticCosts(model.schedule, model.gamma!),
    });
    const own = await model.sample({ sampler: 'analytic-ddpm', steps: 5, seed, trajectory: 'optimal' });
    const uniform = await model.sample({ sampler: 'analytic-ddpm', steps: 5, seed });
    expect(own.images.data).toEqual(given.images.data);
    expect(own.images.data).not.toEqual(uniform.images.data);
  });
});
