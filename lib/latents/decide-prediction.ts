/** Prediction of a network of which nothing says what it predicts. */
export interface DecidedPrediction {
  readonly type: 'epsilon' | 'v_prediction';
  /** Part of the noise that the network gives back. */
  readonly part: number;
}

/**
 * Tells what a network predicts by what it makes of noise alone: one of noise gives it back; one of v = alpha eps - sigma x_0
 * gives about alpha of it, which is hardly anything at the last time.
 *
 * @param noise - Unit noise.
 * @param evaluate - Evaluates the network on it at the noisiest time.
 */
export async function decidePrediction(
  noise: Float32Array,
  evaluate: (noise: Float32Array) => Promise<Float32Array>,
): Promise<DecidedPrediction> {
  const out = await evaluate(noise);
  let [product, norm] = [0, 0];
  for (const [i, value] of noise.entries()) {
    product += value * (out[i] ?? 0);
    norm += value * value;
  }
  const part = product / norm;
  return { type: part > 0.5 ? 'epsilon' : 'v_prediction', part };
}
