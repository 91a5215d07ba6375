import { throwIfAborted } from '../../base/abort.js';
import { at, elementCount } from '../../base/arrays.js';
import { unknownName } from '../../base/checks.js';
import { kindsOf, standardsOf, type OptionFacts } from '../../base/option-facts.js';
import { checkOptions, instanceOf, kinds, nameOf, type OptionKinds, requireKind } from '../../base/option-kinds.js';
import { levelsPerUnit } from '../../base/pixel-range.js';
import { normals } from '../../engine/normals.js';
import type { GivenImages } from '../../images/given-images.js';
import { DiffusionModel } from '../../model.js';
import { DeviceHostContext } from '../../run/device-context.js';
import { NetworkEvaluator } from '../../run/network-evaluator.js';
import { continuousInterval } from '../../schedule/trajectory.js';
import { chooseImages, type ChosenImages, partOfChosen } from '../chosen-images.js';
import { checkGrid } from '../likelihood/decoder.js';
import { estimate, type BitsEstimate } from '../likelihood/summary.js';
import { estimateOptionFacts } from '../options.js';
import { signDraw, signs, uniforms } from './draws.js';
import { solveFlow, type FlowPath } from './solve-flow.js';

/** Options of {@link flowLikelihood}. */
export interface FlowLikelihoodOptions {
  /** Number of images, drawn from the data without replacement. Default: all. */
  samples?: number | undefined;
  /** Seed of the choice of images, of dequantisation and of the probes. Default 0. */
  seed?: number | bigint | undefined;
  /** Number of times that every image is dequantised and probed anew. Default 1. */
  repeats?: number | undefined;
  /** Distribution of the probes: `rademacher`, the default, or `gaussian`. */
  probe?: 'rademacher' | 'gaussian' | undefined;
  /** Tolerance of a step, absolute. Default 1e-5. */
  atol?: number | undefined;
  /** Tolerance of a step, relative. Default 1e-5. */
  rtol?: number | undefined;
  /** Steps of samples. `sample`, the default: each has its own; `reference`: all of a batch share them, as in the authors' code. */
  batchNorm?: 'sample' | 'reference' | undefined;
  /** Time of the data. Default: 1e-5 of the noisiest; the density is that of data with as much noise. Times of discrete schedules are n / N. */
  tEnd?: number | undefined;
  /** Time of the most noise, whose states are treated as the prior's. Default: the schedule's. */
  tStart?: number | undefined;
  /** Class labels, one per image of the data, for a class-conditional network. */
  classLabels?: ArrayLike<number> | undefined;
  /** Maximum number of images at once. Default 16. */
  batch?: number | undefined;
  /** Signal that aborts between two evaluations. */
  signal?: AbortSignal | undefined;
  /** Function that receives finished and all hundredths of the way, over all batches. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Distributions of the probes. */
export const probes = ['rademacher', 'gaussian'] as const;
/** What shares its steps. */
export const norms = ['sample', 'reference'] as const;

/** Share of a schedule's noisiest time at which the data lie. */
const DATA_SHARE = 1e-5;

/** Facts about each option of {@link FlowLikelihoodOptions}. */
export const flowLikelihoodOptionFacts = {
  ...estimateOptionFacts,
  seed: { ...estimateOptionFacts.seed, help: 'seed of the choice of images, of dequantisation and of the probes' },
  repeats: {
    kind: kinds.positiveInteger,
    help: 'how often every image is dequantised and probed anew',
    standard: 1,
    value: 'R',
  },
  probe: {
    kind: nameOf(probes),
    help: `numbers of the probes: ${probes.join(' or ')}`,
    standard: 'rademacher',
    value: 'NAME',
  },
  atol: { kind: kinds.positive, help: 'absolute tolerance of a step', standard: 1e-5, value: 'X' },
  rtol: { kind: kinds.positive, help: 'relative tolerance of a step', standard: 1e-5, value: 'X' },
  batchNorm: {
    kind: nameOf(norms),
    help: `steps of each sample, or of all: ${norms.join(', ')}`,
    standard: 'sample',
    value: 'NAME',
  },
  tEnd: {
    kind: kinds.number,
    help: 'time of the data',
    otherwise: `${DATA_SHARE.toExponential()} of the noisiest`,
    value: 'T',
  },
  tStart: { kind: kinds.number, help: 'time of the most noise', otherwise: "the schedule's", value: 'T' },
} as const satisfies OptionFacts<FlowLikelihoodOptions>;

const optionKinds: OptionKinds<FlowLikelihoodOptions> = kindsOf<FlowLikelihoodOptions>(flowLikelihoodOptionFacts);
const defaults = standardsOf(flowLikelihoodOptionFacts);

/** Likelihood of images by the probability flow, in bits per dimension. */
export interface FlowLikelihood {
  /** The mean over images, each the mean of its repeats, with its standard error. */
  total: BitsEstimate;
  /** Standard error of the mean from probes and dequantisation alone; NaN for one repeat. */
  probeError: number;
  /** Number of images in the mean. */
  images: number;
  /** Number d of dimensions of an image. */
  dimensions: number;
  /** Number of evaluations of the network and its derivative, on average over the batches. */
  evaluations: number;
  /** Bits of every image, in the order in which they were drawn from the data. */
  bits: Float64Array;
}

const modelKind = instanceOf('a DiffusionModel', DiffusionModel);

function checkValues(options: FlowLikelihoodOptions) {
  const { atol = defaults.atol, rtol = defaults.rtol } = options;
  const { probe = defaults.probe, batchNorm = defaults.batchNorm } = options;
  if (!probes.includes(probe)) throw unknownName('probe', probe, probes);
  if (!norms.includes(batchNorm)) throw unknownName('batchNorm', batchNorm, norms);
  return { atol, rtol, shared: batchNorm === 'reference' };
}

function pathOf(model: DiffusionModel, options: FlowLikelihoodOptions): FlowPath {
  const schedule = model.schedule.sde();
  const nearest = DATA_SHARE * schedule.noisiest;
  // Schedules may have no noise at this time.
  const { tEnd = schedule.betaBar(nearest) > 0 ? nearest : schedule.cleanest } = options;
  const { tStart = schedule.greatestTime } = options;
  const { start, end } = continuousInterval(schedule, { tEnd, tStart });
  return { schedule, from: end, to: start, control: checkValues(options) };
}

/** Part of the images in one repeat. */
interface Part extends ChosenImages {
  repeat: number;
}

class Flow {
  readonly #elements: number;

