import { throwIfAborted } from '../abort.js';
import { at, elementCount } from '../arrays.js';
import { DpmError, nativeWork } from '../errors.js';
import type { DiffusionModel } from '../model.js';
import { drawWithoutReplacement } from '../random.js';
import { linear, stepRecord } from '../samplers/builder.js';
import { parametrisation } from '../samplers/prediction.js';
import { update, type NoiseStream } from '../update.js';
import type { DeviceTensor } from '../tensor.js';
import { NetworkEvaluator } from '../unet.js';
import type { GammaTable } from './gamma.js';

export interface EstimateGammaOptions {
  /** Images each entry is estimated from, drawn from the data without replacement. */
  samples: number;
  /** Default 0. */
  seed?: number | bigint | undefined;
  /** Times n to estimate; the entries between are interpolated linearly. Default: all of 1..N. */
  timesteps?: readonly number[] | undefined;
  /** One label per image, for a class-conditional network. */
  classLabels?: ArrayLike<number> | undefined;
  /** Most images evaluated at once. Default 16. */
  batch?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Evaluations done and evaluations in all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Tensors of one batch of images. */
interface Workspace {
  images: DeviceTensor;
  noisy: DeviceTensor;
  out: DeviceTensor;
  evaluator: NetworkEvaluator;
  firstSample: number;
}

function checkedTimes(timesteps: readonly number[] | undefined, steps: number): number[] {
  const times =
    timesteps === undefined
      ? Array.from({ length: steps }, (_, i) => i + 1)
      : [...new Set(timesteps)].sort((a, b) => a - b);
  if (times.length === 0 || times.some((n) => !Number.isInteger(n) || n < 1 || n > steps)) {
    throw new DpmError('ERR_DPM_ARGUMENT', `timesteps has to hold integers n from 1 to ${steps}`);
  }
  return times;
}

function checkCounts(count: number, samples: number, batch: number): void {
  if (!Number.isInteger(count)) {
    throw new DpmError('ERR_DPM_TENSOR_SHAPE', `images hold ${count} images of the model's shape, not a whole number`);
  }
  if (!Number.isInteger(samples) || samples < 1 || samples > count) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `samples is ${samples}, it has to be an integer from 1 to the ${count} images`,
    );
  }
  if (!Number.isInteger(batch) || batch < 1) {
    throw new DpmError('ERR_DPM_ARGUMENT', `batch is ${batch}, it has to be a positive integer`);
  }
}

/** The table for all n from the values at some, linear between them and constant outside. */
function interpolate(times: readonly number[], values: readonly number[], steps: number): Float64Array {
  let left = 0;
  return Float64Array.from({ length: steps + 1 }, (_, n) => {
    if (n === 0) return 0;
    while (left + 1 < times.length && at(times, left + 1) <= n) ++left;
    const [from, value] = [at(times, left), at(values, left)];
    const to = times[left + 1];
    if (n <= from || to === undefined) return value;
    return value + ((n - from) / (to - from)) * (at(values, left + 1) - value);
  });
}

async function openWorkspace(
  model: DiffusionModel,
  images: Float32Array,
  indices: readonly number[],
  firstSample: number,
  classLabels: ArrayLike<number> | undefined,
): Promise<Workspace> {
  const elements = elementCount(model.sampleShape);
  const shape = [indices.length, ...model.sampleShape];
  const data = new Float32Array(indices.length * elements);
  indices.forEach((index, i) => {
    data.set(images.subarray(index * elements, (index + 1) * elements), i * elements);
  });
  const labels = classLabels === undefined ? undefined : indices.map((index) => at(classLabels, index));
  const workspace: Workspace = {
    images: model.device.tensor(shape),
    noisy: model.device.tensor(shape),
    out: model.device.tensor(shape),
    evaluator: new NetworkEvaluator(model.unet, model.unet.labels(labels, indices.length)),
    firstSample,
  };
  await workspace.images.write(data);
  return workspace;
}

/** Sum over a batch of ||eps_hat(x_n, n)||^2, x_n one noisy version of each image. */
async function squaredNorms(model: DiffusionModel, work: Workspace, n: number, seed: number | bigint): Promise<number> {
  const { schedule } = model;
  const [alpha, sigma] = [Math.sqrt(schedule.alphaBar(n)), Math.sqrt(schedule.betaBar(n))];
  const { images, noisy, out } = work;
  const batch = at(images.shape, 0);
  const streams = Array.from({ length: batch }, (_, i): NoiseStream => ({
    seed,
    sampleIndex: work.firstSample + i,
    record: n,
    draw: 0,
  }));
  const perturb = stepRecord({ time: 0, x: linear({ y: alpha }), variance: { kind: 'scalar', deviation: sigma } });
  await update(perturb, { x: noisy, y: images }, streams);
  await work.evaluator.evaluate(noisy, new Float32Array(batch).fill(schedule.networkTime(n)), out, null);
  const { noise } = parametrisation(schedule.defaults.prediction, alpha, sigma);
  if (schedule.defaults.prediction !== 'epsilon') {
    await update(stepRecord({ time: 0, x: linear({ x: noise.output, y: noise.input }) }), { x: out, y: noisy });
  }
  const elements = images.elements / batch;
  const sums = await nativeWork(() => model.device.engine.reduce('sum-squares', batch, elements, out.native, null));
  return sums.reduce((sum, each) => sum + each, 0);
}

/**
 * Estimates m_n = E||eps_hat(x_n, n)||^2 / d, what Analytic-DPM needs (Bao et al. 2022, equation 8): the same `samples` images
 * and one draw of noise per image for each n.
 *
 * @param model - Its network, without a head, on any device.
 * @param images - Images in model space, [count, C, H, W]; the training set or a part of it.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` when there are fewer images than `samples`, `ERR_DPM_ABORTED` when aborted.
 */
export async function estimateGamma(
  model: DiffusionModel,
  images: Float32Array,
  options: EstimateGammaOptions,
): Promise<GammaTable> {
  const { schedule } = model;
  const { samples, seed = 0, signal, batch: size = 16 } = options;
  const elements = elementCount(model.sampleShape);
  const count = images.length / elements;
  checkCounts(count, samples, size);
  const times = checkedTimes(options.timesteps, schedule.steps);
  throwIfAborted(signal);
  const chosen = drawWithoutReplacement(count, samples, seed);
  const sums = new Float64Array(times.length);
  const batches = Math.ceil(samples / size);
  for (let batch = 0; batch < batches; ++batch) {
    const indices = chosen.slice(batch * size, (batch + 1) * size);
    const work = await openWorkspace(model, images, indices, batch * size, options.classLabels);
    try {
      for (const [i, n] of times.entries()) {
        throwIfAborted(signal);
        sums[i] = at(sums, i) + (await squaredNorms(model, work, n, seed));
        options.onProgress?.(batch * times.length + i + 1, batches * times.length);
      }
    } finally {
      for (const tensor of [work.images, work.noisy, work.out]) tensor.free();
    }
  }
  const values = Array.from(sums, (sum) => sum / (samples * elements));
  return {
    schedule: schedule.name,
    numTrainTimesteps: schedule.steps,
    imagesPerStep: samples,
    m: interpolate(times, values, schedule.steps),
  };
}
