import { at } from '../../base/arrays.js';
import { wrongValue } from '../../base/checks.js';
import { DpmError } from '../../base/errors.js';
import type { Program } from '../../program/program.js';
import type { GivenLevel } from '../../schedule/noise-level.js';
import { requireSchedule, type NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { SchedulerClassName } from '../../schedule/scheduler-classes.js';
import { clip, prediction } from '../common-options.js';
import { integerOption } from '../option.js';
import type { SamplerOptions } from '../options.js';
import { ratioOfTime, skippedSteps, type Beginning } from '../part-of-run.js';
import { defineSampler, noBound, type Sampler } from '../sampler.js';
import { lcmLevels, translateDdim, translateDdpm, translateLcm, translatePndm, translateUnClip } from './discrete.js';
import { SchedulerFields } from './fields.js';
import { translateEdmEuler, translateEdmMultistep, translateVe } from './noise-only.js';
import { laterLevels, levelsOfSteps } from './later-levels.js';
import type { LaterRun, SchedulerRun, Translate } from './run.js';
import {
  translateEuler,
  translateEulerAncestral,
  translateHeun,
  translateKdpm2Ancestral,
  translateKdpm2Flow,
  translateLms,
} from './sigma.js';
import { translateDeis, translateMultistep, translateSinglestep, translateUniPc } from './solvers.js';

/** Translations of classes; the others are known for their noise schedules alone. */
const translations: Readonly<Partial<Record<SchedulerClassName, Translate>>> = {
  DDIMParallelScheduler: translateDdim,
  DDIMScheduler: translateDdim,
  DDPMParallelScheduler: translateDdpm,
  DDPMScheduler: translateDdpm,
  DEISMultistepScheduler: translateDeis,
  DPMSolverMultistepScheduler: translateMultistep,
  DPMSolverSinglestepScheduler: translateSinglestep,
  EDMDPMSolverMultistepScheduler: translateEdmMultistep,
  EDMEulerScheduler: translateEdmEuler,
  EulerAncestralDiscreteScheduler: translateEulerAncestral,
  EulerDiscreteScheduler: translateEuler,
  HeunDiscreteScheduler: translateHeun,
  KDPM2AncestralDiscreteScheduler: translateKdpm2Ancestral,
  KDPM2DiscreteScheduler: translateKdpm2Flow,
  LCMScheduler: translateLcm,
  LMSDiscreteScheduler: translateLms,
  PNDMScheduler: translatePndm,
  ScoreSdeVeScheduler: translateVe,
  UnCLIPScheduler: translateUnClip,
  UniPCMultistepScheduler: translateUniPc,
};

const mostSteps = 1_000_000;

function translated(schedule: NoiseSchedule, steps: number): ReturnType<Translate> & { fields: SchedulerFields } {
  const fields = new SchedulerFields(schedule);
  const translate = translations[fields.className];
  if (translate === undefined) {
    const classes = Object.keys(translations).join(', ');
    throw fields.config.unsupported('_class_name', `${classes}; or name a sampler`);
  }
  const most = schedule.discrete ? schedule.steps : mostSteps;
  if (!Number.isInteger(steps) || steps < 1 || steps > most) {
    throw wrongValue('steps', steps, `num_inference_steps of ${fields.className}, an integer from 1 to ${most}`);
  }
  return { ...translate(fields, steps), fields };
}

/**
 * Translates the scheduler file of a model to a sampler, trajectory, options and number of evaluations.
 *
 * @param schedule - Schedule of a scheduler's file (`model.schedule`, `NoiseSchedule.fromSchedulerConfig`).
 * @param steps - Number `num_inference_steps` of diffusers.
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming a field that is not supported, `ERR_DPM_CONFIG` a wrong one,
 * `ERR_DPM_ARGUMENT` if the schedule comes from no file or the steps do not fit.
 *
 * @example
 * ```ts
 * const { sampler, options, evaluations } = schedulerRun(model.schedule, 20);
 * ```
 */
export function schedulerRun(schedule: NoiseSchedule, steps: number): SchedulerRun {
  requireSchedule(schedule);
  const { sampler, trajectory, options, fields } = translated(schedule, steps);
  const evaluated = options.levels.slice(0, -1).map(({ time = NaN }) => time);
  const timesteps = seenTimes(sampler, evaluated, options);
  return {
    scheduler: fields.className,
    sampler: sampler.facts.name,
    trajectory,
    options,
    timesteps,
    evaluations: timesteps.length,
  };
}

/** Lists the network's times: Heun's method repeats every level but the first and last, correctors come before. */
function seenTimes(
  { facts: { name } }: Sampler,
  times: readonly number[],
  { correctorSteps = 1 }: SamplerOptions,
): number[] {
  if (name === 'heun') return times.flatMap((time, i) => (i === 0 ? [time] : [time, time]));
  if (name === 'predictor-corrector') return times.flatMap((time) => new Array<number>(correctorSteps + 1).fill(time));
  return [...times];
}

/** Ratios sigma / alpha of the levels that steps begin at. */
function ratiosOf(schedule: NoiseSchedule, sampler: string, levels: readonly GivenLevel[]): number[] {
  return levelsOfSteps(sampler, levels).map(({ alpha, sigma, time }) =>
    time === undefined ? sigma / alpha : ratioOfTime(schedule, time),
  );
}

/**
 * Makes the last steps of a scheduler's run, and the amplitudes of picture and noise in the states that they begin with. LCM
 * takes all its steps, over a share of its times.
 *
 * @throws {@link DpmError} The errors of {@link schedulerRun}; `ERR_DPM_UNSUPPORTED` naming the field by which a run cannot begin
 * later.
 */
export function laterSchedulerRun(
  schedule: NoiseSchedule,
  { steps, ...own }: SamplerOptions & { steps: number },
  beginning: Beginning,
): LaterRun {
  const { sampler, options, fields } = translated(schedule, steps);
  const { name } = sampler.facts;
  const isShareOfTimes = fields.className === 'LCMScheduler' && 'strength' in beginning;
  const ratios = (): number[] => ratiosOf(schedule, name, options.levels);
  const skipped = isShareOfTimes ? 0 : skippedSteps(steps, beginning, ratios);
  const levels = isShareOfTimes
    ? lcmLevels(fields, steps, beginning.strength)
    : laterLevels(fields, name, options.levels, skipped);
  const disableCorrector = options.disableCorrector?.map((step) => step - skipped).filter((step) => step >= 0);
  const program = sampler(schedule, { ...options, levels, ...(disableCorrector && { disableCorrector }), ...own });
  if (program.kind === 'host') throw fields.config.unsupported('_class_name', 'a class of fixed steps');
  const { alpha, sigma } = at(levels, 0);
  return { program, start: { alpha, sigma } };
}

/**
 * The run of a scheduler's file: the timesteps, states and images that the file's class in diffusers gives for as many
 * `num_inference_steps` K. {@link schedulerRun} gives their sampler, options and number of evaluations: K for most, 2 K - 1
 * for Heun and KDPM2, K + 1 for PLMS, K + 9 for PNDM, 2 K for the VE-SDE.
 *
 * @throws {@link DpmError} The errors of {@link schedulerRun}.
 */
export const scheduler = defineSampler(
  {
    name: 'scheduler',
    summary: "what the model's scheduler file says, as diffusers runs it",
    kind: 'either',
    options: { steps: integerOption('num_inference_steps of diffusers', 1, mostSteps), clip, prediction },
    head: null,
    needsGamma: false,
    bound: noBound.noChain,
  },
  (schedule, { steps, ...own }): Program => {
    if (steps === undefined) {
      throw new DpmError('ERR_DPM_ARGUMENT', "steps is missing: give the scheduler's number of inference steps");
    }
    const { sampler, options } = translated(schedule, steps);
    return sampler(schedule, { ...options, ...own });
  },
);
