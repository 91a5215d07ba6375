// The layers of a small convolutional network in float64: maps are [pixel][channel], one image at a time.

/** Copies a map [size * size][channels] into the middle of a zeroed one with `padding` pixels more on each side. */
function pad(map, padded, size, channels, padding) {
  const row = size * channels;
  for (let y = 0; y < size; ++y) {
    const start = ((y + padding) * (size + 2 * padding) + padding) * channels;
    padded.set(map.subarray(y * row, (y + 1) * row), start);
  }
}

/** The neighbourhood of every pixel, one after the other: [size * size][kernel][kernel][channels]. */
function neighbourhoods(padded, patches, size, channels, kernel) {
  const paddedRow = (size + kernel - 1) * channels;
  const run = kernel * channels;
  let at = 0;
  for (let y = 0; y < size; ++y) {
    for (let x = 0; x < size; ++x) {
      for (let ky = 0; ky < kernel; ++ky) {
        const start = (y + ky) * paddedRow + x * channels;
        for (let i = 0; i < run; ++i) patches[at++] = padded[start + i];
      }
    }
  }
}

/**
 * out[row][o] = bias[o] + sum_k rows[row][k] weights[o][k]. Four outputs at a time, so that four sums are under way at once.
 *
 * @param {Float64Array} out - [count][bias.length]; bias.length a multiple of 4.
 */
export function product(rows, weights, bias, out, count) {
  const outputs = bias.length;
  const depth = weights.length / outputs;
  for (let o = 0; o < outputs; o += 4) {
    const [w0, w1, w2, w3] = [o * depth, (o + 1) * depth, (o + 2) * depth, (o + 3) * depth];
    for (let row = 0; row < count; ++row) {
      const start = row * depth;
      let [a, b, c, d] = [bias[o], bias[o + 1], bias[o + 2], bias[o + 3]];
      for (let k = 0; k < depth; ++k) {
        const value = rows[start + k];
        a += value * weights[w0 + k];
        b += value * weights[w1 + k];
        c += value * weights[w2 + k];
        d += value * weights[w3 + k];
      }
      const place = row * outputs + o;
      out[place] = a;
      out[place + 1] = b;
      out[place + 2] = c;
      out[place + 3] = d;
    }
  }
}

/** Maximum of 2 x 2 pixels, then ReLU: [size * size][channels] to [(size / 2)^2][channels]. */
function poolAndRectify(map, out, size, channels) {
  const row = size * channels;
  let at = 0;
  for (let y = 0; y < size; y += 2) {
    for (let x = 0; x < size; x += 2) {
      const start = y * row + x * channels;
      for (let c = 0; c < channels; ++c) {
        const i = start + c;
        out[at++] = Math.max(map[i], map[i + channels], map[i + row], map[i + row + channels], 0);
      }
    }
  }
}

/** A convolution that keeps the size, 2 x 2 max-pooling and ReLU. */
export class ConvolutionBlock {
  #padded;
  #patches;
  #map;

  /**
   * @param {Float64Array} weights - [outputs][kernel][kernel][channels].
   * @param {Float64Array} bias - [outputs].
   * @param {number} size - Height and width of the input.
   */
  constructor(weights, bias, size, kernel) {
    this.weights = weights;
    this.bias = bias;
    this.size = size;
    this.kernel = kernel;
    this.channels = weights.length / (bias.length * kernel * kernel);
    this.#padded = new Float64Array((size + kernel - 1) ** 2 * this.channels);
    this.#patches = new Float64Array(size * size * kernel * kernel * this.channels);
    this.#map = new Float64Array(size * size * bias.length);
    this.out = new Float64Array((this.#map.length / 4) | 0);
  }

  /** [size * size][channels] to [(size / 2)^2][outputs]; the result is overwritten by the next call. */
  forward(map) {
    const { size, channels, kernel } = this;
    pad(map, this.#padded, size, channels, (kernel - 1) / 2);
    neighbourhoods(this.#padded, this.#patches, size, channels, kernel);
    product(this.#patches, this.weights, this.bias, this.#map, size * size);
    poolAndRectify(this.#map, this.out, size, this.bias.length);
    return this.out;
  }
}
