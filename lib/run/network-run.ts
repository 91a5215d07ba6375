import { untilAborted } from '../base/abort.js';
import { elementCount } from '../base/arrays.js';
import { DpmError, nativeWork } from '../base/errors.js';
import { isCentred } from '../base/pixel-range.js';
import type { NativeGuide, NativeRunResult } from '../engine/binding.js';
import { ImageBatch } from '../images/image-batch.js';
import type { HostProgram, StepProgram } from '../program/program.js';
import { requireFiniteStates } from './finite.js';
import { guidedByFunctions, nativeGuides } from './guided-run.js';
import { runHostBatches } from './host-run.js';
import type { ResolvedRun } from './resolve.js';
import { runSteps, type StepRunner } from './step-run.js';
import { runDefaults } from './options.js';

/** Result of a run. */
export interface RunResult {
  /** The final states. */
  images: ImageBatch;
  /** States after every `snapshotEvery`-th record. */
  snapshots: { record: number; images: ImageBatch }[];
}

/** Converts values of a run to images in the requested format. */
export function imagesOf({ model, options }: ResolvedRun, values: Float32Array | Uint8Array): ImageBatch {
  const shape = [values.length / elementCount(model.sampleShape), ...model.sampleShape] as const;
  const images = new ImageBatch(values, shape, model.range);
  // Devices convert only values of the common range to levels.
  const isLate = options.format === 'uint8' && values instanceof Float32Array;
  return isLate ? new ImageBatch(images.toUint8(), shape, model.range) : images;
}

/** Makes the final images of a run. @throws {@link DpmError} `ERR_DPM_NOT_FINITE`. */
function finalImages(run: ResolvedRun, states: Float32Array | Uint8Array): ImageBatch {
  requireFiniteStates(states, elementCount(run.model.sampleShape));
  return imagesOf(run, states);
}

/** Makes the function that shows intermediate states to the caller. */
function previewOf(
  run: ResolvedRun,
): ((record: number, first: number, values: Float32Array | Uint8Array) => void) | undefined {
  const { onPreview } = run.options;
  return (
    onPreview &&
    ((record, first, values) => {
      onPreview(imagesOf(run, values), { record, first: run.place + first });
    })
  );
}

/**
 * Runs step programs of a model; returns the other results of the runner beside the images.
 *
 * @param guides - Guides of the native loop; `areFunctions`: functions of the caller guide or constrain the samples.
 */
export async function runPrograms<R extends NativeRunResult>(
  programs: readonly StepProgram[],
  run: ResolvedRun,
  runner: StepRunner<R>,
  { guides, areFunctions = false }: { guides?: readonly NativeGuide[]; areFunctions?: boolean } = {},
): Promise<{ result: RunResult; native: R }> {
  const { options, model } = run;
  // Levels hide values that are not finite, which a caller's function may return.
  const levels = options.format === 'uint8' && isCentred(model.range) && !areFunctions;
  const { signal, snapshotEvery, onProgress, previewEvery = runDefaults.previewEvery } = options;
  const result = await runSteps(
    programs,
    {
      ...run,
      elements: elementCount(model.sampleShape),
      signal,
      guides,
      snapshotEvery,
      levels,
      onProgress,
      previewEvery,
      onPreview: previewOf(run),
    },
    runner,
  );
  const images = finalImages(run, result.images);
  const snapshots = result.snapshots.map(({ record, images: states }) => ({ record, images: imagesOf(run, states) }));
  return { result: { images, snapshots }, native: result };
}

async function runHost(program: HostProgram, run: ResolvedRun): Promise<RunResult> {
  const { signal, onProgress, previewEvery = runDefaults.previewEvery } = run.options;
  const data = await untilAborted(signal, () =>
    runHostBatches(program, {
      ...run,
      shape: run.model.sampleShape,
      signal,
      onProgress,
      previewEvery,
      onPreview: previewOf(run),
    }),
  );
  return { images: finalImages(run, data), snapshots: [] };
}

/** Runs programs on a network. */
export async function runOnNetwork(run: ResolvedRun): Promise<RunResult> {
  const { guides = [], guideForm, constrain } = run.options;
  if (guides.length === 0 && guideForm !== undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'guideForm is for guides, which are missing');
  }
  const network: StepRunner = { run: (request) => nativeWork(() => run.network.native.run(request)) };
  const guided = await nativeGuides(run);
  if (guided !== null) return (await runPrograms([guided.program], run, network, { guides: guided.guides })).result;
  if (guides.length > 0 || constrain !== undefined) {
    const { program, runner } = guidedByFunctions(run);
    return (await runPrograms([program], run, runner, { areFunctions: true })).result;
  }
  if (run.work.kind === 'host') return runHost(run.work.program, run);
  return (await runPrograms(run.work.programs, run, network)).result;
}