  constructor(
    private readonly model: DiffusionModel,
    private readonly path: FlowPath,
    private readonly options: FlowLikelihoodOptions,
  ) {
    this.#elements = elementCount(model.sampleShape);
  }

  /** Computes the bits per dimension of some images, and counts the evaluations. */
  async run(part: Part, onProgress: (done: number) => void): Promise<{ bits: Float64Array; evaluations: number }> {
    const { model, path, options } = this;
    const { seed = defaults.seed, signal } = options;
    const { indices } = part;
    const labels = model.unet.labels(part.labels, indices.length);
    const x = model.device.tensor([indices.length, ...model.sampleShape]);
    const context = new DeviceHostContext({
      evaluator: new NetworkEvaluator(model.unet, labels),
      x,
      seed,
      firstSample: 0,
      noise: null,
      signal,
      onProgress,
    });
    try {
      await x.write(this.#dequantised(part));
      await context.write('probe', await this.#probes(part));
      const { logDensity, evaluations } = await solveFlow(context, path, 'probe');
      // A level is as wide as this in the units of the data.
      const width = 1 / this.#levels();
      const nats = logDensity.map((density) => -density - this.#elements * Math.log(width));
      return { bits: nats.map((each) => each / (this.#elements * Math.LN2)), evaluations };
    } finally {
      context.release();
      x.free();
    }
  }

  /** Converts: 256 levels fill the range. */
  #levels(): number {
    return (levelsPerUnit(this.model.range) * 256) / 255;
  }

  /** Converts levels u to (u + U) / 256 of the range, U uniform. */
  #dequantised({ data, indices, repeat }: Part): Float32Array {
    const { seed = defaults.seed } = this.options;
    const [black] = this.model.range;
    const [scale, steps] = [levelsPerUnit(this.model.range), this.#levels()];
    const added = indices.map((image) => uniforms({ seed, repeat, image }, this.#elements));
    return data.map((value, i) => {
      const level = Math.round(scale * (value - black));
      return black + (level + at(at(added, Math.floor(i / this.#elements)), i % this.#elements)) / steps;
    });
  }

  /** Draws probes of the images, which depend neither on the batch nor on its order. */
  async #probes({ indices, repeat }: Part): Promise<Float32Array> {
    const { seed = defaults.seed, probe = defaults.probe } = this.options;
    if (probe === 'gaussian') {
      const streams = indices.map((sampleIndex) => ({ seed, sampleIndex, record: repeat, draw: signDraw }));
      return normals(this.model.device, this.model.sampleShape, streams);
    }
    const all = new Float32Array(indices.length * this.#elements);
    indices.forEach((image, n) => {
      all.set(signs({ seed, repeat, image }, this.#elements), n * this.#elements);
    });
    return all;
  }
}

/** Computes the standard error of a mean over images of means over repeats, from the spread of the repeats. */
function probeErrorOf(bits: readonly Float64Array[]): number {
  const repeats = bits.length;
  const images = at(bits, 0).length;
  let sum = 0;
  for (let image = 0; image < images; ++image) {
    const mean = bits.reduce((total, each) => total + at(each, image), 0) / repeats;
    sum += bits.reduce((total, each) => total + (at(each, image) - mean) ** 2, 0) / (repeats - 1) / repeats;
  }
  return Math.sqrt(sum) / images;
}

/**
 * Computes the negative log-likelihood of 8-bit images by the probability flow (Song et al. 2021, section 4.3), in bits per
 * dimension: exact except for the probes that replace the divergence's trace, for the tolerances, and for the prior in place
 * of the noisiest states. Images are dequantised by uniform noise.
 *
 * @param given - A batch of images, or images in model space, [count, C, H, W], on the grid of 8 bits: 2 u / 255 - 1 in [-1,
 * 1], u = 0..255.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option or image, `ERR_DPM_TENSOR_SHAPE` if the images do not
 * fit the model, `ERR_DPM_UNSUPPORTED` on a device without derivatives, `ERR_DPM_ABORTED` if aborted.
 *
 * @example
 * ```ts
 * const { total, evaluations } = await flowLikelihood(model, images, { repeats: 5 });
 * ```
 */
export async function flowLikelihood(
  model: DiffusionModel,
  given: GivenImages,
  options: FlowLikelihoodOptions = {},
): Promise<FlowLikelihood> {
  requireKind('the model', model, modelKind);
  checkOptions('flowLikelihood', options, optionKinds);
  const { repeats = defaults.repeats, batch = defaults.batch, signal, onProgress } = options;
  const path = pathOf(model, options);
  const chosen = chooseImages(model, given, options);
  throwIfAborted(signal);
  const count = chosen.indices.length;
  const elements = elementCount(model.sampleShape);
  checkGrid(chosen.data, elements, model.range, chosen.indices);
  const flow = new Flow(model, path, { ...options });
  const bits: Float64Array[] = [];
  const batches = repeats * Math.ceil(count / batch);
  let [done, evaluations] = [0, 0];
  for (let repeat = 0; repeat < repeats; ++repeat) {
    bits.push(new Float64Array(count));
    for (let first = 0; first < count; first += batch) {
      const part = partOfChosen(chosen, first, batch);
      const found = await flow.run({ ...part, repeat }, (hundredths) => {
        onProgress?.(100 * done + hundredths, 100 * batches);
      });
      at(bits, repeat).set(found.bits, first);
      evaluations += found.evaluations;
      ++done;
    }
  }
  const means = Float64Array.from(
    { length: count },
    (_, n) => bits.reduce((sum, each) => sum + at(each, n), 0) / repeats,
  );
  return {
    total: estimate(
      means.map((mean) => mean * elements * Math.LN2),
      elements,
    ),
    probeError: probeErrorOf(bits),
    images: count,
    dimensions: elements,
    evaluations: evaluations / batches,
    bits: means,
  };
}
