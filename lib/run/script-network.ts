import { partsAt } from '../base/arrays.js';
import { DpmError, nativeWork } from '../base/errors.js';
import { median } from '../base/quantile.js';
import type {
  NativeBatchOptions,
  NativeNetwork,
  NativeQuestion,
  NativeRequestBatch,
  NativeRunRequest,
  NativeRunResult,
  NativeTensor,
} from '../engine/binding.js';
import type { Device } from '../engine/device.js';
import { checkedLabels } from '../engine/inputs.js';
import { RECORD_BYTES } from '../program/pack.js';
import { outputsOf, type ModelOutput, type Predictions } from './evaluator.js';
import { guidanceRecord, isGuided } from '../guidance/classifier-free.js';
import { askingBatch, ownBatchSize, runInOwnBatch, type Answer } from './own-batch.js';
import type { RunNetwork } from './resolve.js';

/**
 * Predicts for samples at individual times. Samplers of a second output and adaptive ones call it beside the batch.
 *
 * @param x - States, [rows, …], row-major.
 * @param t - Numbers that would enter a time embedding, one per row.
 * @param labels - Class labels, one per row, -1: none; null if the model has no classes.
 * @returns The predictions, or the predictions and a second output.
 */
export type BatchEvaluate = (
  x: Float32Array,
  t: Float32Array,
  labels: Int32Array | null,
) => ModelOutput | Promise<ModelOutput>;

/** Milliseconds of an evaluation above which one is enough of a measurement. */
const SLOW = 1000;

/** Sizes and outputs of a model written in JavaScript. */
export interface ScriptShape {
  /** Number of elements of one sample. */
  readonly elements: number;
  readonly classes: number;
  /** True if programs read its second output. */
  readonly head: boolean;
}

/** Finds the error that a caller's function threw, if the given error only wraps it. */
export function thrownBy(networks: readonly { readonly thrown?: WeakSet<object> }[], error: unknown): unknown {
  const cause = error instanceof DpmError ? error.cause : undefined;
  const isTheirs = typeof cause === 'object' && cause !== null && networks.some(({ thrown }) => thrown?.has(cause));
  return isTheirs ? cause : error;
}

/** Network made of a model written in JavaScript: the native batch asks the model for predictions. */
export class ScriptNetwork implements RunNetwork {
  readonly device: Device;
  readonly info: { readonly classes: number };
  readonly native: RunNetwork['native'];
  /** Errors that the function has thrown, which reach the caller unchanged. */
  readonly thrown = new WeakSet();
  readonly #shape: ScriptShape;
  readonly #evaluate: BatchEvaluate;

  constructor(device: Device, shape: ScriptShape, evaluate: BatchEvaluate) {
    this.device = device;
    this.info = { classes: shape.classes };
    this.#shape = shape;
    this.#evaluate = evaluate;
    this.native = {
      batch: (options) => this.openBatch(options),
      measure: (batches, repeats) => this.#measure(batches, repeats),
      predict: (...inputs) => this.#predictTensors(...inputs),
      run: (request) => this.run(request),
    };
  }

  /** Runs a request in a batch of its own; `signal` ends the wait at once. */
  run(request: NativeRunRequest, signal?: AbortSignal): Promise<NativeRunResult> {
    return runInOwnBatch(this, () => this.openBatch(ownBatchSize(request)), request, signal);
  }

  labels(classLabels: ArrayLike<number> | undefined, batch: number): Int32Array | null {
    return checkedLabels(this.info.classes, classLabels, batch);
  }

  whileOpen<T>(work: () => T | Promise<T>): Promise<T> {
    return this.device.whileOpen(work);
  }

