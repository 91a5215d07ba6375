import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { throwIfAborted } from '../../base/abort.js';
import { elementCount } from '../../base/arrays.js';
import type { NativeWeight } from '../../engine/native-graph.js';
import type { Device } from '../../engine/device.js';
import { Network } from '../../engine/network.js';
import { requiredTensors } from '../../network/cost.js';
import type { UNetDescription } from '../../network/description.js';
import { unetGraph } from '../../network/unet.js';

/** A linear congruential generator: benchmarks need weights of the right size, not good ones. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/**
 * Yields weights W ~ U with variance 1/fan-in, norms near one: activations stay of order one through the network. One
 * tensor at a time, in the order of evaluation; the same ones every time.
 */
export function* randomTensors(
  unet: UNetDescription,
): Generator<{ name: string; shape: number[]; data: Float32Array<ArrayBuffer> }> {
  const random = uniform(1);
  for (const [name, shape] of requiredTensors(unetGraph(unet))) {
    const spread = shape.length > 1 ? Math.sqrt(3 / elementCount(shape.slice(1))) : 0.1;
    const centre = shape.length === 1 && name.endsWith('.weight') ? 1 : 0;
    const data = new Float32Array(elementCount(shape));
    for (let i = 0; i < data.length; ++i) data[i] = centre + spread * random();
    yield { name, shape, data };
  }
}

/** A network of the given description with random weights, through a temporary file that is removed again. */
export async function loadRandomNetwork(
  device: Device,
  description: UNetDescription,
  signal?: AbortSignal,
): Promise<Network> {
  const folder = await mkdtemp(join(tmpdir(), 'dpm-bench-'));
  try {
    const path = join(folder, 'weights.bin');
    const graph = unetGraph(description);
    const tensors: NativeWeight[] = [];
    const file = await open(path, 'wx');
    try {
      let offset = 0;
      for (const { name, shape, data } of randomTensors(description)) {
        throwIfAborted(signal);
        await file.write(new Uint8Array(data.buffer));
        tensors.push({ name, file: 0, dtype: 'F32', shape, offset, bytes: data.byteLength });
        offset += data.byteLength;
      }
    } finally {
      await file.close();
    }
    return await Network.load(device, description, { ...graph, constants: tensors, files: [path] }, { signal });
  } finally {
    await rm(folder, { recursive: true });
  }
}
