import { abortable } from '../base/abort.js';
import { listenerOf, rethrowing } from '../base/listener.js';
import { native } from '../engine/addon.js';
import type { NativeGuide, NativeRunRequest, NativeRunResult } from '../engine/binding.js';
import type { StepProgram } from '../program/program.js';
import { nativeRequest, type StepRunOptions } from './request.js';

/** Who runs the programs of a request: a network, a batch, a function; and how they are packed. Its errors reach the caller as they are. */
export interface StepRunner<R extends NativeRunResult = NativeRunResult> {
  run(request: NativeRunRequest): Promise<R>;
  readonly pack?: ((program: StepProgram) => Uint8Array) | undefined;
}

/** What {@link runSteps} takes beside the programs. */
export interface StepRun extends Omit<StepRunOptions, 'onPreview' | 'pack'> {
  /** Of one sample. */
  elements: number;
  signal: AbortSignal | undefined;
  guides?: readonly NativeGuide[] | undefined;
  /** Whose listeners the functions of the run are: what they throw ends it. */
  onPreview?: ((record: number, first: number, values: Float32Array | Uint8Array) => void) | undefined;
}

/** Runs step programs: the one way to the native loop. */
export async function runSteps<R extends NativeRunResult>(
  programs: readonly StepProgram[],
  { elements, signal, guides, ...options }: StepRun,
  runner: StepRunner<R>,
): Promise<R> {
  const { CancelToken } = native();
  const cancel = new CancelToken();
  const onProgress = listenerOf(options.onProgress);
  const preview = listenerOf(options.onPreview);
  const request = nativeRequest(
    programs,
    { ...options, pack: runner.pack, onProgress: onProgress?.call, onPreview: preview?.call ?? null },
    elements,
  );
  return abortable(
    signal,
    () => {
      cancel.cancel();
    },
    // A run that nobody can abort need not look up between two records.
    () =>
      rethrowing([onProgress, preview], () =>
        runner.run({ ...request, guides: guides ?? null, cancel: signal === undefined ? null : cancel }),
      ),
  );
}