  async #predict(x: Float32Array, times: Float32Array, labels: Int32Array | null): Promise<Predictions> {
    let result: ModelOutput;
    try {
      result = await this.whileOpen(() => this.#evaluate(x, times, labels));
    } catch (error) {
      if (typeof error === 'object' && error !== null) this.thrown.add(error);
      throw error;
    }
    const predictions = outputsOf(result, x.length);
    if (this.#shape.head && predictions.head === null) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        'this program reads a second output: evaluate has to return { out, head }',
      );
    }
    return this.#shape.head ? predictions : { out: predictions.out, head: null };
  }

  /**
   * Opens a batch.
   *
   * @param constrain - Gives the states that the samples go on from after every step, if any; they are then of one request.
   */
  openBatch(
    { rows, slots, fit, whole, weight }: NativeBatchOptions,
    constrain: ((question: NativeQuestion) => Promise<Answer>) | null = null,
  ): Promise<NativeRequestBatch> {
    const options = { rows, slots, fit, whole, weight, constrains: constrain !== null, ...this.#shape };
    return askingBatch(
      (onQuestion) => this.device.engine.scriptBatch({ ...options, onQuestion }),
      async (question) => {
        if (constrain !== null && question.asked === 'constraint') return constrain(question);
        const { x, times, labels } = question;
        const { out, head } = await this.#predict(x, times, labels);
        return { values: out, head };
      },
    );
  }

  async #measure(batches: Uint32Array, repeats: number): Promise<Float64Array> {
    const { elements, classes } = this.#shape;
    const times: number[] = [];
    for (const rows of batches) {
      const all: number[] = [];
      for (let i = 0; i <= repeats; ++i) {
        const labels = classes > 0 ? new Int32Array(rows) : null;
        const start = performance.now();
        await this.#predict(new Float32Array(rows * elements), new Float32Array(rows), labels);
        const time = performance.now() - start;
        if (i > 0) all.push(time);
        if (i > 0 && time > SLOW) break;
      }
      times.push(median(all));
    }
    return Float64Array.from(times);
  }

  /** Predicts for programs that decide while they run; samples that guidance leads are evaluated again, by themselves. */
  async #predictTensors(...inputs: Parameters<NativeNetwork['predict']>): Promise<void> {
    const [x, times, labels, guidance, unconditionalLabel, out, head] = inputs;
    const states = new Float32Array(x.elements);
    await this.#engineRead(x, states);
    const first = labels?.map((label, row) => (guidance?.[row] === 0 ? unconditionalLabel : label)) ?? null;
    const predicted = await this.#predict(states.slice(), times, first);
    if (head !== null && predicted.head !== null) await this.#engineWrite(head, predicted.head);
    await this.#engineWrite(out, predicted.out);
    const guided = Array.from(guidance ?? []).flatMap((weight, row) => (isGuided(weight) ? [row] : []));
    if (guidance === null || guided.length === 0) return;
    const { elements } = this.#shape;
    const unconditional = labels && new Int32Array(guided.length).fill(unconditionalLabel);
    const again = await this.#predict(partsAt(states, guided, elements), partsAt(times, guided, 1), unconditional);
    const other = new Float32Array(x.elements);
    for (const [i, row] of guided.entries()) {
      other.set(again.out.subarray(i * elements, (i + 1) * elements), row * elements);
    }
    await this.#mix(
      out,
      other,
      guidance.map((weight) => (isGuided(weight) ? weight : 1)),
    );
  }

  /** Applies guidance to conditional predictions by the fused update of the device. */
  async #mix(conditional: NativeTensor, unconditional: Float32Array, weights: Float32Array): Promise<void> {
    const { engine } = this.device;
    const out = engine.tensor(unconditional.length);
    try {
      await this.#engineWrite(out, unconditional);
      const records = new Uint8Array(weights.length * RECORD_BYTES);
      for (const [row, weight] of weights.entries()) records.set(guidanceRecord(weight), row * RECORD_BYTES);
      const registers = { x: conditional, y: null, out, head: null, noise: null, history: [] };
      const elements = unconditional.length / weights.length;
      await nativeWork(() =>
        engine.update(weights.length, elements, records, registers, new Uint32Array(5 * weights.length)),
      );
    } finally {
      out.free();
    }
  }

  #engineRead(tensor: NativeTensor, into: Float32Array): Promise<void> {
    return nativeWork(() => this.device.engine.read(tensor, into));
  }

  #engineWrite(tensor: NativeTensor, values: Float32Array): Promise<void> {
    return nativeWork(() => this.device.engine.write(tensor, values));
  }
}
