import { linear, stepProgram, stepRecord } from '../../program/builder.js';
import type { Program, ProgramHead, StepProgram } from '../../program/program.js';
import type { LinearUpdate, RecordVariance, StepRecord } from '../../program/record.js';
import { jump, levelJump, type Jump } from '../../schedule/jump.js';
import { levelSteps } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { parametrisationOf, type Combination } from '../../schedule/prediction.js';
import { transitions } from '../../schedule/trajectory.js';
import { lastNoiseDeviation } from '../../variance/reverse-variance.js';
import { clipOf, type SamplerOptions } from '../options.js';
import { defineSampler, type OptionsOf, type Sampler, type SamplerFacts } from '../sampler.js';
import { givenLevels, initialScaleOf } from './solver-plan.js';

/** Properties of a sampler that goes through the reverse process of a schedule. */
export interface ReverseFamily {
  /**
   * Form of the mean. `markov`: from the clipped data prediction and the state; `direction`: from it and the unclipped noise;
   * `clipped-direction`: from it and the noise that belongs to it.
   */
  mean: 'markov' | 'direction' | 'clipped-direction';
  /** Share of the Markov process's noise in the mean, 0 to 1. */
  eta: number;
  /** Function for the variance of a jump that adds noise; `noise` is the unclipped noise prediction. */
  variance: (step: Jump, noise: Combination) => RecordVariance;
  /** Function for a guide's variance in the noiseless jump to the data, from it and the jump before; absent: none. */
  guideVariance?: ((step: Jump, before: Jump) => RecordVariance) | undefined;
  /** Default of the option `lastNoiseClip`. */
  lastNoiseClip: number | null;
  /** Second output that the variance reads, null for none. */
  head: ProgramHead | null;
  /** True if the jump to the data has its noise, too. Default false. */
  finalNoise?: boolean | undefined;
}

/** Sampler of the reverse process; `family` gives its steps, for callers that need only the variances. */
export interface ReverseSampler<F extends SamplerFacts = SamplerFacts, P extends Program = Program> extends Sampler<
  F,
  P
> {
  /** Gives the properties of its steps with these options on a schedule. */
  family: (schedule: NoiseSchedule, options: OptionsOf<F>) => ReverseFamily;
}

function meanUpdate(step: Jump, mean: ReverseFamily['mean'], noise: Combination): LinearUpdate {
  if (mean === 'markov') return linear({ x: step.stateScale, history: [step.sensitivity] });
  if (mean === 'clipped-direction') {
    const direction = step.direction / step.sigmaT;
    return linear({ x: direction, history: [step.alphaS - direction * step.alphaT] });
  }
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

/** Lists the jumps between the times of a trajectory, or between given levels. */
export function jumpsOf(schedule: NoiseSchedule, options: SamplerOptions, eta: number): Jump[] {
  if (options.levels === undefined) {
    return transitions(schedule, options).map((transition) => jump(schedule, transition, eta));
  }
  return levelSteps(givenLevels(schedule, options), options.levels).map(({ from, to }) =>
    levelJump(schedule, from, to, eta),
  );
}

/** Makes one record per jump; no noise into the data, limited noise in the last noisy jump. */
function reverseRecords(schedule: NoiseSchedule, options: SamplerOptions, family: ReverseFamily): StepRecord[] {
  const clip = clipOf(schedule, options.clip);
  const jumps = jumpsOf(schedule, options, family.eta);
  const records = jumps.map((step, i) => {
    const { data, noise, inputScale } = parametrisationOf(schedule, options, step.alphaT, step.sigmaT);
    const isQuiet = step.s === 0 && family.finalNoise !== true;
    const variance: RecordVariance = isQuiet ? { kind: 'none' } : family.variance(step, noise);
    const before = jumps[i - 1];
    const guideVariance = isQuiet && before !== undefined ? family.guideVariance?.(step, before) : undefined;
    return stepRecord({
      time: step.networkTime,
      inputScale,
      prediction: data,
      clip,
      store: { slot: 0, input: 0, data: 1 },
      x: meanUpdate(step, family.mean, noise),
      variance: isNoisy(variance) ? variance : { kind: 'none' },
      ...(guideVariance !== undefined && { guideVariance }),
    });
  });
  const levels = options.lastNoiseClip === undefined ? family.lastNoiseClip : options.lastNoiseClip;
  if (levels === null) return records;
  const last = records.findLastIndex((record) => record.variance.kind !== 'none');
  const deviation = lastNoiseDeviation(levels, schedule.dataWidth);
  return records.map((record, i) =>
    i === last ? { ...record, variance: limited(record.variance, deviation) } : record,
  );
}

/** Records of a sampler before it is compiled, and the other facts of its program. */
export interface ReverseRecords {
  records: StepRecord[];
  initialScale: number;
  head: ProgramHead | null;
}

/** Makes a sampler from its family and a function that makes a program of its records. */
export function compiledSampler<const F extends SamplerFacts, P extends Program>(
  facts: F,
  family: ReverseSampler<F>['family'],
  compile: (reverse: ReverseRecords, options: OptionsOf<F>) => P,
): ReverseSampler<F, P> {
  const sampler = defineSampler(facts, (schedule, options) => {
    const own = family(schedule, options);
    const reverse: SamplerOptions = options;
    const records = reverseRecords(schedule, reverse, own);
    const initialScale = initialScaleOf(schedule, reverse);
    return compile({ records, initialScale, head: own.head }, options);
  });
  return Object.assign(sampler, { family });
}

/** Makes a sampler of the reverse process: one network evaluation per jump. */
export function reverseSampler<const F extends SamplerFacts>(
  facts: F,
  family: ReverseSampler<F>['family'],
): ReverseSampler<F, StepProgram> {
  return compiledSampler(facts, family, ({ records, ...rest }) => stepProgram(records, rest));
}
