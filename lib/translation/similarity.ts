import { at } from '../base/arrays.js';

/** Measure of the similarity of two images' features: the mean cosine over places, or minus the squared distance. */
export type Similarity = 'cosine' | 'negative-squared-distance';

/** Every {@link Similarity}. */
export const similarities: readonly Similarity[] = ['cosine', 'negative-squared-distance'];

/** Minimum length of features; shorter ones count as this long. */
const SHORTEST = 1e-10;

/** Computes the gradient of the mean cosine over places by features a [C, P], for one sample. */
function cosineGradient(a: Float32Array, b: Float32Array, places: number, result: Float32Array): void {
  const channels = a.length / places;
  for (let p = 0; p < places; ++p) {
    let [ofA, ofB, both] = [0, 0, 0];
    for (let c = 0; c < channels; ++c) {
      const [left, right] = [at(a, c * places + p), at(b, c * places + p)];
      ofA += left * left;
      ofB += right * right;
      both += left * right;
    }
    const [lengthA, lengthB] = [Math.max(Math.sqrt(ofA), SHORTEST), Math.max(Math.sqrt(ofB), SHORTEST)];
    const cosine = both / (lengthA * lengthB);
    for (let c = 0; c < channels; ++c) {
      const i = c * places + p;
      result[i] = (at(b, i) / lengthB - (cosine * at(a, i)) / lengthA) / (places * lengthA);
    }
  }
}

/** Computes the gradient of a similarity by the features a, [N, C, P] like those of b, for `samples` of them. */
export function similarityGradient(
  similarity: Similarity,
  a: Float32Array,
  b: Float32Array,
  samples: number,
  places: number,
): Float32Array {
  if (similarity !== 'cosine') return a.map((value, i) => -2 * (value - at(b, i)));
  const result = new Float32Array(a.length);
  const each = a.length / samples;
  for (let n = 0; n < samples; ++n) {
    const [from, to] = [n * each, (n + 1) * each];
    cosineGradient(a.subarray(from, to), b.subarray(from, to), places, result.subarray(from, to));
  }
  return result;
}
