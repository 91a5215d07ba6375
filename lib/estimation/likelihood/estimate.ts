import { throwIfAborted } from '../../base/abort.js';
import { at, elementCount } from '../../base/arrays.js';
import { requireObject, unknownName } from '../../base/checks.js';
import { DpmError } from '../../base/errors.js';
import { kindsOf, standardsOf, type OptionFacts } from '../../base/option-facts.js';
import { checkOptions, instanceOf, nameOf, type OptionKinds, requireKind } from '../../base/option-kinds.js';
import type { Network } from '../../engine/network.js';
import type { GivenImages } from '../../images/given-images.js';
import { DiffusionModel } from '../../model.js';
import { samplerNames, samplers, type SamplerName } from '../../samplers/index.js';
import type { SamplerOptions } from '../../samplers/options.js';
import { checkOptions as checkSamplerOptions, type OptionTable } from '../../samplers/sampler.js';
import { withTables } from '../../samplers/tables.js';
import { chooseImages, type ChosenImages, partOfChosen } from '../chosen-images.js';
import { NoisyBatch } from '../noisy-batch.js';
import { estimateOptionFacts } from '../options.js';
import { boundTerms, decoderVariance, evaluateTerms, type BoundOptions, type BoundTerm } from './bound.js';
import { checkGrid, decoderNames, discretisedDecoder, type DecoderName } from './decoder.js';
import { summarise, type Likelihood } from './summary.js';

/** The samplers whose facts say that they have a bound: reverse chains of the Markov forward process. */
export type LikelihoodSampler = {
  [N in SamplerName]: (typeof samplers)[N]['facts']['bound'] extends true ? N : never;
}[SamplerName];

/** Names of all samplers of {@link LikelihoodSampler}. */
export const likelihoodSamplerNames = samplerNames.filter(
  (name): name is LikelihoodSampler => samplers[name].facts.bound === true,
);

/** Lists a sampler's options except those that have no effect on the bound. */
export function boundOptions(sampler: LikelihoodSampler): OptionTable {
  const { end: _, lastNoiseClip: __, ...table }: OptionTable = samplers[sampler].facts.options;
  return table;
}

