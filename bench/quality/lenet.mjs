// Features of an image of 28 x 28 grey levels: the 64 values before the classes of a LeNet, that in mnist-lenet/ or in the
// folder of --features-model.
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { readFloats, readSafetensorsHeader } from '../../dist/index.js';
import { ConvolutionBlock, product } from './layers.mjs';

const digitsFolder = fileURLToPath(new URL('mnist-lenet', import.meta.url));
const imageSize = 28;
const kernel = 5;

/** Recorded with every result: distances on other features are not comparable. */
export const name = basename(digitsFolder);

/** [outputs][channels][pixels] to [outputs][pixels][channels], the order of the maps here. */
function channelsLast(weights, channels, pixels) {
  const outputs = weights.length / (channels * pixels);
  const moved = new Float64Array(weights.length);
  for (let o = 0; o < outputs; ++o) {
    for (let c = 0; c < channels; ++c) {
      for (let p = 0; p < pixels; ++p)
        moved[(o * pixels + p) * channels + c] = weights[(o * channels + c) * pixels + p];
    }
  }
  return moved;
}

async function layer(header, prefix, channels, pixels) {
  const weights = await readFloats(header, `${prefix}.weight`, ['F32']);
  const bias = await readFloats(header, `${prefix}.bias`, ['F32']);
  return { weights: channelsLast(weights.data, channels, pixels), bias: Float64Array.from(bias.data) };
}

function requireSize([, ...shape]) {
  const expected = [1, imageSize, imageSize];
  if (shape.join() !== expected.join()) {
    throw new Error(`a LeNet takes images of shape [${expected.join(', ')}], these are [${shape.join(', ')}]`);
  }
}

class LeNet {
  #first;
  #second;
  #last;

  constructor(name, first, second, last) {
    this.name = name;
    this.#first = new ConvolutionBlock(first.weights, first.bias, imageSize, kernel);
    this.#second = new ConvolutionBlock(second.weights, second.bias, imageSize / 2, kernel);
    this.#last = last;
    this.dimension = last.bias.length;
  }

  /**
   * @param {Uint8Array} levels - Grey levels [N, 1, 28, 28].
   * @param {number[]} shape
   * @returns {Promise<Float64Array>} [N, 64].
   */
  async features(levels, shape) {
    requireSize(shape);
    const pixels = imageSize * imageSize;
    const image = new Float64Array(pixels);
    const all = new Float64Array(shape[0] * this.dimension);
    for (let n = 0; n < shape[0]; ++n) {
      for (let i = 0; i < pixels; ++i) image[i] = levels[n * pixels + i] / 127.5 - 1;
      const map = this.#second.forward(this.#first.forward(image));
      const features = all.subarray(n * this.dimension, (n + 1) * this.dimension);
      product(map, this.#last.weights, this.#last.bias, features, 1);
      for (let i = 0; i < features.length; ++i) features[i] = Math.max(features[i], 0);
    }
    return all;
  }

  async close() {}
}

/**
 * @param {{ model?: string }} options - The folder of its weights; by default that for digits.
 * @returns {Promise<{ name: string, dimension: number, features(levels: Uint8Array, shape: number[]): Promise<Float64Array>, close(): Promise<void> }>}
 */
export async function open({ model = digitsFolder } = {}) {
  const header = await readSafetensorsHeader(join(model, 'model.safetensors'));
  const area = kernel * kernel;
  const pooled = (imageSize / 4) ** 2;
  return new LeNet(
    basename(resolve(model)),
    await layer(header, 'conv1', 1, area),
    await layer(header, 'conv2', 16, area),
    await layer(header, 'fc1', 32, pooled),
  );
}
