import { untilAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { tagOf, typedArrayName } from '../base/option-kinds.js';
import type { Device, DeviceTensor } from '../engine/device.js';

/** Predictor for a batch of states: the native network or a model written in JavaScript. */
export interface Evaluator {
  /** Reads `input` [batch, …] at one time per sample; fills `output` and, if there is one, `head`. */
  evaluate(input: DeviceTensor, times: Float32Array, output: DeviceTensor, head: DeviceTensor | null): Promise<void>;
  /** Evaluates without a second output, and pushes `tangent` forward. Absent if the model has no such derivative. */
  pushForward?(
    input: DeviceTensor,
    times: Float32Array,
    tangent: DeviceTensor,
    output: DeviceTensor,
    outputTangent: DeviceTensor,
  ): Promise<void>;
  /** Evaluates without a second output, and pulls `cotangent` back. Absent if the model has no such derivative. */
  pullBack?(
    input: DeviceTensor,
    times: Float32Array,
    cotangent: DeviceTensor,
    output: DeviceTensor,
    inputCotangent: DeviceTensor,
  ): Promise<void>;
}

/** Result of a JavaScript model: its prediction, or its prediction and a second output of the same size. */
export type ModelOutput =
  Float32Array | Float64Array | { out: Float32Array | Float64Array; head?: Float32Array | Float64Array };

/**
 * A model written in JavaScript.
 *
 * @param x - States, [batch, …], row-major.
 * @param t - Number that would enter a time embedding.
 */
export type ScriptModel = (x: Float32Array, t: number) => ModelOutput | Promise<ModelOutput>;

/** Corrects a prediction: returns another one, or changes the given one in place and returns nothing. */
export type Correction = (x: Float32Array, t: number, prediction: Float32Array) => Float32Array | undefined;

type Floats = Float32Array | Float64Array;

function isFloats(value: unknown): value is Floats {
  return ['Float32Array', 'Float64Array'].includes(typedArrayName(value) ?? '');
}

/** Checks the result of a JavaScript function, which can be of any type. */
function requireFloats(values: unknown, name: string, expected: string): asserts values is Floats {
  if (isFloats(values)) return;
  throw new DpmError('ERR_DPM_ARGUMENT', `${name} is of type ${tagOf(values)}, ${expected}`);
}

function asFloat32(values: Floats, length: number, name: string): Float32Array {
  if (values.length !== length) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `the model returned ${values.length} elements as ${name} for a state of ${length}`,
    );
  }
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

/** Predictions of a batch. */
export interface Predictions {
  out: Float32Array;
  head: Float32Array | null;
}

/** Checks the outputs of a model and returns them. */
export function outputsOf(result: ModelOutput | undefined, length: number): Predictions {
  const expected = `the model has to return a Float32Array of ${length} elements, or { out, head } of such`;
  if (isFloats(result)) return { out: asFloat32(result, length, 'out'), head: null };
  if (result?.out === undefined) requireFloats(result, 'what the model returned', expected);
  const { out, head } = result;
  requireFloats(out, 'out', expected);
  if (head !== undefined) requireFloats(head, 'head', expected);
  return {
    out: asFloat32(out, length, 'out'),
    head: head === undefined ? null : asFloat32(head, length, 'head'),
  };
}

/** Returns the prediction that a correction returned or changed in place. */
function correctedOutput(corrected: Float32Array | undefined, prediction: Float32Array): Float32Array {
  const { length } = prediction;
  const result = corrected ?? prediction;
  requireFloats(result, 'what correct returned', `it has to return a Float32Array of ${length} elements, or nothing`);
  return asFloat32(result, length, 'the corrected prediction');
}

/** Options of {@link ScriptEvaluator}. */
export interface ScriptEvaluatorOptions {
  /** Device of the states; closing it ends the wait for a prediction. */
  device: Device;
  /** Function that corrects every prediction. */
  correct?: Correction | undefined;
  /** Signal that ends the wait for a prediction. */
  signal?: AbortSignal | undefined;
}

async function predict(
  model: ScriptModel,
  { correct, signal, device }: ScriptEvaluatorOptions,
  x: Float32Array,
  t: number,
): Promise<Predictions> {
  const answer = await untilAborted(signal, () => device.whileOpen(() => model(x, t)));
  const { out, head } = outputsOf(answer, x.length);
  return { out: correct === undefined ? out : correctedOutput(correct(x, t, out), out), head };
}

/** Calls a JavaScript model on states copied from the device. */
export class ScriptEvaluator implements Evaluator {
  constructor(
    private readonly model: ScriptModel,
    private readonly options: ScriptEvaluatorOptions,
  ) {}

  async evaluate(
    input: DeviceTensor,
    times: Float32Array,
    output: DeviceTensor,
    head: DeviceTensor | null,
  ): Promise<void> {
    const predictions = await this.predict(await input.read(), times, head !== null);
    await output.write(predictions.out);
    if (head !== null && predictions.head !== null) await head.write(predictions.head);
  }

  /**
   * Predicts from states [rows, …] at one time per row.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` when the second output is needed and the model has none.
   */
  async predict(x: Float32Array, times: Float32Array, needsHead: boolean): Promise<Predictions> {
    const predictions = await this.#predictions(x, times);
    if (!needsHead) return { out: predictions.out, head: null };
    if (predictions.head === null) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        'this program reads a second output: the model has to return { out, head }',
      );
    }
    return predictions;
  }

  async #predictions(x: Float32Array, times: Float32Array): Promise<Predictions> {
    const first = at(times, 0);
    if (times.every((time) => time === first)) return this.#one(x, first);
    const elements = x.length / times.length;
    const all: Predictions = { out: new Float32Array(x.length), head: null };
    for (const [sample, time] of times.entries()) {
      const one = await this.#one(x.slice(sample * elements, (sample + 1) * elements), time);
      all.out.set(one.out, sample * elements);
      if (one.head !== null) (all.head ??= new Float32Array(x.length)).set(one.head, sample * elements);
    }
    return all;
  }

  #one(x: Float32Array, time: number): Promise<Predictions> {
    return predict(this.model, this.options, x, time);
  }
}
