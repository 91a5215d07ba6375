import { optionNames, refuseUnknownOptions } from '../base/checks.js';
import { abortable, throwIfAborted } from '../base/abort.js';
import { at, elementCount } from '../base/arrays.js';
import { Device } from '../engine/device.js';
import { DpmError } from '../base/errors.js';
import { ScriptEvaluator, type Correction, type Evaluator, type ScriptModel } from './evaluator.js';
import { DeviceHostContext } from './device-context.js';
import { flattenNoise, NoiseSource, requireSlices, type NoiseOption } from './noise-source.js';
import { INITIAL_RECORD, seedWords } from '../base/random.js';
import { linear, stepRecord } from '../program/builder.js';
import { packRecord, packRecords, RECORD_BYTES } from '../program/pack.js';
import type { HostProgram, Program, StepProgram } from '../program/program.js';
import type { StepRecord } from '../program/record.js';
import type { DeviceTensor } from '../engine/device.js';
import { packedUpdate, type NoiseStream } from '../engine/update.js';

export interface RunProgramOptions {
  /** Shape of the state, the batch first, e.g. [4, 3, 32, 32]. */
  shape: readonly number[];
  /** Predicts from the state; see {@link ScriptModel}. */
  model: ScriptModel;
  /** Initial state; by default noise of the program's initial scale. */
  init?: Float32Array | undefined;
  /** Default 0. */
  seed?: number | bigint | undefined;
  /** Explicit noise instead of the random stream. */
  noise?: NoiseOption | undefined;
  /** Corrects each prediction before it is used. */
  correct?: Correction | undefined;
  signal?: AbortSignal | undefined;
  /** Records done and records in all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** An open device to run the updates on; by default the cpu, opened for this call. */
  device?: Device | undefined;
}

const runProgramOptionNames = optionNames<RunProgramOptions>({
  shape: true,
  model: true,
  init: true,
  seed: true,
  noise: true,
  correct: true,
  signal: true,
  onProgress: true,
  device: true,
});

/** Repeats one binary record for every sample of a batch. */
function repeatRecord(record: Uint8Array, batch: number): Uint8Array {
  const repeated = new Uint8Array(batch * record.length);
  for (let sample = 0; sample < batch; ++sample) repeated.set(record, sample * record.length);
  return repeated;
}

function usesY(record: StepRecord): boolean {
  return record.read === 'y' || record.y !== null || (record.x?.y ?? 0) !== 0;
}

function readsHead(record: StepRecord): boolean {
  return (record.variance.kind === 'linear' || record.variance.kind === 'log') && record.variance.head !== 0;
}

/** The registers of one batch on a device. */
class BatchRegisters {
  readonly x: DeviceTensor;
  readonly y: DeviceTensor | null;
  readonly out: DeviceTensor;
  readonly head: DeviceTensor | null;
  readonly noise: DeviceTensor | null;
  readonly input: DeviceTensor | null;
  readonly history: DeviceTensor[];

  constructor(device: Device, shape: readonly number[], program: StepProgram, explicitNoise: boolean) {
    const { records } = program;
    const when = (needed: boolean): DeviceTensor | null => (needed ? device.tensor(shape) : null);
    this.x = device.tensor(shape);
    this.out = device.tensor(shape);
    this.y = when(records.some(usesY));
    this.head = when(records.some(readsHead));
    this.noise = when(explicitNoise);
    this.input = when(records.some((record) => record.inputScale !== 1));
    this.history = Array.from({ length: program.history }, () => device.tensor(shape));
  }

  /** Fills what a record may read before one has written it. */
  async clear(): Promise<void> {
    const zeros = new Float32Array(this.x.elements);
    for (const tensor of [this.y, this.input, ...this.history]) await tensor?.write(zeros);
  }

  free(): void {
    for (const tensor of [this.x, this.y, this.out, this.head, this.noise, this.input, ...this.history]) tensor?.free();
  }
}

/** Fills `x` with the initial state: a copy of `init`, or noise of the program's initial scale. */
async function initialise(
  x: DeviceTensor,
  options: { init: Float32Array | undefined; scale: number; seed: number | bigint; firstSample: number },
): Promise<void> {
  if (options.init !== undefined) {
    await x.write(options.init);
    return;
  }
  await x.write(new Float32Array(x.elements));
  const record = stepRecord({ time: 0, x: linear({}), variance: { kind: 'scalar', deviation: options.scale } });
  const batch = at(x.shape, 0);
  const streams = batchStreams(options.seed, options.firstSample, batch, INITIAL_RECORD);
  await packedUpdate(repeatRecord(packRecord(record, false), batch), { x }, streams);
}

function batchStreams(seed: number | bigint, firstSample: number, batch: number, record: number): NoiseStream[] {
  return Array.from({ length: batch }, (_, sample) => ({ seed, sampleIndex: firstSample + sample, record, draw: 0 }));
}