/** Options of {@link estimateLikelihood}; those of the sampler are as in sampling. */
export interface LikelihoodOptions extends BoundOptions, Pick<SamplerOptions, 'variance' | 'gamma'> {
  /** A sampler that has a bound. */
  sampler: LikelihoodSampler;
  /** Number of images, drawn from the data without replacement. Default: all. */
  samples?: number | undefined;
  /** Seed of the choice of images and of the noise. Default 0. */
  seed?: number | bigint | undefined;
  /** Class labels, one per image of the data, for a class-conditional network. */
  classLabels?: ArrayLike<number> | undefined;
  /** Maximum number of images evaluated at once. Default 16. */
  batch?: number | undefined;
  /** Method of the decoder's bins: `exact`, the default, or `tanh`, the approximation in the code of Ho et al. 2020. */
  decoder?: DecoderName | undefined;
  /** Signal that aborts between two evaluations. */
  signal?: AbortSignal | undefined;
  /** Function that receives finished and all terms, over all batches. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Finds a sampler that has a bound.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` with the reason why another one has none.
 */
export function likelihoodSampler(name: string): LikelihoodSampler {
  const found = likelihoodSamplerNames.find((each) => each === name);
  if (found !== undefined) return found;
  const known = samplerNames.find((each) => each === name);
  if (known === undefined) throw unknownName('sampler', name, likelihoodSamplerNames);
  const reason = String(samplers[known].facts.bound);
  throw new DpmError('ERR_DPM_ARGUMENT', `sampler ${name}: ${reason}; use one of ${likelihoodSamplerNames.join(', ')}`);
}

/** Options of {@link LikelihoodOptions} beside those of samplers. */
type OwnOptions = Omit<LikelihoodOptions, keyof SamplerOptions | 'sampler'>;

/** Facts about these options. */
export const likelihoodOptionFacts = {
  ...estimateOptionFacts,
  decoder: {
    kind: nameOf(decoderNames),
    help: 'bins of the decoder: exact, or tanh, the approximation of published code',
    standard: 'exact',
    value: 'NAME',
  },
} as const satisfies OptionFacts<OwnOptions>;

const ownKinds: OptionKinds<OwnOptions> = kindsOf<OwnOptions>(likelihoodOptionFacts);
const defaults = standardsOf(likelihoodOptionFacts);
const modelKind = instanceOf('a DiffusionModel', DiffusionModel);

interface Work {
  model: DiffusionModel;
  terms: readonly BoundTerm[];
  network: Network;
  head: boolean;
  chosen: ChosenImages;
  options: Pick<LikelihoodOptions, 'signal' | 'onProgress'> & { batch: number; seed: number | bigint };
}

/** Computes the nats of every term, one number per image. */
async function termsOfImages(work: Work): Promise<Float64Array[]> {
  const { model, terms, network, head, chosen } = work;
  const { batch: size, seed, signal, onProgress } = work.options;
  const count = chosen.indices.length;
  const nats = terms.map(() => new Float64Array(count));
  const total = terms.length * Math.ceil(count / size);
  let finished = 0;
  for (let first = 0; first < count; first += size) {
    const part = partOfChosen(chosen, first, size);
    const batch = await NoisyBatch.open(model, part, { firstSample: first, seed, network, head });
    try {
      const values = await evaluateTerms(
        terms,
        await batch.images.read(),
        elementCount(model.sampleShape),
        (t, inputScale) => batch.predict(t, inputScale),
        { signal, done: () => onProgress?.(++finished, total) },
      );
      values.forEach((each, term) => {
        at(nats, term).set(each, first);
      });
    } finally {
      batch.free();
    }
  }
  return nats;
}

/**
 * Estimates the variational bound on the negative log-likelihood of 8-bit images, in bits per dimension: the KL of the
 * noisiest state and the prior, one KL per jump between noisy states, and the discretised Gaussian decoder of Ho et al. 2020,
 * its variance for every sampler V_{1|2} of the full chain (B_t if the trajectory ends at t > 1). One fresh draw of noise per
 * image and term; the data prediction is clipped as in sampling, the noise of the last jump is not limited (Bao et al. 2022,
 * Analytic-DPM).
 *
 * @param given - A batch of images, or images in model space, [count, C, H, W], on the grid of 8 bits: 2 u / 255 - 1 in [-1,
 * 1], u = 0..255.
 * @returns Means over the images with their standard errors. A term is infinite if a reverse variance is 0.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option or image and for samplers without a finite bound
 * (DDIM), `ERR_DPM_TENSOR_SHAPE` if the images do not fit the model, `ERR_DPM_ABORTED` if aborted.
 *
 * @example
 * ```ts
 * const { total } = await estimateLikelihood(model, images, { sampler: 'analytic-ddpm', steps: 50 });
 * console.log(total.bits, total.standardError);
 * ```
 */
export async function estimateLikelihood(
  model: DiffusionModel,
  given: GivenImages,
  options: LikelihoodOptions,
): Promise<Likelihood> {
  requireKind('the model', model, modelKind);
  requireObject('the options of estimateLikelihood', options);
  const {
    sampler: name,
    samples,
    seed = defaults.seed,
    classLabels,
    batch = defaults.batch,
    decoder = defaults.decoder,
    ...rest
  } = options;
  const { signal, onProgress, ...own } = rest;
  checkOptions('estimateLikelihood', { samples, seed, classLabels, batch, decoder, signal, onProgress }, ownKinds);
  const sampler = likelihoodSampler(name);
  checkSamplerOptions(sampler, own, boundOptions(sampler));
  const { schedule } = model;
  const chosen = chooseImages(model, given, { samples, seed, classLabels });
  const samplerOptions = withTables(sampler, own, schedule, model.gamma);
  const family = samplers[sampler].family(schedule, samplerOptions);
  const terms = boundTerms(schedule, family, samplerOptions, (t) =>
    discretisedDecoder(decoderVariance(schedule, t), decoder, model.range),
  );
  throwIfAborted(signal);
  const elements = elementCount(model.sampleShape);
  checkGrid(chosen.data, elements, model.range, chosen.indices);
  const network = await model.network(family.head);
  const head = family.head !== null;
  const nats = await termsOfImages({
    model,
    terms,
    network,
    head,
    chosen,
    options: { batch, seed, signal, onProgress },
  });
  return summarise(sampler, terms, nats, elements);
}
