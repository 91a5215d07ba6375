import { at } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { either, kinds, objectOf, requireKind } from '../base/option-kinds.js';
import { ConfigReader, isJsonObject } from '../files/config-reader.js';
import { readJson, writeAtomically } from '../files/files.js';
import { checkEntries } from './entries.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';

/** Second moments of a network's noise prediction, for the analytic variances. */
export interface GammaTable {
  /** Name of the noise schedule. */
  schedule: string;
  /** Number of times N. */
  numTrainTimesteps: number;
  /** Number of images each entry was estimated from. */
  imagesPerStep: number;
  /** Moment m_n = E||eps(x_n, n)||^2 / d for n = 0..N; m_0 is unused. */
  m: Float64Array;
  /**
   * Second moment E||x_0||^2 / d of data that no interval holds, as latents: it limits the variance of x_0 instead, and no
   * noise is limited by grey levels. Default: the data lie in the schedule's interval.
   */
  secondMoment?: number | undefined;
}

/**
 * Makes a gamma table from parsed JSON.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming `source` and the field.
 */
export function parseGammaTable(json: unknown, source: string): GammaTable {
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${source}: a gamma table is a JSON object`);
  const config = new ConfigReader(json, source);
  const numTrainTimesteps = config.integer('num_train_timesteps', undefined, { least: 2, most: 1_000_000 });
  const m = config.numbersOrNull('m');
  if (m === null) throw config.error('m', 'an array of numbers');
  checkEntries(`${source}: m`, m, numTrainTimesteps, 'ERR_DPM_CONFIG');
  const secondMoment = config.numberOrNull('second_moment');
  if (secondMoment !== null && secondMoment <= 0) throw config.error('second_moment', 'a number above 0');
  return {
    schedule: config.string('schedule'),
    numTrainTimesteps,
    imagesPerStep: config.integer('images_per_step', undefined, { least: 1, most: Number.MAX_SAFE_INTEGER }),
    m: Float64Array.from(m),
    ...(secondMoment !== null && { secondMoment }),
  };
}

/** Reads `gamma.json`. */
export async function readGammaTable(path: string): Promise<GammaTable> {
  requireKind('the path', path, kinds.string);
  return parseGammaTable(await readJson(path), path);
}

/** Writes `gamma.json`; a failure leaves an earlier file unchanged. */
export async function writeGammaTable(path: string, table: GammaTable): Promise<void> {
  requireKind('the path', path, kinds.string);
  requireKind('the gamma table', table, kinds.object);
  requireKind('schedule', table.schedule, kinds.string);
  requireKind('numTrainTimesteps', table.numTrainTimesteps, kinds.positiveInteger);
  requireKind('imagesPerStep', table.imagesPerStep, kinds.positiveInteger);
  checkEntries('gamma', table.m, table.numTrainTimesteps, 'ERR_DPM_ARGUMENT');
  requireSecondMoment(table);
  const json = {
    schedule: table.schedule,
    num_train_timesteps: table.numTrainTimesteps,
    images_per_step: table.imagesPerStep,
    m: Array.from(table.m),
    second_moment: table.secondMoment,
  };
  await writeAtomically(path, [JSON.stringify(json) + '\n']);
}

/** Kind of the option `gamma`. @internal */
export const tableKind = either(objectOf('a table { schedule, m, ... }'), kinds.numbers);

function isTable(gamma: GammaTable | ArrayLike<number>): gamma is GammaTable {
  return 'm' in gamma;
}

function requireSecondMoment({ secondMoment }: GammaTable): void {
  if (secondMoment === undefined || (kinds.finite.holds(secondMoment) && secondMoment > 0)) return;
  throw wrongValue('secondMoment of gamma', secondMoment, 'a number above 0');
}

/** Checks the table m_0 … m_N of the option `gamma`. */
export function checkedMoments(gamma: GammaTable | ArrayLike<number>, steps: number): ArrayLike<number> {
  requireKind('gamma', gamma, tableKind);
  const m = isTable(gamma) ? gamma.m : gamma;
  checkEntries('gamma', m, steps, 'ERR_DPM_ARGUMENT');
  if (isTable(gamma)) requireSecondMoment(gamma);
  return m;
}

/**
 * Refuses a table that was estimated on another noise schedule, by name. The VP-SDE and its discretisation have the same A at
 * t = n / N.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming both.
 */
export function requireSameSchedule(table: string, estimatedOn: string, { name }: NoiseSchedule): void {
  requireKind(`the schedule of ${table}`, estimatedOn, kinds.string);
  const continuous = (each: string): string => (each === 'vpsde' ? 'vp' : each);
  if (continuous(estimatedOn) === continuous(name)) return;
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `${table} was estimated on the noise schedule '${estimatedOn}', this one is '${name}'`,
  );
}

/**
 * Checks the table of a schedule.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if it has another length or was estimated on another noise schedule.
 */
export function momentsOf(gamma: GammaTable | ArrayLike<number>, schedule: NoiseSchedule): ArrayLike<number> {
  const moments = checkedMoments(gamma, schedule.steps);
  if (isTable(gamma)) requireSameSchedule('gamma', gamma.schedule, schedule);
  return moments;
}

/**
 * Makes the option `gamma` of a sampler a function of the schedule's time: m = B Gamma, Gamma linear in t between the
 * entries of the table on a continuous schedule.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if the table is missing or does not fit the schedule.
 */
export function gammaLookup(
  sampler: string,
  gamma: GammaTable | ArrayLike<number> | undefined,
  schedule: NoiseSchedule,
): (time: number) => number {
  if (gamma === undefined) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `sampler ${sampler} needs the option gamma, the table m_n (estimateGamma or dpm gamma makes one)`,
    );
  }
  const { steps } = schedule;
  const m = momentsOf(gamma, schedule);
  if (schedule.discrete) return (n) => at(m, n);
  if (!schedule.preservesVariance) {
    throw new DpmError('ERR_DPM_ARGUMENT', `sampler ${sampler} needs a variance preserving noise schedule`);
  }
  const gammaAt = (n: number): number => at(m, n) / schedule.betaBar(n / steps);
  return (time) => {
    const left = Math.min(Math.max(Math.floor(time * steps), 1), steps - 1);
    const fraction = Math.max(time * steps - left, 0);
    return schedule.betaBar(time) * (gammaAt(left) + fraction * (gammaAt(left + 1) - gammaAt(left)));
  };
}

/**
 * Gives the width of an interval whose data have no larger variance than those of a table that knows their second moment;
 * undefined: the data lie in the schedule's interval. (E Cov[x_0 | x_t] <= Cov x_0.)
 */
export function widthOfData(gamma: GammaTable | ArrayLike<number> | undefined): number | undefined {
  if (gamma === undefined || !isTable(gamma) || gamma.secondMoment === undefined) return undefined;
  return 2 * Math.sqrt(gamma.secondMoment);
}
