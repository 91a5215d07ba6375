import { linear, stepProgram, stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import type { Prediction } from '../../schedule/defaults.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { transitions, type Transition } from '../../schedule/trajectory.js';
import { clipOf, type SamplerOptions } from '../options.js';
import { evaluation, type EvaluationOptions } from './evaluation.js';
import { noiseLevel, type NoiseLevel } from '../../schedule/noise-level.js';

/** Makes the SDE behind a schedule and the evaluation of its network; without `clip` nothing is clipped. */
export function sdeEvaluation(schedule: NoiseSchedule, options: SamplerOptions): EvaluationOptions {
  const prediction: Prediction | undefined = options.prediction;
  return { schedule: schedule.sde(), prediction, clip: clipOf(schedule, options.clip ?? 'none') };
}

/** Jump against the forward SDE: x <- state x + noise eps + deviation z. */
export interface SdeStep {
  state: number;
  noise: number;
  deviation: number;
}

/**
 * Makes a sampler of the reverse SDE: `steps` times, one network evaluation each, and jumps between them and from the
 * last one to the data, into which no noise is added.
 *
 * @param step - The coefficients of the jump from `level` to the time s; 0 is the data.
 */
export function sdeProgram(
  schedule: NoiseSchedule,
  options: SamplerOptions,
  step: (sde: NoiseSchedule, level: NoiseLevel, s: number) => SdeStep,
): StepProgram {
  const plan = sdeEvaluation(schedule, options);
  const jumps: Transition[] = transitions(plan.schedule, options);
  const records = jumps.map(({ s, t }) => {
    const level = noiseLevel(plan.schedule, t);
    const { state, noise, deviation } = step(plan.schedule, level, s);
    return stepRecord({
      ...evaluation(plan, level, 'noise'),
      x: linear({ x: state, history: [noise] }),
      variance: s === 0 || deviation === 0 ? { kind: 'none' } : { kind: 'scalar', deviation },
    });
  });
  const { tStart = plan.schedule.noisiest } = options;
  return stepProgram(records, { initialScale: plan.schedule.initialScale(tStart) });
}
