import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { elementCount } from '../../arrays.js';
import { requiredTensors } from '../../checkpoint/network.js';
import type { Device } from '../../device.js';
import { nativeWork } from '../../errors.js';
import type { NativeUNet, NativeWeight } from '../../native.js';
import { UNet } from '../../unet.js';

/** A linear congruential generator: benchmarks need weights of the right size, not good ones. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** Weights W ~ U with variance 1/fan-in, norms near one: activations stay of order one through the network. */
function fill(values: Uint16Array, name: string, shape: readonly number[], random: () => number): void {
  const fanIn = elementCount(shape.slice(1));
  const spread = shape.length > 1 ? Math.sqrt(3 / fanIn) : 0.1;
  const centre = shape.length === 1 && name.endsWith('.weight') ? 1 : 0;
  const float = new Float32Array(1);
  const word = new Uint32Array(float.buffer);
  for (let i = 0; i < values.length; ++i) {
    float[0] = centre + spread * random();
    values[i] = (word[0] ?? 0) >>> 16;
  }
}

/**
 * A network of the given description with random bfloat16 weights, through a temporary file that is removed again.
 */
export async function loadRandomNetwork(device: Device, description: NativeUNet): Promise<UNet> {
  const shapes = requiredTensors(description);
  const tensors: NativeWeight[] = [];
  let offset = 0;
  for (const [name, shape] of shapes) {
    const bytes = 2 * elementCount(shape);
    tensors.push({ name, file: 0, dtype: 'BF16', shape, offset, bytes });
    offset += bytes;
  }
  const data = new Uint16Array(offset / 2);
  const random = uniform(1);
  for (const { name, shape, offset: start, bytes } of tensors) {
    fill(data.subarray(start / 2, (start + bytes) / 2), name, shape, random);
  }
  const folder = await mkdtemp(join(tmpdir(), 'dpm-bench-'));
  try {
    const file = join(folder, 'weights.bin');
    await writeFile(file, data);
    const network = await nativeWork(() => device.engine.loadNetwork(description, { files: [file], tensors }));
    return new UNet(device, network, description);
  } finally {
    await rm(folder, { recursive: true });
  }
}
