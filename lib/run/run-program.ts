import { throwIfAborted } from '../base/abort.js';
import { at, elementCount } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { requireMemory } from '../base/memory-budget.js';
import { checkOptions, kinds, requireKind, type OptionKinds } from '../base/option-kinds.js';
import { MOST_AT_ONCE } from '../engine/binding.js';
import { Device, deviceKind } from '../engine/device.js';
import type { Program, StepProgram } from '../program/program.js';
import type { StepRecord } from '../program/record.js';
import { ScriptEvaluator, type Correction, type ScriptModel } from './evaluator.js';
import { requireFinite, requireFiniteStates } from './finite.js';
import { runHostProgram } from './host-run.js';
import { flattenNoise, NoiseSource, type NoiseOption } from './noise-source.js';
import { requireProgram } from './require-program.js';
import { runDefaults, runOptionKinds } from './options.js';
import { ScriptNetwork } from './script-network.js';
import { runSteps } from './step-run.js';

/** Options of {@link runProgram}. */
export interface RunProgramOptions {
  /** Shape of the state, the batch first, e.g. [4, 3, 32, 32]. */
  shape: readonly number[];
  /** Model that predicts from the state; see {@link ScriptModel}. */
  model: ScriptModel;
  /** Initial state. Default: noise of the program's initial scale. */
  init?: Float32Array | undefined;
  /** Seed of the random stream. Default 0. */
  seed?: number | bigint | undefined;
  /** Explicit noise instead of the random stream. */
  noise?: NoiseOption | undefined;
  /** Function that corrects each prediction before it is used. */
  correct?: Correction | undefined;
  /** Signal that aborts the run before its next evaluation. */
  signal?: AbortSignal | undefined;
  /** Function that receives the number of finished records and of all records. */
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** Open device that runs the updates. Default: the cpu, opened for this call. */
  device?: Device | undefined;
}

const { init, seed, noise, signal, onProgress } = runOptionKinds;

const runProgramOptionKinds: OptionKinds<RunProgramOptions> = {
  shape: kinds.sizes,
  model: kinds.function,
  init,
  seed,
  noise,
  correct: kinds.function,
  signal,
  onProgress,
  device: deviceKind,
};

function readsHead(record: StepRecord): boolean {
  return (record.variance.kind === 'linear' || record.variance.kind === 'log') && record.variance.head !== 0;
}

function checkShape({ shape, init }: RunProgramOptions): void {
  if (shape.length < 2 || shape.some((size) => !Number.isSafeInteger(size) || size < 1)) {
    throw wrongValue('shape', shape, 'an array of positive sizes, the batch first');
  }
  requireMemory(`shape is [${shape.join(', ')}]`, elementCount(shape), Float32Array.BYTES_PER_ELEMENT);
  if (at(shape, 0) > MOST_AT_ONCE) {
    throw wrongValue('the batch of shape', shape[0], `at most ${MOST_AT_ONCE}: all samples are in flight together`);
  }
  if (init !== undefined) requireFinite('init', init);
  if (init !== undefined && init.length !== elementCount(shape)) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `init has ${init.length} elements, shape [${shape.join(', ')}] has ${elementCount(shape)}`,
    );
  }
}

/** Runs the native loop with predictions from JavaScript. */
async function runStepProgram(
  program: StepProgram,
  device: Device,
  evaluator: ScriptEvaluator,
  options: RunProgramOptions,
): Promise<Float32Array> {
  const { shape, init, noise, signal, onProgress, seed = runDefaults.seed } = options;
  const [count, elements] = [at(shape, 0), elementCount(shape.slice(1))];
  const head = program.records.some(readsHead);
  const network = new ScriptNetwork(device, { elements, classes: 0, head }, async (x, times) => {
    const predicted = await evaluator.predict(x, times, head);
    return predicted.head === null ? predicted.out : { out: predicted.out, head: predicted.head };
  });
  const { images } = await runSteps(
    [program],
    {
      count,
      firstSample: 0,
      seed,
      seeds: null,
      labels: null,
      guidance: null,
      // The batch is opened first; the caller's arrays may change meanwhile.
      init: init === undefined ? null : Float32Array.from(init),
      noise: noise === undefined ? null : flattenNoise(noise, count * elements),
      batch: count,
      elements,
      signal,
      // All samples are at the same record.
      onProgress:
        onProgress &&
        ((done, total) => {
          onProgress(done / count, total / count);
        }),
    },
    { run: (request) => network.run(request, signal) },
  );
  return images as Float32Array;
}

async function runOnDevice(program: Program, device: Device, options: RunProgramOptions): Promise<Float32Array> {
  const { shape, init, signal, onProgress, seed = runDefaults.seed } = options;
  const evaluator = new ScriptEvaluator(options.model, { device, correct: options.correct, signal });
  if (program.kind === 'step') return runStepProgram(program, device, evaluator, options);
  const total = elementCount(shape);
  const batch = at(shape, 0);
  const flat = options.noise === undefined ? null : flattenNoise(options.noise, total);
  const source = flat === null ? null : new NoiseSource(flat, batch, total / batch);
  const noise = source && { next: () => source.next(0, batch) };
  const x = device.tensor(shape);
  try {
    await runHostProgram(program, x, {
      owner: device,
      evaluator,
      init: init ?? null,
      seed,
      firstSample: 0,
      noise,
      signal,
      onProgress,
    });
    return await x.read();
  } finally {
    x.free();
  }
}

/**
 * Runs a program with a model written in JavaScript; the update of every step runs natively.
 *
 * @returns The final states, of the given shape.
 * @throws {@link DpmError} `ERR_DPM_ABORTED` if aborted (the signal's reason is the `cause`), `ERR_DPM_TENSOR_SHAPE` if
 * an array does not fit the shape, `ERR_DPM_NOT_FINITE` if final states are not finite, `ERR_DPM_ARGUMENT` if the model
 * returns anything but arrays of numbers. Errors of `model`, `correct` and `onProgress` pass unchanged.
 *
 * @example
 * ```ts
 * const program = samplers.ddim(NoiseSchedule.linear(), { steps: 10 });
 * const states = await runProgram(program, { shape: [4, 3, 32, 32], model: (x, t) => predictNoise(x, t) });
 * ```
 */
export async function runProgram(program: Program, options: RunProgramOptions): Promise<Float32Array> {
  checkOptions('runProgram', options, runProgramOptionKinds);
  requireProgram(program);
  if ((options.model as unknown) === undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'model is missing: give the function that predicts from states');
  }
  requireKind('shape', options.shape, kinds.sizes);
  checkShape(options);
  throwIfAborted(options.signal);
  // The caller's arrays may change meanwhile.
  const own = { ...options, shape: [...options.shape] };
  const device = own.device ?? Device.open({ device: 'cpu' });
  try {
    const states = await runOnDevice(program, device, own);
    requireFiniteStates(states, elementCount(own.shape.slice(1)));
    return states;
  } finally {
    if (own.device === undefined) await device.close();
  }
}
