// A guide of the score is another output of the network, whatever the sampler makes of it: every sampler that compiles to records, guided in
// the native loop and by a function, against a network in JavaScript whose output has the guide in it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import { Classifier } from '../../../lib/guidance/classifier.js';
import { DiffusionModel, type AnySampleOptions } from '../../../lib/model.js';
import type { ScriptModel } from '../../../lib/run/evaluator.js';
import type { Guide } from '../../../lib/guidance/guide.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { samplerNames, samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { amplitudesOfNetworkTime } from '../../../lib/schedule/network-level.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath } from '../../support/temporary.js';

const heads = ['npr', 'sn', 'ocm', null] as const;
const models = new Map<(typeof heads)[number], DiffusionModel>();
let device: Device;
let classifier: Classifier;
const labels = [3, 7];
const count = labels.length;
const scale = 1.5;

beforeAll(async () => {
  // One device for both: guides of a classifier elsewhere are not the native loop's.
  device = Device.open({ device: 'cpu', exact: true });
  for (const head of heads) {
    models.set(head, await DiffusionModel.load(packagePath('models/mnist'), { device, head }));
  }
  classifier = await Classifier.load('mnist-classifier', { device });
});
afterAll(async () => {
  await classifier.close();
  for (const model of models.values()) await model.close();
  await device.close();
});

/** Change of the network's output by a gradient at the state, for each meaning of the output. */
const shiftOf: Record<'epsilon' | 'v' | 'score' | 'x0', (alpha: number, sigma: number) => number> = {
  epsilon: (_, sigma) => -sigma,
  score: () => 1,
  x0: (alpha, sigma) => sigma ** 2 / alpha,
  // v = (alpha x - x_0) / sigma where alpha^2 + sigma^2 = 1.
  v: (alpha, sigma) => -sigma / alpha,
};

/** The network with the gradient in its output; of an SN head h - eps^2, by which its variances go, is as it is without. */
function twinOf(model: DiffusionModel, prediction: keyof typeof shiftOf): ScriptModel {
  return async (x, t) => {
    const { out, head } = await model.unet.forward(x, t);
    const gradient = await classifier.gradient(x, t, labels);
    const { alpha, sigma } = amplitudesOfNetworkTime(model.schedule, t);
    const shift = scale * shiftOf[prediction](alpha, sigma);
    const guided = out.map((value, i) => value + shift * gradient[i]!);
    if (head === null) return guided;
    const isOfSquares = model === models.get('sn');
    return { out: guided, head: isOfSquares ? head.map((h, i) => h - out[i]! ** 2 + guided[i]! ** 2) : head };
  };
}

function withoutClip(sampler: SamplerName, options: SamplerOptions): SamplerOptions {
  const table = samplers[sampler].facts.options;
  return {
    ...('steps' in table && { steps: 6 }),
    ...('clip' in table && { clip: 'none' as const }),
    ...('lastNoiseClip' in table && { lastNoiseClip: null }),
    ...options,
  };
}

const variants: [SamplerName, SamplerOptions][] = [
  ...samplerNames.map((name): [SamplerName, SamplerOptions] => [name, {}]),
  ['ddim', { prediction: 'v' }],
  ['ddim', { prediction: 'x0' }],
  ['euler-maruyama', { prediction: 'score' }],
  ['dpm-solver++-2m', { prediction: 'v' }],
  ['ddim', { trajectory: 'logsnr', eta: 1 }],
  ['heun', { trajectory: 'logsnr' }],
];

describe('a guide of the score is another output of the network', () => {
  it.each(variants)('for %s with %o', async (sampler, given) => {
    const own = withoutClip(sampler, given);
    const model = models.get(heads.find((head) => head !== null && sampler.startsWith(head)) ?? null)!;
    const options = { sampler, ...own } as AnySampleOptions;
    const program = model.program(options);
    if (program.kind === 'host') {
      expect(samplers[sampler].facts.kind).not.toBe('step');
      return;
    }
    const run = { seed: 4, count, guideForm: 'score' as const };
    const native = classifier.guide({ labels, scale });
    const script: Guide = async (x, t) => {
      const gradient = await classifier.gradient(x, t, labels);
      return gradient.map((value) => scale * value);
    };
    const twin = await runProgram(program, {
      shape: [count, ...model.sampleShape],
      seed: 4,
      device: model.device,
      model: twinOf(model, (own.prediction as 'v' | undefined) ?? 'epsilon'),
    });
    const size = Math.max(...twin.map(Math.abs));
    for (const guide of [native, script]) {
      const { images } = await model.sample({ ...options, ...run, guides: [guide] });
      expect(maxDifference(images.data, twin)).toBeLessThan(5e-5 * size);
    }
    const { images } = await model.sample({ ...options, seed: 4, count });
    expect(maxDifference(images.data, twin)).toBeGreaterThan(1e-3 * size);
  });
});
