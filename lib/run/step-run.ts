import { listenerOf, rethrowing } from '../base/listener.js';
import { cancellable } from '../engine/cancellable.js';
import type { NativeGuide, NativeRunRequest, NativeRunResult } from '../engine/binding.js';
import type { StepProgram } from '../program/program.js';
import { nativeRequest, type StepRunOptions } from './request.js';

/** Runner (network, batch or function) and packer of a request's programs; its errors reach the caller unchanged. */
export interface StepRunner<R extends NativeRunResult = NativeRunResult> {
  run(request: NativeRunRequest): Promise<R>;
  readonly pack?: ((program: StepProgram) => Uint8Array) | undefined;
}

/** Options of {@link runSteps} beside the programs. */
export interface StepRun extends Omit<StepRunOptions, 'onPreview' | 'pack'> {
  /** Number of elements of one sample. */
  elements: number;
  signal: AbortSignal | undefined;
  guides?: readonly NativeGuide[] | undefined;
  /** Function that receives intermediate states; an error that it throws ends the run. */
  onPreview?: ((record: number, first: number, values: Float32Array | Uint8Array) => void) | undefined;
}

/** Runs step programs in the native loop; all step programs take this way. */
export async function runSteps<R extends NativeRunResult>(
  programs: readonly StepProgram[],
  { elements, signal, guides, ...options }: StepRun,
  runner: StepRunner<R>,
): Promise<R> {
  const onProgress = listenerOf(options.onProgress);
  const preview = listenerOf(options.onPreview);
  const request = nativeRequest(
    programs,
    { ...options, pack: runner.pack, onProgress: onProgress?.call, onPreview: preview?.call ?? null },
    elements,
  );
  return cancellable(signal, (cancel) =>
    rethrowing([onProgress, preview], () =>
      // A run that cannot be aborted need not check for it between two records.
      runner.run({ ...request, guides: guides ?? null, cancel: signal === undefined ? null : cancel }),
    ),
  );
}
