// Schedulers whose state is the data with noise of the deviation sigma: Euler, Heun, LMS and KDPM2. Here their states are
// divided by sqrt(1 + sigma^2), as the networks see them.
import { at } from '../../base/arrays.js';
import { seesNoise } from '../../schedule/scheduler-config.js';
import { roundHalfEven, spacedTimes, unboundedTimes } from '../../schedule/spacing.js';
import type { Trajectory } from '../../schedule/trajectory.js';
import { ddpm } from '../families/ddpm.js';
import { euler } from '../families/euler.js';
import { heun } from '../families/heun.js';
import { kdpm2 } from '../families/kdpm2.js';
import { lms } from '../families/lms.js';
import type { RatioSpacing, SchedulerFields } from './fields.js';
import {
  data,
  lastRatio,
  levelAt,
  levelsTo,
  spreadRatios,
  trajectoryOf,
  withRises,
  type SigmaLevel,
} from './levels.js';
import { refuseRises } from './degenerate-steps.js';
import { clipOption, refuseSample, type Translate } from './run.js';
import { SigmaTable } from './sigma-table.js';

/** Levels of a scheduler, most noise first. */
interface SigmaLevels {
  trajectory: Trajectory;
  levels: SigmaLevel[];
  table: SigmaTable;
  /** Standard deviation of the initial noise, as the network sees it. */
  initialScale: number;
}

/** Makes ratios by `interpolation_type`: at the times, or even in the logarithm from the most noise to the least. */
function timedRatios({ config }: SchedulerFields, table: SigmaTable, times: readonly number[]): number[] {
  const type = config.choice('interpolation_type', 'linear', ['linear', 'log_linear']);
  if (type === 'linear') return times.map((time) => table.ratioAt(time));
  return spreadRatios('exponential', table.most, table.least, times.length + 1);
}

/** Spreads ratios between `sigma_max` and `sigma_min`, or the first and the last of those at the times. */
function spreadBetween(
  fields: SchedulerFields,
  sigmas: RatioSpacing,
  timed: readonly number[],
  steps: number,
): number[] {
  const { most, least } = fields.spreadEnds({ most: at(timed, 0), least: at(timed, timed.length - 1) });
  return spreadRatios(sigmas, most, least, steps);
}

/** Fields for levels that a class has. */
interface LevelFields {
  /** True if it has `interpolation_type`. */
  interpolates?: boolean;
  /** True if it has the fields that spread levels in the noise. */
  spreads?: boolean;
}

function levelsOf(
  fields: SchedulerFields,
  steps: number,
  { interpolates = false, spreads = true }: LevelFields = {},
): SigmaLevels {
  const { schedule } = fields;
  const table = new SigmaTable(schedule);
  const { spacing, offset } = fields.spacing('linspace');
  const sigmas = spreads ? fields.sigmaSpacing() : null;
  const spaced = { count: steps, trained: schedule.steps, offset };
  const exact = sigmas === null ? fields.times(() => spacedTimes(spacing, spaced)) : unboundedTimes(spacing, spaced);
  // Diffusers keeps these times as float32 numbers.
  const times = exact.map(Math.fround);
  const timed = interpolates ? timedRatios(fields, table, times) : times.map((time) => table.ratioAt(time));
  const ratios = sigmas === null ? timed : spreadBetween(fields, sigmas, timed, steps);
  const levels = ratios.map((ratio, i) => ({
    ratio,
    time: sigmas === null ? at(times, Math.min(i, times.length - 1)) : table.timeOf(ratio),
  }));
  const greatest = Math.max(...ratios);
  const start = spacing === 'leading' ? Math.hypot(greatest, 1) : greatest;
  return {
    trajectory: trajectoryOf(sigmas, spacing),
    levels,
    table,
    initialScale: start / Math.hypot(at(ratios, 0), 1),
  };
}

