import { abortable, untilAborted } from '../base/abort.js';
import { elementCount } from '../base/arrays.js';
import { DpmError, nativeWork } from '../base/errors.js';
import { listenerOf, rethrowing } from '../base/listener.js';
import { isCentred } from '../base/pixel-range.js';
import { native } from '../engine/addon.js';
import type { NativeGuide, NativeRunRequest, NativeRunResult } from '../engine/binding.js';
import { ImageBatch } from '../images/image-batch.js';
import type { HostProgram, StepProgram } from '../program/program.js';
import { requireFiniteStates } from './finite.js';
import { nativeGuides, runGuided } from './guided-run.js';
import { runHostBatches } from './host-run.js';
import type { ResolvedRun } from './resolve-run.js';
import { nativeRequest } from './run-request.js';

/** What a run gives. */
export interface RunResult {
  /** The final states. */
  images: ImageBatch;
  /** States after every `snapshotEvery`-th record. */
  snapshots: { record: number; images: ImageBatch }[];
}

/** Values of a run as images in the format that was asked for. */
export function imagesOf({ model, options }: ResolvedRun, values: Float32Array | Uint8Array): ImageBatch {
  const shape = [values.length / elementCount(model.sampleShape), ...model.sampleShape] as const;
  const images = new ImageBatch(values, shape, model.range);
  // Devices convert to levels of the common range only.
  const isLate = options.format === 'uint8' && values instanceof Float32Array;
  return isLate ? new ImageBatch(images.toUint8(), shape, model.range) : images;
}

/** What a run ends with. @throws {@link DpmError} `ERR_DPM_NOT_FINITE`. */
function finalImages(run: ResolvedRun, states: Float32Array | Uint8Array): ImageBatch {
  requireFiniteStates(states, elementCount(run.model.sampleShape));
  return imagesOf(run, states);
}

/** Who runs the programs of a request, and how they are packed. */
export interface StepRunner<R extends NativeRunResult = NativeRunResult> {
  run(request: NativeRunRequest): Promise<R>;
  readonly pack?: ((program: StepProgram) => Uint8Array) | undefined;
}

/** Runs step programs; returns what the runner gives beside the images. */
export async function runSteps<R extends NativeRunResult>(
  programs: readonly StepProgram[],
  run: ResolvedRun,
  runner: StepRunner<R>,
  guides: readonly NativeGuide[] | null = null,
): Promise<{ result: RunResult; native: R }> {
  const { CancelToken } = native();
  const { options, model } = run;
  const { signal, onPreview, previewEvery = 1 } = options;
  const cancel = new CancelToken();
  const onProgress = listenerOf(options.onProgress);
  const preview = listenerOf(onPreview);
  const request = nativeRequest(
    programs,
    {
      ...run,
      pack: runner.pack,
      snapshotEvery: options.snapshotEvery,
      levels: options.format === 'uint8' && isCentred(model.range),
      onProgress: onProgress?.call,
      previewEvery,
      onPreview:
        preview &&
        ((record, first, values) => {
          preview.call(imagesOf(run, values), { record, first: run.place + first });
        }),
    },
    elementCount(model.sampleShape),
  );
  const result = await abortable(
    signal,
    () => {
      cancel.cancel();
    },
    // A run that nobody can abort need not look up between two records.
    () =>
      rethrowing([onProgress, preview], () =>
        nativeWork(() => runner.run({ ...request, guides, cancel: signal === undefined ? null : cancel })),
      ),
  );
  const images = finalImages(run, result.images);
  const snapshots = result.snapshots.map(({ record, images: states }) => ({ record, images: imagesOf(run, states) }));
  return { result: { images, snapshots }, native: result };
}

async function runHost(program: HostProgram, run: ResolvedRun): Promise<RunResult> {
  const { signal, onProgress, onPreview, previewEvery = 1 } = run.options;
  const data = await untilAborted(signal, () =>
    runHostBatches(program, {
      ...run,
      shape: run.model.sampleShape,
      signal,
      onProgress,
      previewEvery,
      onPreview:
        onPreview &&
        ((record, first, values) => {
          onPreview(imagesOf(run, values), { record, first: run.place + first });
        }),
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
  const guided = await nativeGuides(run);
  if (guided !== null) return (await runSteps([guided.program], run, run.unet.native, guided.guides)).result;
  if (guides.length > 0 || constrain !== undefined) {
    return { images: finalImages(run, await runGuided(run)), snapshots: [] };
  }
  if (run.work.kind === 'host') return runHost(run.work.program, run);
  return (await runSteps(run.work.programs, run, run.unet.native)).result;
}
