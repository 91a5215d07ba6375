// Weights of every storage type, in one file or in shards, give the same network.
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader, readTensorBytes } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { DiffusionModel } from '../../../lib/model.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const fixture = packagePath('test/fixtures/unet/diffusers-ddpm');
const scratch = temporaryFolder();
const weightsName = 'diffusion_pytorch_model.safetensors';

interface Stored {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

/** A safetensors file from raw bytes, written by hand: the library's own writer knows no half precision. */
async function writeTensors(path: string, tensors: ReadonlyMap<string, Stored>): Promise<void> {
  const header: Record<string, unknown> = {};
  let position = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [position, position + bytes.length] };
    position += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  await writeFile(path, Buffer.concat([length, json, ...[...tensors.values()].map(({ bytes }) => bytes)]));
}

async function storedTensors(): Promise<Map<string, Stored>> {
  const header = await readSafetensorsHeader(join(fixture, 'unet', weightsName));
  const tensors = new Map<string, Stored>();
  for (const [name, { dtype, shape }] of header.tensors) {
    tensors.set(name, { dtype, shape, bytes: (await readTensorBytes(header, name)).bytes });
  }
  return tensors;
}

/** A copy of the fixture without its weights. */
async function emptyCopy(name: string): Promise<string> {
  const folder = join(scratch, name);
  await mkdir(join(folder, 'unet'), { recursive: true });
  await cp(join(fixture, 'unet', 'config.json'), join(folder, 'unet', 'config.json'));
  await cp(join(fixture, 'scheduler'), join(folder, 'scheduler'), { recursive: true });
  return folder;
}

async function prediction(folder: string): Promise<Float32Array> {
  await using model = await DiffusionModel.load(folder, { device: 'cpu' });
  return (
    await model.unet.forward(
      new Float32Array(3 * 16 * 16).map((_, i) => Math.sin(i)),
      300,
    )
  ).out;
}

/** Values rounded to bfloat16, as bfloat16 and as float32. */
function roundedToBFloat16(values: Float32Array): { half: Uint8Array; full: Uint8Array } {
  const words = new Uint32Array(values.buffer.slice(0));
  const half = Uint16Array.from(words, (word) => word >>> 16);
  return {
    half: new Uint8Array(half.buffer),
    full: new Uint8Array(words.map((word) => (word >>> 16) << 16).buffer),
  };
}

describe('weights', () => {
  it('in shards are the same network', async () => {
    const tensors = await storedTensors();
    const names = [...tensors.keys()];
    const folder = await emptyCopy('shards');
    const map: Record<string, string> = {};
    for (const shard of [0, 1, 2]) {
      const file = `diffusion_pytorch_model-0000${shard + 1}-of-00003.safetensors`;
      const part = new Map(names.filter((_, i) => i % 3 === shard).map((name) => [name, tensors.get(name)!]));
      for (const name of part.keys()) map[name] = file;
      await writeTensors(join(folder, 'unet', file), part);
    }
    await writeFile(
      join(folder, 'unet', `${weightsName}.index.json`),
      JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }),
    );
    expect(await prediction(folder)).toEqual(await prediction(fixture));
  });

  it('in float16, float32 and bfloat16 are the same numbers', async () => {
    const tensors = await storedTensors();
    const header = await readSafetensorsHeader(join(fixture, 'unet', weightsName));
    const variants: Record<'full' | 'half' | 'fullOfHalf', Map<string, Stored>> = {
      full: new Map(),
      half: new Map(),
      fullOfHalf: new Map(),
    };
    for (const [name, { dtype, shape }] of tensors) {
      expect(dtype).toBe('F16');
      const { data } = await readFloats(header, name);
      const rounded = roundedToBFloat16(data);
      variants.full.set(name, { dtype: 'F32', shape, bytes: new Uint8Array(data.buffer) });
      variants.half.set(name, { dtype: 'BF16', shape, bytes: rounded.half });
      variants.fullOfHalf.set(name, { dtype: 'F32', shape, bytes: rounded.full });
    }
    const outputs: Float32Array[] = [];
    for (const [name, variant] of Object.entries(variants)) {
      const folder = await emptyCopy(name);
      await writeTensors(join(folder, 'unet', weightsName), variant);
      outputs.push(await prediction(folder));
    }
    expect(outputs[0]).toEqual(await prediction(fixture));
    expect(outputs[1]).toEqual(outputs[2]);
    expect(outputs[1]).not.toEqual(outputs[0]);
  });
});
