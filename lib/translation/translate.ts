import { at, elementCount } from '../base/arrays.js';
import { unknownName, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { checkOptions, instanceOf, kinds, type OptionKinds, requireKind, seedKind } from '../base/option-kinds.js';
import { normals } from '../engine/normals.js';
import type { UNet } from '../engine/unet.js';
import { Classifier } from '../guidance/classifier.js';
import type { ImageBatch } from '../images/image-batch.js';
import { DiffusionModel } from '../model.js';
import type { Guide } from '../running/guide.js';
import { amplitudesOfNetworkTime } from '../schedule/network-level.js';
import { LowPass } from './low-pass.js';
import { similarities, similarityGradient, type Similarity } from './similarity.js';

/** How images are translated: `egsde` (Zhao et al. 2022), or `sdedit` (Meng et al. 2022), which is the same without energies. */
export type TranslationMethod = 'egsde' | 'sdedit';

/** Options of {@link translate}. */
export interface TranslateOptions {
  /** Default `egsde` where there is an extractor, else `sdedit`. */
  method?: TranslationMethod | undefined;
  /** A classifier of the two domains, or of several: what its middle block gives of an image is to leave the source's. */
  extractor?: Classifier | undefined;
  /** Weight of leaving the source's domain. Default 500. */
  lambdaS?: number | undefined;
  /** Weight of keeping the source's low frequencies. Default 2. */
  lambdaI?: number | undefined;
  /** What is kept: frequencies of images smaller by this factor. Default 32. */
  factor?: number | undefined;
  /** How features are compared. Default `cosine`. */
  similarity?: Similarity | undefined;
  /** The share of the noise that the source gets, above 0 to 1. Default 0.5. */
  start?: number | undefined;
  /** How often the result is noised and translated again. Default 1. */
  repeats?: number | undefined;
  /** Only every so many of the schedule's steps are made. Default 1. */
  stride?: number | undefined;
  /** Of the noise. Default 0. */
  seed?: number | bigint | undefined;
  /** Most images at once. Default 16. */
  batch?: number | undefined;
  /** Noise of the sources, [repeats, N, C, H, W], and of the steps, of a repeat each [steps, N, C, H, W], instead of the seed's. */
  noise?: { sources: Float32Array; steps: readonly Float32Array[] } | undefined;
  /** Aborts before the next evaluation. */
  signal?: AbortSignal | undefined;
  /** Steps done and in all, over all images and repeats. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

const optionKinds: OptionKinds<TranslateOptions> = {
  method: kinds.string,
  extractor: instanceOf('a Classifier', Classifier),
  lambdaS: kinds.number,
  lambdaI: kinds.number,
  factor: kinds.positiveInteger,
  similarity: kinds.string,
  start: kinds.number,
  repeats: kinds.positiveInteger,
  stride: kinds.positiveInteger,
  seed: seedKind,
  batch: kinds.positiveInteger,
  noise: kinds.object,
  signal: kinds.signal,
  onProgress: kinds.function,
};

const methods: readonly TranslationMethod[] = ['egsde', 'sdedit'];
const modelKind = instanceOf('a DiffusionModel', DiffusionModel);

/** The draw of the sources' noise in the random stream of a sample. */
const SOURCE_DRAW = 4;

/** Energies of EGSDE: the noised source is compared with the state at every step. */
class Energies {
  readonly #lowPass: LowPass;

  constructor(
    private readonly model: DiffusionModel,
    private readonly features: UNet,
    private readonly sources: Float32Array,
    private readonly options: TranslateOptions,
  ) {
    const [, height, width] = model.sampleShape;
    this.#lowPass = new LowPass(height, width, options.factor ?? 32, 'triangle');
  }

  /** Minus the gradient of the weighted energies; the source's noise is the same for a whole way. */
  guide(noise: Float32Array): Guide {
    const elements = elementCount(this.model.sampleShape);
    return async (y, times, first) => {
      const { alpha, sigma } = amplitudesOfNetworkTime(this.model.schedule, at(times, 0));
      const [from, to] = [first * elements, first * elements + y.length];
      const e = noise.subarray(from, to);
      const x = this.sources.subarray(from, to).map((value, i) => alpha * value + sigma * at(e, i));
      const { lambdaS = 500, lambdaI = 2, similarity = 'cosine' } = this.options;
      const faithfulness = this.#lowPass.gradient(y, x);
      const result = Float32Array.from(faithfulness, (value) => -lambdaI * value);
      if (lambdaS === 0) return result;
      const realism = await this.#realism(similarity, y, x, times);
      return result.map((value, i) => value - lambdaS * at(realism, i));
    };
  }

  async #realism(similarity: Similarity, y: Float32Array, x: Float32Array, times: Float32Array): Promise<Float32Array> {
    const { features } = this;
    const [ofY, ofX] = [await features.forward(y, times), await features.forward(x, times)];
    const rows = times.length;
    const places = ofY.out.length / rows / features.info.outChannels;
    const cotangent = similarityGradient(similarity, ofY.out, ofX.out, rows, places);
    return (await features.pullback(y, times, { cotangent })).gradient;
  }
}

function checkValues(options: TranslateOptions): { method: TranslationMethod; start: number; stride: number } {
  const { extractor, start = 0.5, stride = 1, similarity } = options;
  const method = options.method ?? (extractor === undefined ? 'sdedit' : 'egsde');
  if (!methods.includes(method)) throw unknownName('method', method, methods);
  if (similarity !== undefined && !similarities.includes(similarity)) {
    throw unknownName('similarity', similarity, similarities);
  }
  if (method === 'egsde' && extractor === undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', "method 'egsde' needs an extractor, a classifier of the domains");
  }
  if (!(start > 0 && start <= 1)) throw wrongValue('start', start, 'a number above 0, at most 1');
  for (const name of ['lambdaS', 'lambdaI'] as const) {
    const value = options[name] ?? 0;
    if (!Number.isFinite(value)) throw wrongValue(name, value, 'a number');
  }
  if (method === 'egsde') return { method, start, stride };
  const energy = (['lambdaS', 'lambdaI', 'factor', 'similarity'] as const).find((name) => options[name] !== undefined);
  if (energy !== undefined) throw new DpmError('ERR_DPM_ARGUMENT', `${energy} is for method 'egsde'`);
  return { method, start, stride };
}

/** Times n - 1 of the schedule's steps from `start` down, every `stride`. */
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

function checkedSources(model: DiffusionModel, sources: Float32Array, extractor: Classifier | undefined): number {
  requireKind('the sources', sources, kinds.floats);
  const shape = model.sampleShape.join(', ');
  const count = sources.length / elementCount(model.sampleShape);
  if (!Number.isInteger(count) || count < 1) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `the sources have ${sources.length} elements, they have to be [N, ${shape}]`,
    );
  }
  if (extractor !== undefined && extractor.sampleShape.join() !== model.sampleShape.join()) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `the extractor takes images of [${extractor.sampleShape.join(', ')}], the model has [${shape}]`,
    );
  }
  return count;
}

