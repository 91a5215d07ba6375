import type { Clip } from './record.js';

/** A coefficient, one for all samples or one per sample, and the tensor it multiplies. */
export type Term = readonly [coefficient: number | ArrayLike<number>, tensor: string];

/** What is computed of a tensor, one number per sample. */
export type Reduction = 'sum' | 'sum-squares' | 'dot' | 'max-abs';

/**
 * What a host program works with: named tensors on the device, all of one shape, and a few primitives. The tensor `x` holds the
 * initial state at the start and the result at the end; every other name comes into being, filled with 0, when it is first
 * used. Samples of one batch may take different coefficients and times.
 */
export interface HostContext {
  /** Samples in this batch. */
  readonly batch: number;
  /** Shape of every tensor, the batch first. */
  readonly shape: readonly number[];
  /** The signal of the run, for work of the program's own. */
  readonly signal: AbortSignal | undefined;
  /** @throws {@link DpmError} `ERR_DPM_ABORTED` once the run has been aborted; every primitive checks it as well. */
  throwIfAborted(): void;
  /** Evaluates the network on `input` at a network time, one for all samples or one per sample. */
  evaluate(input: string, time: number | ArrayLike<number>, output: string, head?: string): Promise<void>;
  /**
   * Evaluates the network as `evaluate` does, and its derivative along the tensor `tangent`: J times it, in `outputTangent`.
   *
   * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for models that have no derivative.
   */
  pushForward(
    input: string,
    time: number | ArrayLike<number>,
    tangent: string,
    output: string,
    outputTangent: string,
  ): Promise<void>;
  /**
   * Evaluates the network as `evaluate` does, and its derivative in reverse on the tensor `cotangent`: J^T times it, in `inputCotangent`.
   *
   * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for models that have no derivative.
   */
  pullBack(
    input: string,
    time: number | ArrayLike<number>,
    cotangent: string,
    output: string,
    inputCotangent: string,
  ): Promise<void>;
  /** Replaces `target` by a sum of products, clipped where `clip` says so; `target` may be one of the terms. */
  linearCombination(target: string, terms: readonly Term[], clip?: Clip): Promise<void>;
  /**
   * Replaces every element of `target` by a function of the same elements of `sources`, which may have `target` among them; computed
   * here and not on the device.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` where the function returns no number.
   */
  apply(target: string, sources: readonly string[], each: (...values: number[]) => number): Promise<void>;
  /** Fills `target` with standard normal noise of this record and draw of each sample's stream. */
  noise(target: string, record: number, draw?: number): Promise<void>;
  /** One number per sample; `b` is the second operand of `dot`. */
  reduce(kind: Reduction, a: string, b?: string): Promise<Float64Array>;
  /**
   * Root mean square per sample of error / tolerance(|a|, |b|), element by element, the error norm of adaptive steps;
   * computed here and not on the device.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` when a norm is NaN, by which no step can be chosen.
   */
  errorNorm(
    error: string,
    sizes: readonly [a: string, b: string],
    tolerance: (a: number, b: number) => number,
  ): Promise<Float64Array>;
  /** The values of a tensor, [batch, …]. */
  read(name: string): Promise<Float32Array>;
  /** Reports how far the work is. */
  progress(done: number, total: number): void;
}
