// Schedulers of networks whose states are unscaled data with noise: EDM's and the VE-SDE's.
import { at } from '../../base/arrays.js';
import type { GivenLevel } from '../../schedule/noise-level.js';
import { evenTimes } from '../../schedule/spacing.js';
import { euler } from '../families/euler.js';
import { predictorCorrector } from '../families/predictor-corrector.js';
import type { SchedulerFields } from './fields.js';
import { data, lastRatio, spreadRatios } from './levels.js';
import { roundedLinspace } from './rounded-betas.js';
import type { Translate } from './run.js';
import { multistepOf, multistepOptions } from './solvers.js';

interface EdmLevels {
  trajectory: 'karras' | 'logsnr';
  levels: GivenLevel[];
  /** Deviation of the initial noise. */
  initialScale: number;
}

/** Makes levels of EDM's schedulers, and the data or, by `final`, the least noise. */
function edmLevels(
  fields: SchedulerFields,
  steps: number,
  final: (sigmas: readonly number[], least: number) => number,
): EdmLevels {
  const { config, schedule } = fields;
  const most = config.positive('sigma_max', 80);
  const least = config.positive('sigma_min', 0.002);
  const kind = config.choice('sigma_schedule', 'karras', ['karras', 'exponential']);
  const sigmas =
    kind === 'karras'
      ? spreadRatios('karras', most, least, steps, config.positive('rho', 7))
      : evenTimes(Math.log(least), Math.log(most), steps).map(Math.exp);
  const last = fields.finalSigma() === 'zero' ? data : { alpha: 1, sigma: final(sigmas, least) };
  return {
    trajectory: kind === 'karras' ? 'karras' : 'logsnr',
    levels: [...sigmas.map((sigma) => ({ alpha: 1, sigma, time: schedule.networkTime(sigma) })), last],
    initialScale: Math.hypot(most, 1),
  };
}

function lastOf(sigmas: readonly number[]): number {
  return at(sigmas, sigmas.length - 1);
}

export const translateEdmEuler: Translate = (fields, steps) => {
  const { trajectory, ...options } = edmLevels(fields, steps, lastOf);
  return { sampler: euler, trajectory, options: { ...options, clip: 'none' } };
};

export const translateEdmMultistep: Translate = (fields, steps) => {
  const { config } = fields;
  const { trajectory, ...options } = edmLevels(fields, steps, (sigmas, least) => lastRatio(lastOf(sigmas), least));
  const algorithm = fields.choiceOr('algorithm_type', 'dpmsolver++', ['dpmsolver++', 'sde-dpmsolver++'], ['deis']);
  const order = config.integer('solver_order', 2, { least: 1, most: 3 });
  if (order === 3 && algorithm === 'sde-dpmsolver++') {
    throw config.unsupported('solver_order', '1 and 2 with algorithm_type sde-dpmsolver++');
  }
  return {
    sampler: multistepOf(fields, algorithm, order),
    trajectory,
    options: { ...options, ...multistepOptions(fields, options.levels, order, null) },
  };
};

/** Computes the deviation of the VE-SDE at a time in [0, 1]. */
function veDeviation(least: number, most: number, time: number): number {
  return least * (most / least) ** time;
}

/**
 * Translates the VE-SDE by predictor and corrector. The network sees the deviations at times from 1 to `sampling_eps`; the
 * predictor jumps between neighbours of as many deviations from the greatest to the least, or from the least to the data.
 */
export const translateVe: Translate = ({ config }, steps) => {
  const [least, most] = [config.positive('sigma_min', 0.01), config.positive('sigma_max', 1348)];
  const end = config.number('sampling_eps', 1e-5);
  if (!(end >= 0 && end <= 1)) throw config.error('sampling_eps', 'a number from 0 to 1');
  const deviations = evenTimes(0, 1, steps)
    .map((time) => veDeviation(least, most, time))
    .reverse();
  const levels = (steps === 1 ? [1] : roundedLinspace(1, end, steps)).map((time): GivenLevel => {
    const sigma = veDeviation(least, most, time);
    const position = Math.floor(Math.fround(time * (steps - 1)));
    const [from, to] = [at(deviations, position), position === 0 ? 0 : at(deviations, position - 1)];
    // The variance is less by as much as the jump's.
    const left = Math.sqrt(Math.max(0, sigma * sigma - from * from + to * to));
    return { alpha: 1, sigma, time: sigma, to: { alpha: 1, sigma: left } };
  });
  return {
    sampler: predictorCorrector,
    trajectory: 'logsnr',
    options: {
      levels: [...levels, data],
      initialScale: most,
      snr: config.positive('snr', 0.15),
      correctorSteps: config.integer('correct_steps', 1, { least: 0, most: 1000 }),
      batchNorm: 'reference',
    },
  };
};
