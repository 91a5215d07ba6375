/** Maximum number of registers in a record's history ring. */
export const MAX_HISTORY = 8;

/** Coefficients of one linear combination of registers; an absent history entry counts as 0. */
export interface LinearUpdate {
  /** Coefficient of `x` (for the update of `y`: of the new `x`). */
  readonly x: number;
  /** Coefficient of `y`. */
  readonly y: number;
  /** Coefficient of the network's raw, unclipped output. */
  readonly out: number;
  /** Coefficients of the past predictions `m[0]`, `m[1]`, …; the record's own slot holds the new prediction. */
  readonly history: readonly number[];
}

/** Limit of the data prediction, applied before its use. */
export type Clip =
  | { readonly kind: 'none' }
  | { readonly kind: 'static'; readonly low: number; readonly high: number }
  /**
   * Dynamic thresholding (Saharia et al. 2022): `S = min(max(quantile of |x0|, floor), ceiling)`, `x0 <- clamp(x0, -S,
   * S) / S`. Without a ceiling there is no upper limit.
   */
  | { readonly kind: 'dynamic'; readonly quantile: number; readonly floor: number; readonly ceiling?: number };

/** Variance of the noise a record adds; `h` is the network's second output. */
export type RecordVariance =
  | { readonly kind: 'none' }
  | { readonly kind: 'scalar'; readonly deviation: number }
  /** `clamp(offset + head * h + epsilonSquared * eps^2, low, high)`, `eps = epsilon.input * in + epsilon.output * out`. */
  | {
      readonly kind: 'linear';
      readonly offset: number;
      readonly head: number;
      readonly epsilonSquared: number;
      readonly epsilon: { readonly input: number; readonly output: number };
      readonly low: number;
      readonly high: number;
    }
  /** `clamp(exp(offset + head * h), low, high)`. */
  | {
      readonly kind: 'log';
      readonly offset: number;
      readonly head: number;
      readonly low: number;
      readonly high: number;
    };

/**
 * One network evaluation and one fused update. With `in` the register named by `read`, and `out` the network's output
 * for `inputScale * in` at `time`:
 *
 * ```
 * x0      = clip(prediction.input * in + prediction.output * out)
 * m[slot] = store.input * in + store.data * x0 + guide.stored * g
 * x       = x.x * x + x.y * y + x.out * out + sum_j x.history[j] * m[j] + (guide.x + guide.xVariance * variance) * g + sqrt(variance) * z
 * y       = y.x * x + y.y * y + y.out * out + sum_j y.history[j] * m[j] + guide.y * g      (the new x)
 * ```
 */
export interface StepRecord {
  /** False: the outputs of the last evaluation are used again. At least one evaluation has to come before. */
  readonly evaluate: boolean;
  /** Number that enters the network's time embedding. */
  readonly time: number;
  /** Factor of the state before the network sees it. */
  readonly inputScale: number;
  /** Register that the network sees. */
  readonly read: 'x' | 'y';
  /** The data prediction as coefficients of the input and of the output. */
  readonly prediction: { readonly input: number; readonly output: number };
  /** Data prediction for previews only, if `prediction` is that of another variable; nothing limits it. */
  readonly data?: { readonly input: number; readonly output: number } | undefined;
  /** Limit of the data prediction. */
  readonly clip: Clip;
  /** Prediction to keep: the slot of the ring, and coefficients of the input and of the data prediction. */
  readonly store: { readonly slot: number; readonly input: number; readonly data: number };
  /** Update of `x`. Null: `x` stays as it is. */
  readonly x: LinearUpdate | null;
  /** Variance of the noise that is added to `x`. */
  readonly variance: RecordVariance;
  /** Variance for a guide of the mean, in a record that adds no noise; absent: such a guide changes nothing there. */
  readonly guideVariance?: RecordVariance | undefined;
  /** Update of `y`. Null: `y` stays as it is. */
  readonly y: LinearUpdate | null;
  /** Update by a guide's gradient; absent: none. */
  readonly guide?: GuideUpdate | undefined;
}

/** Coefficients of a guide's gradient g at the network's input. */
export interface GuideUpdate {
  /** Coefficient of g in `m[slot]`. */
  readonly stored: number;
  /** Coefficient of g in `x`. */
  readonly x: number;
  /** Coefficient of `variance`, or of `guideVariance` if there is no noise, times g in `x`. */
  readonly xVariance: number;
  /** Coefficient of g in `y`. */
  readonly y: number;
}
