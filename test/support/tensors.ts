// Tensors of fixtures.
import { readSafetensorsHeader } from '../../lib/files/safetensors.js';
import { readFloats } from '../../lib/files/tensor-data.js';

/** Gives a tensor of a file by its name. */
export function tensorReader(path: string): (name: string, types?: readonly ['I64']) => Promise<Float32Array> {
  return async (name, types) => (await readFloats(await readSafetensorsHeader(path), name, types)).data;
}

/** All tensors of a file, or those of some names. */
export async function readTensors(
  path: string,
  isWanted: (name: string) => boolean = () => true,
): Promise<Record<string, Float32Array>> {
  const header = await readSafetensorsHeader(path);
  const names = [...header.tensors.keys()].filter(isWanted);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, (await readFloats(header, name)).data] as const)),
  );
}

/** The largest magnitude. */
export function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
