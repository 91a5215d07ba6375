import { untilAborted } from '../base/abort.js';
import { at, elementCount } from '../base/arrays.js';
import { INITIAL_RECORD } from '../base/random.js';
import type { DeviceTensor } from '../engine/device.js';
import { fillWithNoise, sampleStreams } from '../engine/normals.js';
import type { HostProgram } from '../program/program.js';
import { DeviceHostContext, type HostRun } from './device-context.js';
import { NetworkEvaluator } from './network-evaluator.js';
import { NoiseSource } from './noise-source.js';
import { overallProgress } from './overall-progress.js';
import type { RunInputs, RunNetwork } from './resolve.js';

/** Fills `x` with the initial state: a copy of `init`, or noise of the program's initial scale. */
async function initialise(
  x: DeviceTensor,
  options: { init: Float32Array | null; scale: number; seed: number | bigint; firstSample: number },
): Promise<void> {
  if (options.init !== null) {
    await x.write(options.init);
    return;
  }
  const { seed, firstSample, scale } = options;
  const streams = sampleStreams(at(x.shape, 0), { seed, firstSample, record: INITIAL_RECORD, draw: 0 });
  await fillWithNoise(x, streams, scale);
}

/** Runs one batch of a host program; `x` holds the initial state before, the result after. */
export async function runHostProgram(
  program: HostProgram,
  x: DeviceTensor,
  options: Omit<HostRun, 'x'> & { init: Float32Array | null; owner: Pick<RunNetwork, 'whileOpen'> },
): Promise<void> {
  await initialise(x, { ...options, scale: program.initialScale });
  const context = new DeviceHostContext({ ...options, x });
  try {
    // A program that waits for anything but the context does not notice the signal or the closing of its device.
    await untilAborted(options.signal, () => options.owner.whileOpen(() => program.run(context)));
  } finally {
    context.release();
  }
}

/** A run of a host program on a network, resolved. */
export interface HostRunInputs extends RunInputs {
  network: RunNetwork;
  /** Shape [C, H, W] of one sample. */
  shape: readonly number[];
  signal: AbortSignal | undefined;
  onProgress: ((done: number, total: number) => void) | undefined;
  /** Number of evaluations between two previews. */
  previewEvery: number;
  onPreview: ((evaluation: number, first: number, states: Float32Array) => void) | undefined;
}

/** Makes an evaluator of the network for the samples from `first` on. */
function evaluatorOf({ network, labels, guidance }: HostRunInputs, first: number, batch: number): NetworkEvaluator {
  return new NetworkEvaluator(
    network,
    labels?.subarray(first, first + batch) ?? null,
    guidance && {
      weights: guidance.weights.subarray(first, first + batch),
      unconditionalLabel: guidance.unconditionalLabel,
    },
  );
}

/** Runs a host program for all samples, batch after batch; returns their final states, [count, C, H, W]. */
export async function runHostBatches(program: HostProgram, inputs: HostRunInputs): Promise<Float32Array> {
  const { network, shape, count, init, seed, signal, onProgress, onPreview, firstSample } = inputs;
  const elements = elementCount(shape);
  const data = new Float32Array(count * elements);
  const noise = inputs.noise === null ? null : new NoiseSource(inputs.noise, count, elements);
  const progress = onProgress === undefined ? null : overallProgress(count, onProgress);
  for (let first = 0; first < count; first += inputs.batch) {
    const batch = Math.min(inputs.batch, count - first);
    const part = (values: Float32Array): Float32Array => values.subarray(first * elements, (first + batch) * elements);
    const x = network.device.tensor([batch, ...shape]);
    noise?.restart();
    try {
      await runHostProgram(program, x, {
        owner: network,
        evaluator: evaluatorOf(inputs, first, batch),
        init: init && part(init),
        seed,
        firstSample: firstSample + first,
        noise: noise && { next: () => noise.next(first, batch) },
        signal,
        onProgress: progress?.(first, batch),
        previewEvery: inputs.previewEvery,
        onPreview:
          onPreview &&
          ((evaluation, states) => {
            onPreview(evaluation, first, states);
          }),
      });
      await x.read(part(data));
    } finally {
      x.free();
    }
  }
  return data;
}
