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
  type RunModel,
} from './resolve.js';
import type { RunOptions } from './options.js';

/** One sample of a stream. */
export interface StreamedImage {
  /** Its index among all samples. */
  sample: number;
  /** The image, [1, C, H, W]. */
  image: ImageBatch;
}

/** What the samples from `first` on take of a run's options; the caller's arrays have been copied. */
type Part = (first: number, count: number) => { programs: readonly Program[]; options: RunOptions };

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

/** A report that takes what a run of `count` samples counts, which it counts over all of them. */
function ofSamples(count: number, report: (done: number, total: number) => void): RunOptions['onProgress'] {
  return (done, total) => {
    report(done / count, total / count);
  };
}

/** Splits a run into such of consecutive samples. */
function partsOf(model: RunModel, programs: readonly Program[], count: number, options: RunOptions): Part {
  const elements = elementCount(model.sampleShape);
  requireInit(options, count, model.sampleShape);
  const init = options.init && Float32Array.from(options.init);
  const noise = options.noise === undefined ? undefined : flattenNoise(options.noise, count * elements);
  const labels = partOf(copyOf(options.classLabels), 'classLabels', count);
  const guidance = partOf(copyOf(options.guidance), 'guidance', count);
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
        // Samples without guidance among others with it have no use for the label.
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

/** Runs of consecutive samples, the next one begun before what the last one gave is looked at; `left` is aborted at the end. */
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
        // Its failure is told when it is asked for.
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
 * The samples of a run as they are done, a batch after the other: however many there are, only two batches of them take memory.
 *
 * @throws {@link DpmError} As a run does, what is wrong with the options at the call.
 */
export function streamOnNetwork(
  model: RunModel,
  program: Program | readonly Program[],
  options: RunOptions,
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
