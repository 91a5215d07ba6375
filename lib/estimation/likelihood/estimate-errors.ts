import { at, elementCount } from '../../base/arrays.js';
import { checkOptions, kinds, type OptionKinds } from '../../base/option-kinds.js';
import type { GivenImages } from '../../images/given-images.js';
import type { Clip } from '../../program/record.js';
import { clipOf, type ClipOption } from '../../samplers/options.js';
import { parametrisationOf } from '../../schedule/prediction.js';
import type { ErrorTable } from '../../variance/error-table.js';
import { checkedImageCount, valuesFor } from '../chosen-images.js';
import { dataEstimateOptionKinds, estimateTables, type DataEstimateOptions } from '../data-estimate.js';
import { requireEstimatedModel, type EstimatedModel } from '../estimated-model.js';
import type { NoisyBatch } from '../noisy-batch.js';
import { decoderVariance } from './bound.js';
import { checkGrid, discretisedDecoder } from './decoder.js';
import { dataPrediction, sumOver } from './terms.js';

/** Options of {@link estimateErrors}. */
export interface EstimateErrorsOptions extends DataEstimateOptions {
  /** Default: the scheduler's. */
  clip?: ClipOption | undefined;
}

const estimateErrorsKinds: OptionKinds<EstimateErrorsOptions> = {
  ...dataEstimateOptionKinds,
  clip: kinds.any,
};

/** Sums the squared error and the decoder's nats over a batch at a time. */
async function errorsOf(
  model: EstimatedModel,
  batch: NoisyBatch,
  time: number,
  clip: Clip,
): Promise<[squaredError: number, decoder: number]> {
  const { schedule, sampleShape } = model;
  const [alpha, sigma] = [Math.sqrt(schedule.alphaBar(time)), Math.sqrt(schedule.betaBar(time))];
  const { data, inputScale } = parametrisationOf(schedule, {}, alpha, sigma);
  const decoder = discretisedDecoder(decoderVariance(schedule, time), 'exact', schedule.defaults.dataRange);
  const images = await batch.images.read();
  const { states, out } = await batch.predict(time, inputScale);
  const elements = elementCount(sampleShape);
  const sums: [number, number] = [0, 0];
  for (let sample = 0; sample < batch.size; ++sample) {
    const part = (values: ArrayLike<number>): ArrayLike<number> =>
      Array.from({ length: elements }, (_, i) => at(values, sample * elements + i));
    const x0 = part(images);
    const prediction = dataPrediction(data, clip, part(states), part(out));
    sums[0] += sumOver((value, mean) => (value - mean) ** 2, x0, prediction);
    sums[1] += sumOver(decoder, x0, prediction);
  }
  return sums;
}

/**
 * Estimates the errors of a network's data prediction at every time: the table for the costs of {@link fixedVarianceCosts}
 * (Watson et al. 2021). The same `samples` images and one draw of noise per image for each n.
 *
 * @param given - A batch of 8-bit images, or 8-bit images in model space, [count, C, H, W]; the training set or a part of it.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_ABORTED` if aborted.
 */
export async function estimateErrors(
  model: EstimatedModel,
  given: GivenImages,
  options: EstimateErrorsOptions,
): Promise<ErrorTable> {
  checkOptions('estimateErrors', options, estimateErrorsKinds);
  requireEstimatedModel(model);
  const { schedule } = model;
  const clip = clipOf(schedule, options.clip);
  const { samples } = options;
  const images = valuesFor(model, given);
  checkedImageCount(model, images, samples);
  checkGrid(images, elementCount(model.sampleShape), schedule.defaults.dataRange);
  const tables = await estimateTables(model, images, options, 2, (batch, time) => errorsOf(model, batch, time, clip));
  return {
    schedule: schedule.name,
    numTrainTimesteps: schedule.steps,
    imagesPerStep: samples,
    squaredError: at(tables, 0),
    decoder: at(tables, 1),
  };
}
