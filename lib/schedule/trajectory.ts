import { at } from '../base/arrays.js';
import { unknownName, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { arrayOf, kinds, requireKind } from '../base/option-kinds.js';
import { shownValue } from '../base/text.js';
import { logSnrPlace } from './log-snr-spacing.js';
import type { GivenLevel } from './noise-level.js';
import { requireSchedule, type NoiseSchedule } from './noise-schedule.js';
import { optimalTrajectory, type JumpCosts } from './optimal-trajectory.js';
import { roundHalfEven, spacedTimes, spacingNames, type Spacing } from './spacing.js';

/** Spacing of a sampler's times. */
export type Trajectory = 'uniform' | 'quadratic' | 'logsnr' | 'karras' | 'beta' | 'optimal' | Spacing;

export const trajectoryNames: readonly Trajectory[] = [
  'uniform',
  'quadratic',
  'logsnr',
  'karras',
  'beta',
  'optimal',
  ...spacingNames,
];

/** Tells whether a trajectory is one of diffusers' `timestep_spacing`. */
export function isSpacing(trajectory: Trajectory | undefined): trajectory is Spacing {
  return spacingNames.some((name) => name === trajectory);
}

/** Options of the times that a sampler visits. */
export interface TrajectoryOptions {
  /** Number of network evaluations K. */
  steps?: number;
  /** Spacing. Default: the sampler's; for noise alone (`NoiseSchedule.ve`, `.edm`) `logsnr` instead of `uniform`. */
  trajectory?: Trajectory;
  /** Costs of the jumps for `trajectory: 'optimal'`; see {@link optimalTrajectory}. */
  costs?: JumpCosts;
  /** Exponent of Karras' spacing, even in (sigma / alpha)^(1 / rho). Default 7. */
  rho?: number;
  /** Offset of the times of `trajectory: 'leading'`, as diffusers' `steps_offset`. Default 0. */
  stepsOffset?: number;
  /** Times n - 1 of the evaluations, decreasing and 0-based; overrides `steps` and `trajectory`. */
  timesteps?: readonly number[];
  /**
   * Noise level of every evaluation and, last, that of the result, one by one; overrides `steps`, `trajectory` and
   * `timesteps`.
   */
  levels?: readonly GivenLevel[];
  /** Time of the most noise. Default: the schedule's. To begin between, give a state of that time as `init`. */
  tStart?: number;
  /** Time of the least noise. Default: the schedule's. */
  tEnd?: number;
  /** State after the last record: the data (`data`, n = 0) or the cleanest time (`first`, n = 1). */
  end?: 'data' | 'first';
}

function argument(message: string): DpmError {
  return new DpmError('ERR_DPM_ARGUMENT', message);
}

function checkedCount(steps: number, most: number): number {
  if (!Number.isInteger(steps) || steps < 1 || steps > most) {
    throw wrongValue('steps', steps, `an integer from 1 to ${most}`);
  }
  return steps;
}

/** Chooses the spacing of a sampler: the requested one, or its own. Even deviations would be nearly all noise. */
export function trajectoryOf(
  schedule: NoiseSchedule,
  asked: Trajectory | undefined,
  standard: Trajectory = 'uniform',
): Trajectory {
  if (asked !== undefined) return asked;
  return standard === 'uniform' && !schedule.preservesVariance ? 'logsnr' : standard;
}

/**
 * Refuses options of a spacing that is not the one used.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option and its spacing.
 */
export function refuseUnusedSpacing(trajectory: Trajectory, { rho, stepsOffset }: TrajectoryOptions): void {
  if (rho !== undefined && trajectory !== 'karras') {
    throw argument(`rho is for trajectory 'karras', here it is '${trajectory}'`);
  }
  if (stepsOffset !== undefined && trajectory !== 'leading') {
    throw argument(`stepsOffset is for trajectory 'leading', here it is '${trajectory}'`);
  }
}

/**
 * Finds the ends of a way through continuous time.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if they are out of order or out of the schedule's times.
 */
export function continuousInterval(
  schedule: NoiseSchedule,
  { tStart = schedule.noisiest, tEnd = schedule.cleanest }: Pick<TrajectoryOptions, 'tStart' | 'tEnd'>,
): { start: number; end: number } {
  const { greatestTime } = schedule;
  requireKind('tStart', tStart, kinds.number);
  requireKind('tEnd', tEnd, kinds.number);
  if (!(tEnd > 0 && tEnd < tStart && tStart <= greatestTime)) {
    throw argument(`tEnd and tStart are ${tEnd} and ${tStart}, they have to be 0 < tEnd < tStart <= ${greatestTime}`);
  }
  if (!(schedule.betaBar(tEnd) > 0)) {
    throw argument(
      `tEnd is ${tEnd}, where this noise schedule has no noise any more; its cleanest time is ${schedule.cleanest}`,
    );
  }
  return { start: tStart, end: tEnd };
}

/** Makes rounded times strictly increasing: first upwards, then downwards from the last admissible time. */
function withoutRepeats(times: number[], last: number): number[] {
  for (let k = 1; k < times.length; ++k) times[k] = Math.max(at(times, k), at(times, k - 1) + 1);
  let limit = last;
  for (let k = times.length - 1; k >= 0; --k) times[k] = Math.min(at(times, k), limit--);
  return times;
}

function nearestTimeOfLogSnr(schedule: NoiseSchedule, logSnr: number): number {
  const position = schedule.timeOfLogSnr(logSnr);
  const below = Math.min(Math.max(Math.floor(position), 1), schedule.steps - 1);
  const distance = (n: number): number => Math.abs(schedule.logSnr(n) - logSnr);
  return distance(below) <= distance(below + 1) ? below : below + 1;
}

function optimalTimes(costs: JumpCosts | undefined, count: number, first: number, last: number): number[] {
  if (costs === undefined) throw argument("trajectory 'optimal' needs the option costs");
  if (first !== 1) throw argument("trajectory 'optimal' starts at n = 1; leave tEnd out");
  return optimalTrajectory(costs, count, last);
}

function spread(
  schedule: NoiseSchedule,
  count: number,
  first: number,
  last: number,
  options: TrajectoryOptions,
): number[] {
  const fractions = Array.from({ length: count }, (_, k) => k / (count - 1));
  const trajectory = trajectoryOf(schedule, options.trajectory);
  switch (trajectory) {
    case 'uniform':
      return Array.from({ length: count }, (_, k) => roundHalfEven(first + (k * (last - first)) / (count - 1)));
    case 'quadratic': {
      // The quadratic spacing of DDIM ends at 0.8 N (Song et al. 2020).
      const isWhole = options.tStart === undefined && options.tEnd === undefined;
      const reach = Math.sqrt(isWhole ? 0.8 * schedule.steps : last - first);
      // NumPy's linspace has this rounding: whole squares are floored by its last bit.
      const root = (k: number): number => (k === count - 1 ? reach : k * (reach / (count - 1)));
      return fractions.map((_, k) => Math.min(Math.floor(root(k) ** 2) + first, last));
    }
    case 'logsnr':
    case 'karras':
    case 'beta': {
      const [clean, noisy] = [schedule.logSnr(first), schedule.logSnr(last)];
      if (noisy === -Infinity) {
        throw argument(
          `trajectory '${trajectory}' needs a log-SNR, n = ${last} is noise alone: give a tStart below it`,
        );
      }
      const place = logSnrPlace(trajectory, clean, noisy, options.rho);
      return fractions.map((u) => nearestTimeOfLogSnr(schedule, place?.(u) ?? clean));
    }
    case 'leading':
    case 'trailing':
    case 'linspace':
      throw argument(`trajectory '${trajectory}' spreads over all times: leave tStart and tEnd out`);
    case 'optimal':
      return optimalTimes(options.costs, count, first, last);
    default:
      throw unknownName('trajectory', trajectory, trajectoryNames);
  }
}

/**
 * Converts decreasing 0-based times n - 1 to increasing n.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if they are anything else.
 */
export function explicitTimes(timesteps: readonly number[], steps: number): number[] {
  requireKind('timesteps', timesteps, arrayOf('an array of integers', kinds.number));
  if (timesteps.length === 0) throw argument('timesteps is empty');
  const times = timesteps.map((each) => each + 1).reverse();
  times.forEach((n, k) => {
    if (!Number.isInteger(n) || n < 1 || n > steps || (k > 0 && n <= at(times, k - 1))) {
      throw argument(`timesteps have to be integers that decrease from at most ${steps - 1} to at least 0`);
    }
  });
  return times;
}

/**
 * Spreads increasing times tau_1 < … < tau_K in 1..N.
 *
 * - `uniform`: round(1 + (k-1)(N-1)/(K-1)), half to even; K = 1 gives [N]
 * - `quadratic`: DDIM's quadratic spacing, which ends at 0.8 N + 1
 * - `logsnr`, `karras`, `beta`: the n whose log-SNR is nearest to that of the continuous grid, without repeats
 * - `optimal`: the cheapest path by `costs`
 */
export function discreteTimes(schedule: NoiseSchedule, count: number, options: TrajectoryOptions): number[] {
  const first = options.tEnd ?? 1;
  const last = options.tStart ?? schedule.steps;
  if (!Number.isInteger(first) || !Number.isInteger(last) || first < 1 || last > schedule.steps || first > last) {
    throw argument(
      `tEnd ${shownValue(first)} and tStart ${shownValue(last)} have to be integers with 1 <= tEnd <= tStart <= ${schedule.steps}`,
    );
  }
  checkedCount(count, last - first + 1);
  if (count === 1) return [last];
  return withoutRepeats(spread(schedule, count, first, last, options), last);
}

/** Jump from time t to the cleaner time s; s = 0 is the data. */
export interface Transition {
  /** Time with less noise; 0 is the data. */
  s: number;
  /** Time with more noise. */
  t: number;
}

function endsAtFirst(end: TrajectoryOptions['end'] = 'data'): boolean {
  switch (end) {
    case 'data':
      return false;
    case 'first':
      return true;
    default:
      throw unknownName('end', end, ['data', 'first']);
  }
}

function requiredSteps({ steps }: TrajectoryOptions): number {
  if (steps === undefined) throw argument('steps is missing: give the number of network evaluations');
  requireKind('steps', steps, kinds.positiveInteger);
  return steps;
}

/** Lists the jumps between increasing times, from the last. */
function jumpsBetween(times: readonly number[]): Transition[] {
  return times
    .slice(1)
    .map((t, k) => ({ s: at(times, k), t }))
    .reverse();
}

/** Lists increasing n of explicit times, or of diffusers' spacings, without other ends; null for other spacings. */
function namedTimes(schedule: NoiseSchedule, options: TrajectoryOptions): number[] | null {
  const { timesteps, trajectory, tStart, tEnd } = options;
  if (timesteps !== undefined) return explicitTimes(timesteps, schedule.steps);
  if (!isSpacing(trajectory) || tStart !== undefined || tEnd !== undefined) return null;
  const count = checkedCount(requiredSteps(options), schedule.steps);
  return spacedTimes(trajectory, spacingOf(schedule, count, options))
    .map((time) => roundHalfEven(time) + 1)
    .reverse();
}

/** Makes the function that spreads a spacing over the times of a schedule. */
export function spacingOf(
  schedule: NoiseSchedule,
  count: number,
  { stepsOffset = 0 }: TrajectoryOptions,
): { count: number; trained: number; offset: number } {
  return { count, trained: schedule.steps, offset: stepsOffset };
}

/**
 * Lists the jumps of a sampler on a discrete schedule in the order they are made, one network evaluation each.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export function discreteTransitions(schedule: NoiseSchedule, options: TrajectoryOptions): Transition[] {
  requireSchedule(schedule);
  requireKind('the options of discreteTransitions', options, kinds.object);
  if (!schedule.discrete) throw argument('this sampler needs a discrete noise schedule');
  const toFirst = endsAtFirst(options.end);
  let times: number[];
  const named = namedTimes(schedule, options);
  if (named !== null) {
    times = named;
    if (toFirst && times[0] === 1) throw argument("end: 'first' needs timesteps above 0");
    if (toFirst) times.unshift(1);
  } else {
    const steps = requiredSteps(options);
    if (toFirst && (options.tEnd ?? 1) !== 1) throw argument("end: 'first' ends at n = 1; leave tEnd out");
    times = discreteTimes(schedule, steps + (toFirst ? 1 : 0), options);
  }
  return jumpsBetween(toFirst ? times : [0, ...times]);
}

/**
 * Lists the jumps of a sampler from noise to data, in the order they are made, one network evaluation each: those of
 * {@link discreteTransitions}, or on a continuous schedule those of a {@link continuousGrid} of as many times as
 * evaluations, and from its end to the data.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export function transitions(schedule: NoiseSchedule, options: TrajectoryOptions): Transition[] {
  if (options.timesteps === undefined) refuseUnusedSpacing(trajectoryOf(schedule, options.trajectory), options);
  if (schedule.discrete) return discreteTransitions(schedule, options);
  if (options.timesteps !== undefined) throw argument('timesteps are for discrete noise schedules');
  const steps = requiredSteps(options);
  checkedCount(steps, 1_000_000);
  const toFirst = endsAtFirst(options.end);
  const { start, end } = continuousInterval(schedule, options);
  const trajectory = trajectoryOf(schedule, options.trajectory);
  const jumps = toFirst ? steps : steps - 1;
  const times = jumps === 0 ? [start] : continuousGrid(schedule, jumps, trajectory, start, end, options.rho);
  return jumpsBetween(toFirst ? times.reverse() : [...times, 0].reverse());
}

/**
 * Spreads M + 1 decreasing times of a continuous grid from `start` to `end`, both exact: `uniform` in t, `quadratic` in
 * sqrt(t), `logsnr` in half log-SNR (Lu et al. 2022), `karras` in (sigma / alpha)^(1 / rho) (Karras et al. 2022),
 * `beta` in quantiles of the beta distribution (Lee et al. 2024).
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export function continuousGrid(
  schedule: NoiseSchedule,
  steps: number,
  trajectory: Trajectory,
  start: number,
  end: number,
  rho?: number,
): number[] {
  requireSchedule(schedule);
  checkedCount(steps, 1_000_000);
  if (rho !== undefined) requireKind('rho', rho, kinds.number);
  continuousInterval(schedule, { tStart: start, tEnd: end });
  const between = (from: number, to: number, i: number): number => from + (i / steps) * (to - from);
  const inLogSnr = logSnrPlace(trajectory, schedule.logSnr(start), schedule.logSnr(end), rho);
  const place = (i: number): number => {
    switch (trajectory) {
      case 'uniform':
        return between(start, end, i);
      case 'quadratic':
        return between(Math.sqrt(start), Math.sqrt(end), i) ** 2;
      case 'logsnr':
      case 'karras':
      case 'beta':
        return schedule.timeOfLogSnr(inLogSnr?.(i / steps) ?? NaN);
      case 'optimal':
      case 'leading':
      case 'trailing':
      case 'linspace':
        throw argument(`trajectory '${trajectory}' is for samplers on a discrete noise schedule`);
      default:
        throw unknownName('trajectory', trajectory, trajectoryNames);
    }
  };
  return Array.from({ length: steps + 1 }, (_, i) => {
    // The ends are exact, without rounding errors of the conversions.
    if (i === 0) return start;
    return i === steps ? end : place(i);
  });
}
