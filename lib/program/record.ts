/** Registers a record can hold in its history ring at most. */
export const MAX_HISTORY = 8;

/** Coefficients of one linear combination of registers; an absent history entry counts as 0. */
export interface LinearUpdate {
  /** Coefficient of `x` (for the update of `y`: of the new `x`). */
  x: number;
  y: number;
  /** Coefficient of the network's raw, unclipped output. */
  out: number;
  /** Coefficients of the past predictions `m[0]`, `m[1]`, …; the record's own slot holds the new prediction. */
  history: readonly number[];
}

/** How the data prediction is limited before it is used. */
export type Clip =
  | { kind: 'none' }
  | { kind: 'static'; low: number; high: number }
  /** Dynamic thresholding (Saharia et al. 2022): `S = max(quantile of |x0|, floor)`, `x0 <- clamp(x0, -S, S) / S`. */
  | { kind: 'dynamic'; quantile: number; floor: number };

/** Variance of the noise a record adds; `h` is the network's second output. */
export type RecordVariance =
  | { kind: 'none' }
  | { kind: 'scalar'; deviation: number }
  /** `clamp(offset + head * h + epsilonSquared * eps^2, low, high)`, `eps = epsilon.input * in + epsilon.output * out`. */
  | {
      kind: 'linear';
      offset: number;
      head: number;
      epsilonSquared: number;
      epsilon: { input: number; output: number };
      low: number;
      high: number;
    }
  /** `clamp(exp(offset + head * h), low, high)`. */
  | { kind: 'log'; offset: number; head: number; low: number; high: number };

/**
 * One network evaluation and one fused update. With `in` the register named by `read`, and `out` the network's output
 * for `inputScale * in` at `time`:
 *
 * ```
 * x0      = clip(prediction.input * in + prediction.output * out)
 * m[slot] = store.input * in + store.data * x0
 * x       = x.x * x + x.y * y + x.out * out + sum_j x.history[j] * m[j] + sqrt(variance) * z
 * y       = y.x * x + y.y * y + y.out * out + sum_j y.history[j] * m[j]      (the new x)
 * ```
 */
export interface StepRecord {
  /** False: the outputs of the last evaluation are used again. */
  evaluate: boolean;
  /** The number that enters the network's time embedding. */
  time: number;
  inputScale: number;
  read: 'x' | 'y';
  prediction: { input: number; output: number };
  clip: Clip;
  store: { slot: number; input: number; data: number };
  /** Null: `x` stays as it is. */
  x: LinearUpdate | null;
  variance: RecordVariance;
  /** Null: `y` stays as it is. */
  y: LinearUpdate | null;
}
