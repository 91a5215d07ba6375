import { throwIfAborted } from '../base/abort.js';
import { at, elementCount } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { kindsOf, type OptionFacts } from '../base/option-facts.js';
import { kinds, type OptionKinds } from '../base/option-kinds.js';
import type { GivenImages } from '../images/given-images.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { chooseImages, partOfChosen } from './chosen-images.js';
import type { NoisyModel } from './estimated-model.js';
import { NoisyBatch } from './noisy-batch.js';
import { estimateDefaults, estimateOptionFacts } from './options.js';

/** Options of an estimate from a data set at many times. */
export interface DataEstimateOptions {
  /** Number of images each entry is estimated from, drawn from the data without replacement. */
  samples: number;
  /** Default 0. */
  seed?: number | bigint | undefined;
  /** Times n to estimate; the entries between are interpolated linearly. Default: all of 1..N. */
  timesteps?: readonly number[] | undefined;
  /** Class labels, one per image, for a class-conditional network. */
  classLabels?: ArrayLike<number> | undefined;
  /** Maximum number of images evaluated at once. Default 16. */
  batch?: number | undefined;
  /** Signal that aborts between two evaluations. */
  signal?: AbortSignal | undefined;
  /** Function that receives the number of finished and of all evaluations. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Facts about each option of {@link DataEstimateOptions}. */
export const dataEstimateOptionFacts = {
  ...estimateOptionFacts,
  samples: { kind: kinds.number, help: 'images each entry is estimated from', value: 'M' },
  timesteps: {
    kind: kinds.numbers,
    help: 'times n to estimate; the entries between are interpolated linearly',
    otherwise: 'all',
    value: 'LIST',
  },
} as const satisfies OptionFacts<DataEstimateOptions>;

/** Kind of each option of {@link DataEstimateOptions}. */
export const dataEstimateOptionKinds: OptionKinds<DataEstimateOptions> =
  kindsOf<DataEstimateOptions>(dataEstimateOptionFacts);

function checkedTimes(timesteps: readonly number[] | undefined, steps: number): number[] {
  const times =
    timesteps === undefined
      ? Array.from({ length: steps }, (_, i) => i + 1)
      : [...new Set(timesteps)].sort((a, b) => a - b);
  if (times.length === 0 || times.some((n) => !Number.isInteger(n) || n < 1 || n > steps)) {
    throw new DpmError('ERR_DPM_ARGUMENT', `timesteps has to hold integers n from 1 to ${steps}`);
  }
  return times;
}

/** The table for all n from the values at some, linear between them and constant outside. */
function interpolate(times: readonly number[], values: readonly number[], steps: number): Float64Array {
  let left = 0;
  return Float64Array.from({ length: steps + 1 }, (_, n) => {
    if (n === 0) return 0;
    while (left + 1 < times.length && at(times, left + 1) <= n) ++left;
    const [from, value] = [at(times, left), at(values, left)];
    const to = times[left + 1];
    if (n <= from || to === undefined) return value;
    return value + ((n - from) / (to - from)) * (at(values, left + 1) - value);
  });
}

/**
 * The time of a schedule that entry n of a table belongs to: n itself, or t = n / N.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` on a schedule of noise alone, which has no such tables.
 */
export function timeOfEntry(schedule: NoiseSchedule, n: number): number {
  if (!schedule.preservesVariance) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `tables for n = 1..N are of variance preserving noise schedules, not '${schedule.name}'`,
    );
  }
  return schedule.discrete ? n : n / schedule.steps;
}

/** Sums over the images of a batch at a time of the schedule, one for each table. */
export type BatchSums = (batch: NoisyBatch, time: number) => Promise<readonly number[]>;

/**
 * Estimates tables for n = 0..N of means over images and dimensions, entry 0 unused: the same images and one draw of noise
 * per image for each n.
 *
 * @param tables - Number of sums that `sumsOf` returns.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_ABORTED` if aborted.
 */
export async function estimateTables(
  model: NoisyModel,
  images: GivenImages,
  options: DataEstimateOptions,
  tables: number,
  sumsOf: BatchSums,
): Promise<Float64Array[]> {
  const { samples, seed = estimateDefaults.seed, signal, batch: size = estimateDefaults.batch, onProgress } = options;
  const { steps } = model.schedule;
  if ((samples as number | undefined) === undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'samples is missing: give the number of images');
  }
  const chosen = chooseImages(model, images, options);
  const times = checkedTimes(options.timesteps, steps);
  throwIfAborted(signal);
  const sums = Array.from({ length: tables }, () => new Float64Array(times.length));
  const batches = Math.ceil(samples / size);
  for (let index = 0; index < batches; ++index) {
    const part = partOfChosen(chosen, index * size, size);
    const batch = await NoisyBatch.open(model, part, { firstSample: index * size, seed, signal });
    try {
      for (const [i, n] of times.entries()) {
        throwIfAborted(signal);
        const values = await sumsOf(batch, timeOfEntry(model.schedule, n));
        sums.forEach((sum, table) => (sum[i] = at(sum, i) + at(values, table)));
        onProgress?.(index * times.length + i + 1, batches * times.length);
      }
    } finally {
      batch.free();
    }
  }
  const divisor = samples * elementCount(model.sampleShape);
  return sums.map((sum) =>
    interpolate(
      times,
      Array.from(sum, (value) => value / divisor),
      steps,
    ),
  );
}
