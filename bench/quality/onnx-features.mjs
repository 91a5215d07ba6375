// Features of any ONNX network by onnxruntime-node; an Inception network without its classes gives FID with the usual 2048.
//
// Input [N, 3, H, W] in [-1, 1], images resized bilinearly; the first output is [N, D] or [N, D, 1, 1].
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';

import { resizePlane } from './resize.mjs';

export const name = 'onnx';

/** Height and width where the file leaves them open: those of Inception. */
const usualSize = 299;
const channels = 3;

async function importRuntime() {
  for (const place of [import.meta.url, new URL('../peers/package.json', import.meta.url)]) {
    let path;
    try {
      path = createRequire(place).resolve('onnxruntime-node');
    } catch {
      continue;
    }
    return (await import(pathToFileURL(path).href)).default;
  }
  throw new Error('onnx-features.mjs needs onnxruntime-node: cd bench/peers && npm install --ignore-scripts');
}

/** Height and width of the network's input, from its file where it says them. */
function inputSize(session, file) {
  const { shape } = session.inputMetadata[0];
  if (shape.length !== 4 || (typeof shape[1] === 'number' && shape[1] > 0 && shape[1] !== channels)) {
    throw new Error(`${file}: input ${session.inputNames[0]} is [${shape.join(', ')}], it has to be [N, 3, H, W]`);
  }
  return shape.slice(2).map((size) => (typeof size === 'number' && size > 0 ? size : usualSize));
}

class OnnxFeatures {
  #runtime;
  #session;
  #size;

  constructor(runtime, session, file) {
    this.#runtime = runtime;
    this.#session = session;
    this.#size = inputSize(session, file);
    this.name = `${name}:${basename(file)}`;
  }

  /** The network's input: every image resized, in [-1, 1], one channel repeated. */
  #input(levels, [count, imageChannels, height, width]) {
    if (imageChannels !== 1 && imageChannels !== channels) {
      throw new Error(`images of ${imageChannels} channels have no colours; 1 or ${channels} are needed`);
    }
    const area = this.#size[0] * this.#size[1];
    const input = new Float32Array(count * channels * area);
    for (let plane = 0; plane < count * channels; ++plane) {
      const source = imageChannels === 1 ? Math.floor(plane / channels) : plane;
      const from = levels.subarray(source * height * width, (source + 1) * height * width);
      const out = input.subarray(plane * area, (plane + 1) * area);
      resizePlane(from, [height, width], out, this.#size, (value) => value / 127.5 - 1);
    }
    return new this.#runtime.Tensor('float32', input, [count, channels, ...this.#size]);
  }

  /**
   * @param {Uint8Array} levels - Grey levels [N, C, H, W], C 1 or 3.
   * @param {number[]} shape
   * @returns {Promise<Float64Array>} [N, D].
   */
  async features(levels, shape) {
    const [inputName] = this.#session.inputNames;
    const outputs = await this.#session.run({ [inputName]: this.#input(levels, shape) });
    return Float64Array.from(outputs[this.#session.outputNames[0]].data);
  }

  async close() {
    await this.#session.release();
  }
}

/**
 * @param {{ model?: string }} options - The ONNX file; by default that of the environment variable DPM_FEATURES_MODEL.
 * @returns {Promise<{ name: string, dimension: number, features(levels: Uint8Array, shape: number[]): Promise<Float64Array>, close(): Promise<void> }>}
 */
export async function open({ model: file = process.env.DPM_FEATURES_MODEL } = {}) {
  if (file === undefined) throw new Error('which network? Give its ONNX file: --features-model or DPM_FEATURES_MODEL');
  const runtime = await importRuntime();
  let session;
  try {
    session = await runtime.InferenceSession.create(file);
  } catch (cause) {
    throw new Error(`cannot load ${file}: ${cause.message}`, { cause });
  }
  const opened = new OnnxFeatures(runtime, session, file);
  opened.dimension = (await opened.features(new Uint8Array(1), [1, 1, 1, 1])).length;
  return opened;
}
