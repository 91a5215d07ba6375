import { eitherSignal } from '../base/abort.js';
import { elementCount } from '../base/arrays.js';
import { endingAtReturn } from '../base/ending-at-return.js';
import { DpmError } from '../base/errors.js';
import type { ImageBatch } from '../images/image-batch.js';
import type { Program } from '../program/program.js';
import { runOnNetwork } from './network-run.js';
import { flattenNoise } from './noise-source.js';
import { overallProgress } from './overall-progress.js';
import {
  batchOf,
  copyOf,
  programsAndCount,
  requireInit,
  requireStreams,
  resolveRun,
  type ResolvableOptions,
  type RunModel,
} from './resolve.js';
import type { RunOptions } from './options.js';

/** One sample of a stream. */
export interface StreamedImage {
  /** Index among all samples. */
  sample: number;
  /** Image, [1, C, H, W]. */
  image: ImageBatch;
}

/** Programs and options for a part of a run's samples, from `first` on; the caller's arrays have been copied. */
type Part = (first: number, count: number) => { programs: readonly Program[]; options: ResolvableOptions };

function partOf<T>(
  values: readonly T[] | T | undefined,
  name: string,
  count: number,
): (first: number, end: number) => T | T[] | undefined {
  if (!Array.isArray(values)) return () => values as T | undefined;
  if (values.length !== count) {
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} has ${values.length} entries for ${count} samples`);
  }
  return (first, end) => values.slice(first, end) as T[];
}

/** Makes a report over all samples from the reports of a run of `count` samples. */
function ofSamples(count: number, report: (done: number, total: number) => void): RunOptions['onProgress'] {
  return (done, total) => {
    report(done / count, total / count);
  };
}

/** Splits a run into runs of consecutive samples. */
function partsOf(model: RunModel, programs: readonly Program[], count: number, options: ResolvableOptions): Part {
  const elements = elementCount(model.sampleShape);
  requireInit(options, count, model.sampleShape);
  const init = options.init && Float32Array.from(options.init);
  const noise = options.noise === undefined ? undefined : flattenNoise(options.noise, count * elements);
  const labels = partOf(copyOf(options.classLabels), 'classLabels', count);
  const guidance = partOf(copyOf(options.guidance), 'guidance', count);
  const seeds = partOf(options.seeds?.slice(), 'seeds', count);
  const progress = options.onProgress && overallProgress(count, options.onProgress);
  return (first, size) => {
    const end = first + size;
    const weights = guidance(first, end);
    const slices = noise && noise.length / (count * elements);
    return {
      programs: programs.length === 1 ? programs : programs.slice(first, end),
      options: {
        ...options,
        count: size,
        batch: size,
        classLabels: labels(first, end),
        guidance: weights,
        seeds: seeds(first, end) as (number | bigint)[] | undefined,
        // Samples without guidance, among others with it, have no use for the label.
        ...(Array.isArray(weights) && weights.every((weight) => weight === 1) && { unconditionalLabel: undefined }),
        init: init?.subarray(first * elements, end * elements),
        noise:
          noise &&
          Array.from({ length: slices ?? 0 }, (_, slice) =>
            noise.subarray((slice * count + first) * elements, (slice * count + end) * elements),
          ),
        onProgress: progress && ofSamples(size, progress(first, size)),
      },
    };
  };
}

/** Runs consecutive samples, the next before the last result is read; `left` is aborted at the end. */
async function* runsOf(
  model: RunModel,
  part: Part,
  {
    count,
    batch,
    signal,
    left,
  }: { count: number; batch: number; signal: AbortSignal | undefined; left: AbortController },
): AsyncGenerator<StreamedImage, void, void> {
  const either = eitherSignal(left.signal, signal);
  const begin = async (first: number): Promise<ImageBatch> => {
    const { programs, options } = part(first, Math.min(batch, count - first));
    return (await runOnNetwork(await resolveRun(model, programs, { ...options, signal: either }, first))).images;
  };
  let next = begin(0);
  try {
    for (let first = 0; first < count; first += batch) {
      const images = await next;
      if (first + batch < count) {
        next = begin(first + batch);
        // A failure is reported when the result is awaited.
        next.catch(() => undefined);
      }
      for (const [index, image] of [...images].entries()) yield { sample: first + index, image };
    }
  } finally {
    left.abort();
    await next.catch(() => undefined);
  }
}

/**
 * Yields the samples of a run as they are done, batch after batch: whatever their number, only two batches take memory.
 *
 * @throws {@link DpmError} The errors of a run; those of wrong options at the call.
 */
export function streamOnNetwork(
  model: RunModel,
  program: Program | readonly Program[],
  options: ResolvableOptions,
): AsyncGenerator<StreamedImage, void, void> {
  const { programs, count } = programsAndCount(program, options.count);
  requireStreams(options, count);
  if ((options.snapshotEvery ?? 0) !== 0) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      'snapshotEvery is for runs that end with a result; a stream takes onPreview',
    );
  }
  const left = new AbortController();
  const { signal } = options;
  const parts = partsOf(model, programs, count, options);
  return endingAtReturn(runsOf(model, parts, { count, batch: batchOf(options, count), signal, left }), () => {
    left.abort();
  });
}
