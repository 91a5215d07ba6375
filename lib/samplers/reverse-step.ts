import { lastNoiseDeviation } from '../variance/analytic.js';
import { discreteTransitions } from '../schedule/trajectory.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { linear, stepProgram, stepRecord } from './builder.js';
import { jump, type Jump } from './jump.js';
import { clipOf, type SamplerOptions } from './options.js';
import { parametrisation, type Combination } from './prediction.js';
import type { LinearUpdate, ProgramHead, RecordVariance, StepProgram } from './program.js';

/** What distinguishes the samplers that walk the reverse process of a discrete schedule. */
export interface ReverseFamily {
  /** `markov`: mean from the clipped data prediction and the state; `direction`: from it and the unclipped noise. */
  mean: 'markov' | 'direction';
  eta: number;
  /** The variance of a jump that adds noise; `noise` is the unclipped noise prediction. */
  variance: (step: Jump, noise: Combination) => RecordVariance;
  /** Default of the option `lastNoiseClip`. */
  lastNoiseClip: number | null;
  head: ProgramHead | null;
}

function meanUpdate(step: Jump, mean: ReverseFamily['mean'], noise: Combination): LinearUpdate {
  if (mean === 'markov') return linear({ x: step.stateScale, history: [step.sensitivity] });
  return linear({
    x: step.direction * noise.input,
    out: step.direction * noise.output,
    history: [step.alphaS],
  });
}

function limited(variance: RecordVariance, deviation: number): RecordVariance {
  const limit = deviation * deviation;
  switch (variance.kind) {
    case 'none':
      return variance;
    case 'scalar':
      return { kind: 'scalar', deviation: Math.min(variance.deviation, deviation) };
    default:
      return { ...variance, low: Math.min(variance.low, limit), high: Math.min(variance.high, limit) };
  }
}

function isNoisy(variance: RecordVariance): boolean {
  return variance.kind !== 'none' && !(variance.kind === 'scalar' && variance.deviation === 0);
}

/**
 * Compiles a sampler of the reverse process: one record per jump, no noise into the data, the noise of the last noisy
 * jump limited by `lastNoiseClip`.
 */
export function reverseProgram(schedule: NoiseSchedule, options: SamplerOptions, family: ReverseFamily): StepProgram {
  const clip = clipOf(schedule, options.clip);
  const prediction = options.prediction ?? schedule.defaults.prediction;
  const jumps = discreteTransitions(schedule, options).map((transition) => jump(schedule, transition, family.eta));
  const records = jumps.map((step) => {
    const { data, noise } = parametrisation(prediction, step.alphaT, step.sigmaT);
    const variance: RecordVariance = step.s === 0 ? { kind: 'none' } : family.variance(step, noise);
    return stepRecord({
      time: schedule.networkTime(step.t),
      prediction: data,
      clip,
      store: { slot: 0, input: 0, data: 1 },
      x: meanUpdate(step, family.mean, noise),
      variance: isNoisy(variance) ? variance : { kind: 'none' },
    });
  });
  const levels = options.lastNoiseClip === undefined ? family.lastNoiseClip : options.lastNoiseClip;
  const last = records.findLast((record) => record.variance.kind !== 'none');
  if (levels !== null && last !== undefined) last.variance = limited(last.variance, lastNoiseDeviation(levels));
  return stepProgram(records, { head: family.head });
}
