import type { Clip } from './record.js';

/** Coefficient, one for all samples or one per sample, and the tensor it multiplies. */
export type Term = readonly [coefficient: number | ArrayLike<number>, tensor: string];

/** Kind of a number that is computed from a tensor per sample. */
export type Reduction = 'sum' | 'sum-squares' | 'dot' | 'max-abs';

/**
 * Context of a host program: named tensors on the device, all of one shape, and a few operations. The tensor `x` holds
 * the initial state at the start and the result at the end; every other tensor is made, filled with 0, when its name is
 * first used. Samples of one batch may have different coefficients and times.
 */
export interface HostContext {
  /** Number of samples in this batch. */
  readonly batch: number;
  /** Shape of every tensor, the batch first. */
  readonly shape: readonly number[];
  /** Signal of the run, for work of the program's own. */
  readonly signal: AbortSignal | undefined;
  /** Checks for an abort, as all methods do. @throws {@link DpmError} `ERR_DPM_ABORTED` once the run was aborted. */
  throwIfAborted(): void;
  /** Evaluates the network on `input` at a network time, one for all samples or one per sample. */
  evaluate(input: string, time: number | ArrayLike<number>, output: string, head?: string): Promise<void>;
  /**
   * Evaluates the network as `evaluate` does, and pushes the tensor `tangent` forward: J times it, in `outputTangent`.
   *
   * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for models without a derivative.
   */
  pushForward(
    input: string,
    time: number | ArrayLike<number>,
    tangent: string,
    output: string,
    outputTangent: string,
  ): Promise<void>;
  /**
   * Evaluates the network as `evaluate` does, and pulls the tensor `cotangent` back: J^T times it, in `inputCotangent`.
   *
   * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for models without a derivative.
   */
  pullBack(
    input: string,
    time: number | ArrayLike<number>,
    cotangent: string,
    output: string,
    inputCotangent: string,
  ): Promise<void>;
  /** Replaces `target` by a sum of products, clipped as `clip` says; `target` may be one of the terms. */
  linearCombination(target: string, terms: readonly Term[], clip?: Clip): Promise<void>;
  /**
   * Replaces every element of `target` by a function of the same elements of `sources`, which may include `target`;
   * computed in JavaScript and not on the device.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if the function returns no number.
   */
  apply(target: string, sources: readonly string[], each: (...values: number[]) => number): Promise<void>;
  /** Fills `target` with standard normal noise of this record and draw of each sample's stream. */
  noise(target: string, record: number, draw?: number): Promise<void>;
  /** Computes one number per sample; `b` is the second operand of `dot`. */
  reduce(kind: Reduction, a: string, b?: string): Promise<Float64Array>;
  /**
   * Computes the error norm of adaptive steps: the root mean square per sample of error / tolerance(|a|, |b|), element
   * by element; computed in JavaScript and not on the device.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if a norm is NaN, from which no step can be chosen.
   */
  errorNorm(
    error: string,
    sizes: readonly [a: string, b: string],
    tolerance: (a: number, b: number) => number,
  ): Promise<Float64Array>;
  /** Reads the values of a tensor, [batch, …]. */
  read(name: string): Promise<Float32Array>;
  /** Reports the progress of the work. */
  progress(done: number, total: number): void;
}
