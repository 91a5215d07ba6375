import type { Program, StepProgram } from '../../lib/program/program.js';
import type { Clip, LinearUpdate, RecordVariance, StepRecord } from '../../lib/program/record.js';

/** A network written for the interpreter: outputs for one state at one time. */
export interface InterpretedModel {
  out: (x: number, t: number, index: number) => number;
  head?: (x: number, t: number, index: number) => number;
  /** The gradient of a guide at the network's input. */
  guide?: (x: number, t: number, index: number) => number;
}

export interface Registers {
  x: Float64Array;
  y: Float64Array;
  out: Float64Array;
  head: Float64Array;
  guide: Float64Array;
  history: Float64Array[];
}

/** Registers of one sample with `x` as its state and everything else 0. */
export function registers(x: ArrayLike<number>, history: number): Registers {
  const empty = (): Float64Array => new Float64Array(x.length);
  return {
    x: Float64Array.from(x),
    y: empty(),
    out: empty(),
    head: empty(),
    guide: empty(),
    history: Array.from({ length: history }, empty),
  };
}

function quantile(values: Float64Array, q: number): number {
  const sorted = values.map(Math.abs).sort();
  const position = q * (sorted.length - 1);
  const below = Math.floor(position);
  const [low = 0, high = low] = sorted.subarray(below, below + 2);
  return low + (position - below) * (high - low);
}

/** The data prediction of one sample, limited. */
export function clipped(clip: Clip, x0: Float64Array): Float64Array {
  switch (clip.kind) {
    case 'none':
      return x0;
    case 'static': {
      const { low, high } = clip;
      return x0.map((value) => Math.min(Math.max(value, low), high));
    }
    case 'dynamic': {
      const limit = Math.min(Math.max(quantile(x0, clip.quantile), clip.floor), clip.ceiling ?? Infinity);
      return x0.map((value) => Math.min(Math.max(value, -limit), limit) / limit);
    }
  }
}

function deviation(variance: RecordVariance, input: number, out: number, head: number): number {
  switch (variance.kind) {
    case 'none':
      return 0;
    case 'scalar':
      return variance.deviation;
    case 'linear': {
      const epsilon = variance.epsilon.input * input + variance.epsilon.output * out;
      const value = variance.offset + variance.head * head + variance.epsilonSquared * epsilon * epsilon;
      return Math.sqrt(Math.min(Math.max(value, variance.low), variance.high));
    }
    case 'log':
      return Math.sqrt(
        Math.min(Math.max(Math.exp(variance.offset + variance.head * head), variance.low), variance.high),
      );
  }
}

function combine(update: LinearUpdate, state: Registers, i: number): number {
  const past = update.history.reduce(
    (sum, c, slot) => (c === 0 ? sum : sum + c * (state.history[slot]?.[i] ?? NaN)),
    0,
  );
  return update.x * (state.x[i] ?? NaN) + update.y * (state.y[i] ?? NaN) + update.out * (state.out[i] ?? NaN) + past;
}

/** The fused update of one record, in float64; `noise` is a standard normal per element. */
export function applyUpdate(record: StepRecord, state: Registers, noise: ArrayLike<number> | null): void {
  const input = Float64Array.from(record.read === 'y' ? state.y : state.x);
  const predict = ({ input: a, output: b }: { input: number; output: number }): Float64Array =>
    input.map((value, i) => a * value + b * (state.out[i] ?? NaN));
  const x0 = clipped(record.clip, predict(record.prediction));
  state.history[record.store.slot] = x0.map(
    (value, i) =>
      record.store.input * (input[i] ?? NaN) +
      record.store.data * value +
      (record.guide?.stored ?? 0) * (state.guide[i] ?? NaN),
  );
  const { x, y, guide } = record;
  const spreadOf = (variance: RecordVariance, i: number): number =>
    deviation(variance, input[i] ?? NaN, state.out[i] ?? NaN, state.head[i] ?? NaN);
  const ofGuide = record.variance.kind === 'none' ? (record.guideVariance ?? record.variance) : record.variance;
  if (x !== null) {
    state.x = state.x.map((_, i) => {
      const spread = spreadOf(record.variance, i);
      const guided =
        guide === undefined ? 0 : (guide.x + guide.xVariance * spreadOf(ofGuide, i) ** 2) * (state.guide[i] ?? NaN);
      return combine(x, state, i) + guided + (spread === 0 ? 0 : spread * (noise?.[i] ?? NaN));
    });
  }
  if (y !== null) state.y = state.y.map((_, i) => combine(y, state, i) + (guide?.y ?? 0) * (state.guide[i] ?? NaN));
}

/** A sampler's program, which has to be one of records. */
export function asSteps(program: Program): StepProgram {
  if (program.kind !== 'step') throw new Error('expected a step program');
  return program;
}

/** Runs a step program in float64; `noise(r)` is the noise of the r-th record that adds some. */
export function interpret(
  program: StepProgram,
  model: InterpretedModel,
  init: ArrayLike<number>,
  noise: (index: number, record: number) => ArrayLike<number>,
): Float64Array {
  const state = registers(init, program.history);
  let drawn = 0;
  program.records.forEach((record, index) => {
    if (record.evaluate) {
      const input = (record.read === 'y' ? state.y : state.x).map((value) => record.inputScale * value);
      state.out = input.map((value, i) => model.out(value, record.time, i));
      state.head = input.map((value, i) => model.head?.(value, record.time, i) ?? 0);
      state.guide = input.map((value, i) => model.guide?.(value, record.time, i) ?? 0);
    }
    applyUpdate(record, state, record.variance.kind === 'none' ? null : noise(drawn++, index));
  });
  return state.x;
}