export const translateEuler: Translate = (fields, steps) => {
  const { schedule } = fields;
  const { trajectory, levels, table, initialScale } = levelsOf(fields, steps, { interpolates: true });
  const continuous = seesNoise(fields.config, schedule.defaults.prediction);
  // Levels even in the logarithm are one more than times; the extra one ends the run unless the times are levels, too.
  const evaluated = continuous ? levels : levels.slice(0, steps);
  // States of the least noise are unscaled data and noise.
  const least = { alpha: 1, sigma: lastRatio(at(levels, levels.length - 1).ratio, table.least) };
  const last = fields.finalSigma() === 'zero' ? data : least;
  const end = levels[evaluated.length];
  const given = evaluated.map((level) => ({
    ...levelAt(schedule, level),
    ...(continuous && { time: Math.log(level.ratio) / 4 }),
  }));
  return {
    sampler: euler,
    trajectory,
    options: {
      levels: withRises([...given, end === undefined ? last : { alpha: 1, sigma: end.ratio }]),
      initialScale,
      clip: 'none',
    },
  };
};

export const translateEulerAncestral: Translate = (fields, steps) => {
  refuseSample(fields);
  const { trajectory, levels, initialScale } = levelsOf(fields, steps, { spreads: false });
  const given = levelsTo(fields.schedule, levels, 0);
  refuseRises(fields, given);
  return {
    sampler: ddpm,
    trajectory,
    options: { levels: given, initialScale, variance: 'beta-tilde', clip: 'none' },
  };
};

export const translateHeun: Translate = (fields, steps) => {
  const { trajectory, levels, initialScale } = levelsOf(fields, steps);
  const clip = fields.config.boolean('clip_sample', false) ? clipOption(fields.schedule) : 'none';
  return {
    sampler: heun,
    trajectory,
    options: { levels: levelsTo(fields.schedule, levels, 0), initialScale, clip },
  };
};

export const translateLms: Translate = (fields, steps) => {
  const { trajectory, levels, initialScale } = levelsOf(fields, steps);
  return {
    sampler: lms,
    trajectory,
    options: { levels: levelsTo(fields.schedule, levels, 0), initialScale, clip: 'none' },
  };
};

/**
 * Computes where an ancestral step's flow goes before its noise, in diffusers' float32: a difference of near numbers.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` if nothing is left, from which diffusers cannot continue.
 */
function downRatio({ config, className }: SchedulerFields, from: number, to: number): number {
  const { fround, sqrt } = Math;
  const [start, end] = [fround(fround(from) ** 2), fround(fround(to) ** 2)];
  const up = fround(sqrt(fround(fround(end * fround(start - end)) / start)));
  const down = fround(end - fround(up * up));
  if (down > 0) return sqrt(down);
  const step = `from sigma ${from.toPrecision(3)} to ${to.toPrecision(3)}`;
  throw config.error(
    'beta_schedule',
    `another, or the steps more, for ${className}: all of the step ${step} is its noise`,
  );
}

/** Translates KDPM2: a midpoint after each level but the last. Karras' levels are at whole times, midpoints between. */
function translateKdpm2(fields: SchedulerFields, steps: number, ancestral: boolean): ReturnType<Translate> {
  refuseSample(fields);
  const { trajectory, levels, table, initialScale } = levelsOf(fields, steps);
  const isKarras = trajectory === 'karras';
  const all = levels.flatMap(({ ratio, time }, i): SigmaLevel[] => {
    const level = { ratio, time: isKarras ? roundHalfEven(time) : time };
    const next = levels[i + 1]?.ratio;
    if (next === undefined) return [level];
    const middle = Math.sqrt(ratio * (ancestral ? downRatio(fields, ratio, next) : next));
    return [level, { ratio: middle, time: table.timeOf(middle) }];
  });
  return {
    sampler: kdpm2,
    trajectory,
    options: {
      levels: levelsTo(fields.schedule, all, 0),
      initialScale,
      clip: 'none',
      ...(ancestral && { eta: 1 }),
    },
  };
}

export const translateKdpm2Flow: Translate = (fields, steps) => translateKdpm2(fields, steps, false);
export const translateKdpm2Ancestral: Translate = (fields, steps) => translateKdpm2(fields, steps, true);