/**
 * Images of one domain as images of the domain of a diffusion model. Each is noised as far as `start` says and then sampled from there, by the
 * steps of DDPM; EGSDE (Zhao et al. 2022) guides them away from the features of the source's domain and towards the source's low frequencies.
 *
 * @param sources - Images in model space, [N, C, H, W].
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong, `ERR_DPM_TENSOR_SHAPE` when sources or extractor do not fit the
 * model, `ERR_DPM_UNSUPPORTED` for continuous schedules, `ERR_DPM_ABORTED` when aborted.
 *
 * @example
 * ```ts
 * const { images } = await translate(model, printed, { extractor, lambdaS: 120, lambdaI: 8, factor: 4, start: 0.4, stride: 10 });
 * ```
 */
export async function translate(
  model: DiffusionModel,
  sources: Float32Array,
  options: TranslateOptions = {},
): Promise<{ images: ImageBatch }> {
  requireKind('the model', model, modelKind);
  checkOptions('translate', options, optionKinds);
  const { method, start, stride } = checkValues(options);
  const { extractor, repeats = 1, seed = 0, batch, noise, signal, onProgress } = options;
  const count = checkedSources(model, sources, extractor);
  const timesteps = timesOf(model, start, stride);
  const kept = Float32Array.from(sources);
  const features = method === 'egsde' ? await extractor?.features() : undefined;
  const energies = features && new Energies(model, features, kept, options);
  const { alpha, sigma } = amplitudesOfNetworkTime(model.schedule, model.schedule.networkTime(at(timesteps, 0) + 1));
  let result: ImageBatch | undefined;
  for (let repeat = 0; repeat < repeats; ++repeat) {
    const streams = Array.from({ length: count }, (_, sampleIndex) => ({
      seed,
      sampleIndex,
      record: repeat,
      draw: SOURCE_DRAW,
    }));
    const own = repeat * kept.length;
    const e = noise?.sources.slice(own, own + kept.length) ?? (await normals(model.device, model.sampleShape, streams));
    const from = result?.data ?? kept;
    const { images } = await model.sample({
      sampler: 'ddpm',
      variance: 'beta-tilde',
      clip: 'none',
      timesteps,
      count,
      batch,
      seed: typeof seed === 'bigint' ? seed : BigInt(seed),
      init: from.map((value, i) => alpha * value + sigma * at(e, i)),
      noise: noise?.steps[repeat],
      guides: energies && [energies.guide(e)],
      ...(energies && { guideForm: 'score' }),
      signal,
      onProgress: (done, total) => onProgress?.(repeat * total + done, repeats * total),
    });
    result = images;
  }
  if (result === undefined) throw new DpmError('ERR_DPM_INTERNAL', 'nothing was translated');
  return { images: result };
}
