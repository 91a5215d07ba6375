import { DpmError, nativeWork } from '../base/errors.js';
import { median } from '../base/quantile.js';
import type { NativeBatch, NativeBatchOptions, NativeNetwork, NativeTensor } from '../engine/binding.js';
import type { Device } from '../engine/device.js';
import { checkedLabels } from '../engine/inputs.js';
import { outputsOf, type ModelOutput, type Predictions } from '../running/evaluator.js';
import type { RunNetwork } from '../running/resolve-run.js';

/**
 * Predicts for samples at times of their own. Samplers of a second output and adaptive ones ask at the same time as the batch.
 *
 * @param x - States, [rows, …], row-major.
 * @param t - The number that would enter a time embedding, one per row.
 * @param labels - One per row, -1: none; null where the model has no classes.
 * @returns The predictions, or these and a second output.
 */
export type BatchEvaluate = (
  x: Float32Array,
  t: Float32Array,
  labels: Int32Array | null,
) => ModelOutput | Promise<ModelOutput>;

/** What a model written in JavaScript is. */
export interface ScriptShape {
  /** Of one sample. */
  readonly elements: number;
  readonly classes: number;
  /** Whether programs read its second output. */
  readonly head: boolean;
}

/** Failed steps whose requests may still ask for their errors. */
const MOST_FAILURES = 64;

/** What a function of the caller's has thrown, where an error is nothing but its wrapping. */
export function thrownBy(networks: readonly { readonly thrown?: WeakSet<object> }[], error: unknown): unknown {
  const cause = error instanceof DpmError ? error.cause : undefined;
  const isTheirs = typeof cause === 'object' && cause !== null && networks.some(({ thrown }) => thrown?.has(cause));
  return isTheirs ? cause : error;
}

/** A model written in JavaScript in the place of a network: the native batch asks it for predictions. */
export class ScriptNetwork implements RunNetwork {
  readonly device: Device;
  readonly info: { readonly classes: number };
  readonly native: RunNetwork['native'];
  /** What the function has thrown, which reaches the caller as it was thrown. */
  readonly thrown = new WeakSet();
  readonly #shape: ScriptShape;
  readonly #evaluate: BatchEvaluate;
  #failed = 0;

  constructor(device: Device, shape: ScriptShape, evaluate: BatchEvaluate) {
    this.device = device;
    this.info = { classes: shape.classes };
    this.#shape = shape;
    this.#evaluate = evaluate;
    this.native = {
      batch: (options) => this.#batch(options),
      measure: (batches, repeats) => this.#measure(batches, repeats),
      predict: (...inputs) => this.#predictTensors(...inputs),
      run: () => Promise.reject(new DpmError('ERR_DPM_INTERNAL', 'a model in JavaScript runs in its batch alone')),
    };
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

  async #batch(options: NativeBatchOptions): Promise<NativeBatch> {
    /** Of steps whose evaluation failed, by the message that their requests are ended with. */
    const failures = new Map<string, unknown>();
    const batch: NativeBatch = await this.device.engine.scriptBatch({
      ...options,
      ...this.#shape,
      onQuestion: (x, times, labels) => {
        void this.#answer(batch, failures, [x, times, labels]);
      },
    });
    return {
      bytes: batch.bytes,
      submit: async (request) => {
        try {
          return await batch.submit(request);
        } catch (error) {
          throw error instanceof Error && failures.has(error.message) ? failures.get(error.message) : error;
        }
      },
      answer: (out, head) => batch.answer(out, head),
      abandon: (message) => batch.abandon(message),
      stats: () => batch.stats(),
      close: () => batch.close(),
    };
  }

  /** Asks the function, and tells the batch what it says. */
  async #answer(
    batch: NativeBatch,
    failures: Map<string, unknown>,
    inputs: [Float32Array, Float32Array, Int32Array | null],
  ): Promise<void> {
    try {
      const { out, head } = await this.#predict(...inputs);
      await batch.answer(out, head);
    } catch (error) {
      const name = `failure ${this.#failed++} of a model in JavaScript`;
      failures.set(name, error);
      const [oldest] = failures.keys();
      if (failures.size > MOST_FAILURES && oldest !== undefined) failures.delete(oldest);
      // A batch that was closed meanwhile waits for nothing.
      await batch.abandon(name).catch(() => undefined);
    }
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
        if (i > 0) all.push(performance.now() - start);
      }
      times.push(median(all));
    }
    return Float64Array.from(times);
  }

  /** For programs that decide while they run. */
  async #predictTensors(...inputs: Parameters<NativeNetwork['predict']>): Promise<void> {
    const [x, times, labels, guidance, unconditionalLabel, out, head] = inputs;
    const states = new Float32Array(x.elements);
    await this.#engineRead(x, states);
    const predicted = await this.#predict(states.slice(), times, labels);
    if (head !== null && predicted.head !== null) await this.#engineWrite(head, predicted.head);
    // The function may give the same arrays again.
    const mixed = predicted.out.slice();
    if (guidance?.some((weight) => weight !== 1) === true) {
      const unconditional = new Int32Array(times.length).fill(unconditionalLabel);
      const other = await this.#predict(states, times, labels === null ? null : unconditional);
      mix(mixed, other.out, guidance);
    }
    await this.#engineWrite(out, mixed);
  }

  #engineRead(tensor: NativeTensor, into: Float32Array): Promise<void> {
    return nativeWork(() => this.device.engine.read(tensor, into));
  }

  #engineWrite(tensor: NativeTensor, values: Float32Array): Promise<void> {
    return nativeWork(() => this.device.engine.write(tensor, values));
  }
}

/** out = unconditional + weight (conditional - unconditional), in place. */
function mix(conditional: Float32Array, unconditional: Float32Array, weights: Float32Array): void {
  const elements = conditional.length / weights.length;
  for (let i = 0; i < conditional.length; ++i) {
    const weight = weights[Math.floor(i / elements)] ?? 1;
    conditional[i] = weight * (conditional[i] ?? 0) + (1 - weight) * (unconditional[i] ?? 0);
  }
}
