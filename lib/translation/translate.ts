import { at, elementCount } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { kinds, instanceOf, requireKind } from '../base/option-kinds.js';
import { normals, sampleStreams } from '../engine/normals.js';
import type { Classifier } from '../guidance/classifier.js';
import { keepParts } from '../guidance/keep-parts.js';
import { valuesOf, type GivenImages } from '../images/given-images.js';
import type { ImageBatch } from '../images/image-batch.js';
import { DiffusionModel } from '../model.js';
import type { RunOptions } from '../run/options.js';
import { amplitudesOfNetworkTime } from '../schedule/network-level.js';
import { noised, type Amplitudes } from '../schedule/noise-level.js';
import { keepLowFrequencies, type Sources } from './constraints.js';
import { Energies } from './energies.js';
import { checkedOptions, type CheckedOptions, type TranslateOptions, type TranslationNoise } from './options.js';

const modelKind = instanceOf('a DiffusionModel', DiffusionModel);

/** Draw of the sources' noise in the random stream of a sample. */
const SOURCE_DRAW = 4;

/** Difference of the seeds of two repeats: the golden ratio of 2^64, so that no two are equal. */
const NEXT_SEED = 0x9e3779b97f4a7c15n;

/** Lists the times n - 1 of the schedule's steps from `start` down, every `stride`. */
function timesOf({ schedule }: DiffusionModel, start: number, stride: number): number[] {
  if (!schedule.discrete) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `translation goes by the steps of a discrete schedule, not '${schedule.name}'`,
    );
  }
  const first = Math.max(1, Math.round(start * schedule.steps));
  return Array.from({ length: Math.ceil(first / stride) }, (_, i) => first - 1 - i * stride);
}

function requireSources(model: DiffusionModel, sources: Float32Array, extractor: Classifier | undefined): void {
  const shape = model.sampleShape.join(', ');
  const count = sources.length / elementCount(model.sampleShape);
  if (!Number.isInteger(count) || count < 1) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `the sources have ${sources.length} elements, they have to be [N, ${shape}]`,
    );
  }
  const wrong = sources.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `the sources are ${sources[wrong]} at element ${wrong}, they have to be finite`,
    );
  }
  if (extractor !== undefined && extractor.sampleShape.join() !== model.sampleShape.join()) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `the extractor takes images of [${extractor.sampleShape.join(', ')}], the model has [${shape}]`,
    );
  }
}

function isRepeat(value: unknown, repeats: number): boolean {
  return (
    Array.isArray(value) && value.length === repeats && Array.from(value).every((each) => kinds.floats.holds(each))
  );
}

/** Checks given noise. @throws {@link DpmError} `ERR_DPM_ARGUMENT` or `ERR_DPM_TENSOR_SHAPE` if it does not fit. */
function requireNoise({ method, noise, repeats }: CheckedOptions, elements: number, conditioned: number): void {
  if (noise === undefined) return;
  const { sources, steps, references } = noise;
  requireKind('noise.sources', sources, kinds.floats);
  if (sources.length !== repeats * elements) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `noise.sources has ${sources.length} elements, it has to have ${repeats * elements}`,
    );
  }
  const expected = `${repeats} Float32Array, one for each repeat`;
  requireKind('noise.steps', steps, { expected, holds: (value) => isRepeat(value, repeats) });
  if (references === undefined) return;
  requireKind('noise.references', references, kinds.floats);
  if (method !== 'ilvr')
    throw new DpmError('ERR_DPM_ARGUMENT', `noise.references is for method 'ilvr', not '${method}'`);
  if (references.length < conditioned * elements) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `noise.references has ${references.length} elements, ${conditioned} steps take ${conditioned * elements}`,
    );
  }
}

function copyOf({ sources, steps, references }: TranslationNoise): TranslationNoise {
  return {
    sources: new Float32Array(sources),
    steps: steps.map((step) => new Float32Array(step)),
    references: references && new Float32Array(references),
  };
}

/** Settings that all repeats share. */
interface Way {
  sources: Sources;
  timesteps: readonly number[];
  /** Amplitudes of the states that a repeat starts from. */
  amplitudes: Amplitudes;
  /** Makes the run options of a repeat, whose sources have this noise. */
  runOptions: (noise: Float32Array) => Pick<RunOptions, 'guides' | 'guideForm' | 'constrain'>;
}

