import { throwIfAborted } from '../../base/abort.js';
import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import type { Clip } from '../../program/record.js';
import type { ReverseFamily } from '../../samplers/numerics/reverse-step.js';
import { clipOf, type SamplerOptions } from '../../samplers/options.js';
import { jump, type Jump } from '../../schedule/jump.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { parametrisationOf } from '../../schedule/prediction.js';
import { transitions } from '../../schedule/trajectory.js';
import type { NoisyPredictions } from '../noisy-batch.js';
import { dataPrediction, elementVariances, klTerm, priorTerm, sumOver, type ElementTerm } from './terms.js';

/** Part of {@link NoisyPredictions} for one sample, and its data. */
export interface SamplePredictions extends NoisyPredictions {
  x0: ArrayLike<number>;
}

/** A term of the bound. */
export interface BoundTerm {
  kind: 'prior' | 'kl' | 'decoder';
  /** The cleaner time; 0 is the data. */
  s: number;
  /** The time of the state the network sees; of the prior, the noisiest. */
  t: number;
  /** Factor of the state before the network sees it; null: the network is not needed. */
  inputScale: number | null;
  /** The term of one sample, in nats. */
  nats(sample: SamplePredictions): number;
}

/** Options of the terms beside a sampler's family. */
export type BoundOptions = Pick<
  SamplerOptions,
  'steps' | 'trajectory' | 'timesteps' | 'costs' | 'tStart' | 'tEnd' | 'clip' | 'prediction' | 'avgCov'
>;

/**
 * The variance of the decoder of a trajectory whose cleanest time is `t`, whatever the sampler's variances: V_{1|2} of the full
 * chain at t = 1 (Bao et al. 2022, appendix), B_t elsewhere (Watson et al. 2021).
 */
export function decoderVariance(schedule: NoiseSchedule, t: number): number {
  return t === 1 ? schedule.posteriorVariance(1, 2) : schedule.betaBar(t);
}

function priorOf(schedule: NoiseSchedule, t: number): BoundTerm {
  const alphaBar = schedule.alphaBar(t);
  return {
    kind: 'prior',
    s: t,
    t,
    inputScale: null,
    nats: ({ x0 }) => sumOver((value) => priorTerm(alphaBar, value), x0, x0),
  };
}

interface TermSetting {
  schedule: NoiseSchedule;
  family: ReverseFamily;
  options: BoundOptions;
  clip: Clip;
}

function klOf({ schedule, family, options, clip }: TermSetting, step: Jump): BoundTerm {
  const { data, noise, inputScale } = parametrisationOf(schedule, options, step.alphaT, step.sigmaT);
  const variance = family.variance(step, noise);
  return {
    kind: 'kl',
    s: step.s,
    t: step.t,
    inputScale,
    nats({ x0, states, out, head }) {
      const variances = elementVariances(variance, options.avgCov ?? false, states, out, head);
      const prediction = dataPrediction(data, clip, states, out);
      return sumOver((value, mean, i) => klTerm(step, at(variances, i), value, mean), x0, prediction);
    },
  };
}

function decoderOf({ schedule, options, clip }: TermSetting, step: Jump, decoder: ElementTerm): BoundTerm {
  const { data, inputScale } = parametrisationOf(schedule, options, step.alphaT, step.sigmaT);
  return {
    kind: 'decoder',
    s: 0,
    t: step.t,
    inputScale,
    nats: ({ x0, states, out }) => sumOver(decoder, x0, dataPrediction(data, clip, states, out)),
  };
}

/**
 * Lists the terms of the variational bound of a reverse Markov chain, from the prior to the decoder (Ho et al. 2020,
 * equation 5): the data prediction is clipped as in sampling, the noise of the last jump is not limited.
 *
 * @param family - Variances of the chain; the forward process is the Markov one.
 * @param decoderAt - Function for -ln p(x_0 | data prediction) of an element in nats, by the cleanest time.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export function boundTerms(
  schedule: NoiseSchedule,
  family: ReverseFamily,
  options: BoundOptions,
  decoderAt: (t: number) => ElementTerm,
): BoundTerm[] {
  if (!schedule.discrete) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'the bound on the likelihood needs a discrete noise schedule');
  }
  const setting = { schedule, family, options, clip: clipOf(schedule, options.clip) };
  const steps = transitions(schedule, options).map((transition) => jump(schedule, transition, family.eta));
  return [
    priorOf(schedule, at(steps, 0).t),
    ...steps.map((step) => (step.s === 0 ? decoderOf(setting, step, decoderAt(step.t)) : klOf(setting, step))),
  ];
}

/** The network's view of a batch at time t, one fresh draw of noise per image and time. */
export type Predictor = (t: number, inputScale: number) => Promise<NoisyPredictions>;

/** Takes one sample's part of a batch; of typed arrays a view. */
function part(values: ArrayLike<number>, sample: number, elements: number): ArrayLike<number> {
  const [start, end] = [sample * elements, (sample + 1) * elements];
  if (values instanceof Float32Array || values instanceof Float64Array) return values.subarray(start, end);
  return Array.from({ length: elements }, (_, i) => at(values, start + i));
}

/**
 * Evaluates all terms on a batch.
 *
 * @param x0 - Images of `elements` elements each, back to back.
 * @param done - Function called after every term.
 * @returns Nats, one array per term with one number per image.
 * @throws {@link DpmError} `ERR_DPM_ABORTED` if aborted.
 */
export async function evaluateTerms(
  terms: readonly BoundTerm[],
  x0: ArrayLike<number>,
  elements: number,
  predict: Predictor,
  { signal, done }: { signal?: AbortSignal | undefined; done?: () => void } = {},
): Promise<Float64Array[]> {
  const count = x0.length / elements;
  const nats: Float64Array[] = [];
  for (const term of terms) {
    throwIfAborted(signal);
    const predictions = term.inputScale === null ? null : await predict(term.t, term.inputScale);
    nats.push(
      Float64Array.from({ length: count }, (_, i) => {
        const view = (values: ArrayLike<number>): ArrayLike<number> => part(values, i, elements);
        if (predictions === null) return term.nats({ x0: view(x0), states: [], out: [], head: null });
        const { states, out, head } = predictions;
        return term.nats({
          x0: view(x0),
          states: view(states),
          out: view(out),
          head: head === null ? null : view(head),
        });
      }),
    );
    done?.();
  }
  return nats;
}
