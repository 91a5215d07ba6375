import { at } from '../base/arrays.js';
import { nativeWork } from '../base/errors.js';
import { checkOptions } from '../base/option-kinds.js';
import { update } from '../engine/update.js';
import type { GivenImages } from '../images/given-images.js';
import { linear, stepRecord } from '../program/builder.js';
import { parametrisationOf } from '../schedule/prediction.js';
import type { GammaTable } from '../variance/gamma.js';
import { dataEstimateOptionKinds, estimateTables, type DataEstimateOptions } from './data-estimate.js';
import { requireEstimatedModel, type EstimatedModel, type NoisyModel } from './estimated-model.js';
import type { NoisyBatch } from './noisy-batch.js';

/** Options of {@link estimateGamma}. */
export type EstimateGammaOptions = DataEstimateOptions;

/** Sums ||eps_hat(x_t, t)||^2 over a batch, x_t one noisy version of each image. */
async function squaredNorms(model: NoisyModel, batch: NoisyBatch, time: number): Promise<number> {
  const { schedule } = model;
  const [alpha, sigma] = [Math.sqrt(schedule.alphaBar(time)), Math.sqrt(schedule.betaBar(time))];
  const { noisy, out, size } = batch;
  const { noise, inputScale } = parametrisationOf(schedule, {}, alpha, sigma);
  await batch.evaluate(time, inputScale);
  if (schedule.defaults.prediction !== 'epsilon') {
    const toNoise = linear({ x: noise.output, y: noise.input / inputScale });
    await update(stepRecord({ time: 0, x: toNoise }), { x: out, y: noisy });
  }
  const sums = await nativeWork(() =>
    model.device.engine.reduce('sum-squares', size, out.elements / size, out.native, null),
  );
  return sums.reduce((sum, each) => sum + each, 0);
}

/**
 * Estimates m_n = E||eps_hat(x_n, n)||^2 / d, for Analytic-DPM (Bao et al. 2022, equation 8): the same `samples` images and
 * one draw of noise per image for each n; on a continuous schedule n stands for t = n / N.
 *
 * @param model - A model whose network is used without a head, on any device; or one written in JavaScript.
 * @param given - A batch of images, or images in model space, [count, C, H, W]; the training set or a part of it.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for fewer images than `samples` and schedules of noise alone, `ERR_DPM_ABORTED`
 * if aborted.
 *
 * @example
 * ```ts
 * await writeGammaTable('gamma.json', await estimateGamma(model, images, { samples: 64 }));
 * ```
 */
export async function estimateGamma(
  model: EstimatedModel,
  given: GivenImages,
  options: EstimateGammaOptions,
): Promise<GammaTable> {
  checkOptions('estimateGamma', options, dataEstimateOptionKinds);
  requireEstimatedModel(model);
  return gammaOf(model, given, options);
}

/** Estimates as {@link estimateGamma} does, of a model and with options that have been checked. */
export async function gammaOf(
  model: NoisyModel,
  given: GivenImages,
  options: EstimateGammaOptions,
): Promise<GammaTable> {
  const { schedule } = model;
  const { samples } = options;
  const tables = await estimateTables(model, given, options, 1, async (batch, time) => [
    await squaredNorms(model, batch, time),
  ]);
  return {
    schedule: schedule.name,
    numTrainTimesteps: schedule.steps,
    imagesPerStep: samples,
    m: at(tables, 0),
  };
}
