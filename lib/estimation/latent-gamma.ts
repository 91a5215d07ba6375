import { throwIfAborted } from '../base/abort.js';
import { at, elementCount } from '../base/arrays.js';
import { checkOptions, instanceOf, kinds, type OptionKinds, requireKind } from '../base/option-kinds.js';
import { centredRange } from '../base/pixel-range.js';
import { givenImages, type GivenImages } from '../images/given-images.js';
import { ImageBatch } from '../images/image-batch.js';
import { texts } from '../latents/generate-options.js';
import { perImage, sidesOf } from '../latents/resolve-call.js';
import type { PromptedEvaluate } from '../latents/prompted-network.js';
import type { Evaluator } from '../run/evaluator.js';
import { predicting, TextToImage } from '../text-to-image.js';
import type { GammaTable } from '../variance/gamma.js';
import { chooseImages, type ChosenImages } from './chosen-images.js';
import { dataEstimateOptionKinds, type DataEstimateOptions } from './data-estimate.js';
import { gammaOf } from './gamma-estimate.js';

/** Options of {@link estimateLatentGamma}. */
export interface LatentGammaOptions extends Omit<DataEstimateOptions, 'classLabels' | 'samples'> {
  /** Text of all images, or one each: what they show. */
  prompt: string | readonly string[];
  /** Number of images each entry is estimated from, drawn without replacement. Default: all. */
  samples?: number | undefined;
  /** Height in pixels of the images that latents are of. Default: that of the network. */
  height?: number | undefined;
  /** Width in pixels of the images that latents are of. Default: that of the network. */
  width?: number | undefined;
}

const inCentredRange = { defaults: { dataRange: centredRange } };

const { classLabels: _, ...estimateKinds } = dataEstimateOptionKinds;
const latentGammaKinds: OptionKinds<LatentGammaOptions> = {
  ...estimateKinds,
  prompt: texts,
  height: kinds.positiveInteger,
  width: kinds.positiveInteger,
};

/** Sides in pixels: those of the images, or what is said of the latents. */
function sidesIn({ vae, unet }: TextToImage, given: GivenImages, { height, width }: LatentGammaOptions) {
  const side = unet.sampleSize * vae.factor;
  const [, , ownHeight, ownWidth] = given instanceof ImageBatch ? given.shape : [0, 0, side, side];
  return sidesOf({ height: height ?? ownHeight, width: width ?? ownWidth }, { side, factor: vae.factor });
}

/** Gives the latents of what was chosen as the diffusion knows them; of images the means of the autoencoder. */
async function latentsOf(
  { vae }: TextToImage,
  { data }: ChosenImages,
  {
    sides,
    isImages,
    signal,
  }: { sides: { height: number; width: number }; isImages: boolean; signal: AbortSignal | undefined },
): Promise<Float32Array> {
  if (!isImages) return data;
  return vae.toDiffusion((await vae.encode(data, { ...sides, signal })).mean);
}

/** An evaluator of rows, whose texts labels name. */
function evaluatorOf(evaluate: PromptedEvaluate, labels: readonly number[]): Evaluator {
  return {
    async evaluate(input, times, output): Promise<void> {
      await output.write((await evaluate(await input.read(), times, labels)).out);
    },
  };
}

/**
 * Estimates m_n = E||eps_hat(x_n, n, c)||^2 / d of a text-to-image pipeline, for Analytic-DPM on its latents (Bao et al. 2022,
 * equation 8): of the network guided with weight 1, whose prediction alone is the posterior's mean. The table keeps the second
 * moment of the latents, which limits the variance.
 *
 * @param given - Images, which are encoded; or latents as the diffusion knows them, [N, C, h, w]: where there are no images,
 * those that the pipeline draws (`output: 'latents'`).
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_TENSOR_SHAPE` for images of another shape,
 * `ERR_DPM_ABORTED` if aborted.
 *
 * @example
 * ```ts
 * const { latents } = await pipeline.generate({ prompt: captions, output: 'latents' });
 * const gamma = await estimateLatentGamma(pipeline, latents, { prompt: captions, timesteps: [1, 200, 400, 700, 1000] });
 * const { images } = await pipeline.generate({ prompt: 'a red fox', sampler: 'analytic-ddim', steps: 10, gamma });
 * ```
 */
export async function estimateLatentGamma(
  pipeline: TextToImage,
  given: GivenImages,
  options: LatentGammaOptions,
): Promise<GammaTable> {
  checkOptions('estimateLatentGamma', options, latentGammaKinds);
  requireKind('the pipeline', pipeline, instanceOf('a TextToImage', TextToImage));
  requireKind('images', given, givenImages);
  requireKind('prompt', options.prompt, texts);
  const { prompt, samples, seed, batch, signal, onProgress } = options;
  const timesteps = options.timesteps && [...options.timesteps];
  throwIfAborted(signal);
  const sides = sidesIn(pipeline, given, options);
  const { factor, latentChannels, imageChannels } = pipeline.vae;
  const sampleShape = [latentChannels, sides.height / factor, sides.width / factor] as const;
  const isImages = given instanceof ImageBatch;
  const space = isImages ? ([imageChannels, sides.height, sides.width] as const) : sampleShape;
  const chosen = chooseImages({ sampleShape: space, schedule: inCentredRange }, given, { samples, seed });
  const count = isImages ? given.count : given.length / elementCount(space);
  const captionOf = perImage('prompt', prompt, count);
  const captions = chosen.indices.map((index) => at(captionOf, index));
  const latents = await latentsOf(pipeline, chosen, { sides, isImages, signal });
  const { schedule, device } = pipeline;
  const table = await predicting(pipeline, captions, { ...sides, signal }, (evaluate) => {
    const evaluator = (labels: readonly number[]): Evaluator => evaluatorOf(evaluate, labels);
    return gammaOf({ schedule, device, sampleShape, evaluator }, latents, {
      samples: captions.length,
      seed,
      timesteps,
      batch,
      signal,
      onProgress,
      classLabels: captions.map((_caption, label) => label),
    });
  });
  return { ...table, secondMoment: latents.reduce((sum, z) => sum + z * z, 0) / latents.length };
}
