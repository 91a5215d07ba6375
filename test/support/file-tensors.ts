// Tensors of safetensors files with their bytes as they are, to make files that differ in one thing.
import { open, writeFile } from 'node:fs/promises';

import { readSafetensorsHeader, type Dtype } from '../../lib/files/safetensors.js';
import { safetensorsHeader } from '../../lib/files/tensor-data.js';

export interface FileTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export type FileTensors = Map<string, FileTensor>;

/** Reads all tensors of a file. */
export async function fileTensors(path: string): Promise<FileTensors> {
  const { tensors } = await readSafetensorsHeader(path);
  const file = await open(path);
  try {
    const result: FileTensors = new Map();
    for (const [name, { dtype, shape, offset, bytes: length }] of tensors) {
      const bytes = new Uint8Array(length);
      await file.read(bytes, 0, length, offset);
      result.set(name, { dtype, shape, bytes });
    }
    return result;
  } finally {
    await file.close();
  }
}

/** Writes a file of tensors. */
export async function writeFileTensors(
  path: string,
  tensors: FileTensors,
  metadata: Record<string, string> = {},
): Promise<string> {
  const entries = [...tensors].map(([name, { dtype, shape, bytes }]) => ({
    name,
    dtype,
    shape: [...shape],
    bytes: bytes.length,
  }));
  await writeFile(
    path,
    Buffer.concat([...safetensorsHeader(entries, metadata), ...[...tensors.values()].map(({ bytes }) => bytes)]),
  );
  return path;
}

/** A tensor of float16 zeros. */
export function zeros(...shape: number[]): FileTensor {
  return { dtype: 'F16', shape, bytes: new Uint8Array(2 * shape.reduce((product, size) => product * size, 1)) };
}

/** A tensor of float32 numbers. */
export function floatTensor(values: Float32Array, shape: readonly number[]): FileTensor {
  return { dtype: 'F32', shape, bytes: new Uint8Array(values.slice().buffer) };
}