/** The input of a record's evaluation: a register, scaled where the record says so. */
async function networkInput(record: StepRecord, registers: BatchRegisters): Promise<DeviceTensor> {
  const source = record.read === 'y' ? (registers.y ?? registers.x) : registers.x;
  const { input } = registers;
  if (record.inputScale === 1 || input === null) return source;
  const scaled = stepRecord({ time: 0, x: linear({ y: record.inputScale }) });
  const batch = at(source.shape, 0);
  await packedUpdate(
    repeatRecord(packRecord(scaled, false), batch),
    { x: input, y: source },
    batchStreams(0, 0, batch, 0),
  );
  return input;
}

interface StepRun {
  evaluator: Evaluator;
  registers: BatchRegisters;
  noise: NoiseSource | null;
  seed: number | bigint;
  signal: AbortSignal | undefined;
  onProgress: ((done: number, total: number) => void) | undefined;
}

async function runSteps(program: StepProgram, run: StepRun): Promise<void> {
  const { registers } = run;
  const packed = packRecords(program);
  const batch = at(registers.x.shape, 0);
  for (const [index, record] of program.records.entries()) {
    throwIfAborted(run.signal);
    if (record.evaluate) {
      const times = new Float32Array(batch).fill(record.time);
      await run.evaluator.evaluate(await networkInput(record, registers), times, registers.out, registers.head);
      throwIfAborted(run.signal);
    }
    const drawsNoise = record.variance.kind !== 'none';
    if (drawsNoise && run.noise !== null) await registers.noise?.write(run.noise.next(0, batch));
    const own = packed.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES);
    const { x, y, out, head, history } = registers;
    const noise = drawsNoise ? registers.noise : null;
    await packedUpdate(
      repeatRecord(own, batch),
      { x, y, out, head, noise, history },
      batchStreams(run.seed, 0, batch, index),
    );
    run.onProgress?.(index + 1, program.records.length);
  }
}

/** One batch of a host program; `x` holds the initial state before and the result after. */
export async function runHostProgram(
  program: HostProgram,
  x: DeviceTensor,
  options: {
    evaluator: Evaluator;
    init: Float32Array | undefined;
    seed: number | bigint;
    firstSample: number;
    noise: NoiseSource | null;
    signal: AbortSignal | undefined;
    onProgress: ((done: number, total: number) => void) | undefined;
  },
): Promise<void> {
  await initialise(x, { ...options, scale: program.initialScale });
  const context = new DeviceHostContext({ ...options, x });
  try {
    await program.run(context);
  } finally {
    context.release();
  }
}

function checkShape({ shape, init }: RunProgramOptions): void {
  if (shape.length < 2 || shape.some((size) => !Number.isSafeInteger(size) || size < 1)) {
    throw new DpmError('ERR_DPM_ARGUMENT', `shape [${shape.join(', ')}] has to be positive sizes, the batch first`);
  }
  if (init !== undefined && init.length !== elementCount(shape)) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `init has ${init.length} elements, shape [${shape.join(', ')}] has ${elementCount(shape)}`,
    );
  }
}

async function runOnDevice(program: Program, device: Device, options: RunProgramOptions): Promise<Float32Array> {
  const { shape, init, signal, onProgress, seed = 0 } = options;
  const evaluator = new ScriptEvaluator(options.model, options.correct);
  const total = elementCount(shape);
  const batch = at(shape, 0);
  const flat = options.noise === undefined ? null : flattenNoise(options.noise, total);
  const noise = flat === null ? null : new NoiseSource(flat, batch, total / batch);
  if (program.kind === 'host') {
    const x = device.tensor(shape);
    try {
      await runHostProgram(program, x, { evaluator, init, seed, firstSample: 0, noise, signal, onProgress });
      return await x.read();
    } finally {
      x.free();
    }
  }
  if (flat !== null)
    requireSlices(flat, total, program.records.filter((record) => record.variance.kind !== 'none').length);
  const registers = new BatchRegisters(device, shape, program, flat !== null);
  try {
    await registers.clear();
    await initialise(registers.x, { init, scale: program.initialScale, seed, firstSample: 0 });
    await runSteps(program, { evaluator, registers, noise, seed, signal, onProgress });
    return await registers.x.read();
  } finally {
    registers.free();
  }
}

/**
 * Runs a program with a model written in JavaScript; the update of every step runs natively.
 *
 * @returns The final states, of the given shape.
 * @throws {@link DpmError} `ERR_DPM_ABORTED` when aborted (the signal's reason is its `cause`), `ERR_DPM_TENSOR_SHAPE` when an
 * array does not fit the shape, `ERR_DPM_ARGUMENT` when the model returns something else than arrays of numbers. What `model`,
 * `correct` and `onProgress` throw themselves passes unchanged.
 */
export async function runProgram(program: Program, options: RunProgramOptions): Promise<Float32Array> {
  refuseUnknownOptions('runProgram', options, runProgramOptionNames);
  checkShape(options);
  seedWords(options.seed ?? 0);
  const device = options.device ?? Device.open({ device: 'cpu' });
  try {
    return await abortable(
      options.signal,
      () => undefined,
      () => runOnDevice(program, device, options),
    );
  } finally {
    if (options.device === undefined) await device.close();
  }
}