async function wayOf(
  sources: Sources,
  timesteps: readonly number[],
  conditioned: number,
  options: CheckedOptions,
): Promise<Way> {
  const { model, images } = sources;
  const { method, extractor, mask } = options;
  if (method === 'ilvr') {
    const constrain = keepLowFrequencies(sources, conditioned, options);
    return { sources, timesteps, amplitudes: { alpha: 0, sigma: 1 }, runOptions: () => ({ constrain }) };
  }
  const first = model.schedule.networkTime(at(timesteps, 0) + 1);
  const features = await extractor?.features();
  const energies = features && new Energies(model, features, images, options);
  const keep = mask && keepParts(model, images, mask);
  return {
    sources,
    timesteps,
    amplitudes: amplitudesOfNetworkTime(model.schedule, first),
    runOptions: (noise) => ({
      guides: energies && [energies.guide(noise)],
      ...(energies && { guideForm: 'score' as const }),
      constrain: keep?.(noise),
    }),
  };
}

/**
 * Counts the steps of ILVR that the sources condition, from the first on; the last one, which gives the image, is not.
 */
function conditionedSteps({ schedule }: DiffusionModel, timesteps: readonly number[], { end }: CheckedOptions): number {
  return timesteps.slice(0, -1).filter((timestep) => timestep > end * schedule.steps).length;
}

function seedOfRepeat(seed: number | bigint, repeat: number): bigint {
  return BigInt.asUintN(64, BigInt(seed) + BigInt(repeat) * NEXT_SEED);
}

/** Runs one repeat, which starts from `images`. */
async function onceMore(way: Way, images: Float32Array, repeat: number, options: CheckedOptions): Promise<ImageBatch> {
  const { sources, timesteps, amplitudes } = way;
  const { model } = sources;
  const { method, batch, noise, signal, onProgress, repeats } = options;
  const count = images.length / elementCount(model.sampleShape);
  const seed = seedOfRepeat(options.seed, repeat);
  const streams = sampleStreams(count, { seed, record: 0, draw: SOURCE_DRAW });
  const own = repeat * images.length;
  const e = noise?.sources.slice(own, own + images.length) ?? (await normals(model.device, model.sampleShape, streams));
  const result = await model.sample({
    sampler: 'ddpm',
    ...(method !== 'ilvr' && { variance: 'beta-tilde' as const, clip: 'none' as const }),
    timesteps,
    count,
    batch,
    seed,
    init: noised(images, e, amplitudes),
    noise: noise?.steps[repeat],
    ...way.runOptions(e),
    signal,
    onProgress: (done, total) => onProgress?.(repeat * total + done, repeats * total),
  });
  return result.images;
}

/**
 * Translates images of one domain to the domain of a diffusion model. Each image gets the noise of `start` and is then
 * sampled from there, by the steps of DDPM (SDEdit, Meng et al. 2022); EGSDE (Zhao et al. 2022) guides it away from the
 * features of the source's domain and towards the source's low frequencies; ILVR (Choi et al. 2021) starts from noise
 * and replaces the low frequencies of every state by the source's.
 *
 * @param given - The sources: images in model space, [N, C, H, W], or a batch of images.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_TENSOR_SHAPE` if sources, mask, noise
 * or extractor do not fit the model, `ERR_DPM_UNSUPPORTED` for continuous schedules, `ERR_DPM_ABORTED` if aborted.
 *
 * @example
 * ```ts
 * const { images } = await translate(model, printed, { extractor, start: 0.4, stride: 10 });
 * ```
 */
export async function translate(
  model: DiffusionModel,
  given: GivenImages,
  options: TranslateOptions = {},
): Promise<{ images: ImageBatch }> {
  requireKind('the model', model, modelKind);
  const checked = checkedOptions(options, model.sampleShape);
  const sources = valuesOf('the sources', given, model);
  const { extractor, repeats, start, stride, mask, noise } = checked;
  requireSources(model, sources, extractor);
  const timesteps = timesOf(model, start, stride);
  const conditioned = conditionedSteps(model, timesteps, checked);
  requireNoise(checked, sources.length, conditioned);
  const images = new Float32Array(sources);
  const own = { ...checked, mask: mask && new Float32Array(mask), noise: noise && copyOf(noise) };
  const way = await wayOf({ model, images }, timesteps, conditioned, own);
  let result = await onceMore(way, images, 0, own);
  for (let repeat = 1; repeat < repeats; ++repeat) result = await onceMore(way, result.data, repeat, own);
  return { images: result };
}
