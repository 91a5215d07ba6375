import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { readSafetensorsHeader } from 'dpm-native';

import type { ModelConfig } from '../config/model-config.js';

/** A network's own weights in its folder; the same may lie beside them in half precision, and each may be in parts. */
const weights = /^(?:diffusion_pytorch_model|model)\b.*\.safetensors$/;

/** Numbers in a file of weights. */
async function numbersOf(file: string): Promise<number> {
  const { tensors } = await readSafetensorsHeader(file);
  const counts = [...tensors.values()].map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Numbers of the network in a folder, of that form of its weights which has the fewest. */
async function numbersIn(folder: string): Promise<number> {
  const names = (await readdir(folder)).filter((name) => weights.test(name));
  const forms = new Map<string, number>();
  for (const name of names) {
    const form = name.replace(/-\d+-of-\d+/, '');
    forms.set(form, (forms.get(form) ?? 0) + (await numbersOf(join(folder, name))));
  }
  return forms.size === 0 ? 0 : Math.min(...forms.values());
}

/**
 * Bytes that a model takes at least, as its safetensors files say before it is loaded: its weights alone, in the type that they are held in.
 * 0 where there are none, or none that can be read.
 */
export async function leastBytes({ path, dtype, exact, device, engines = 1 }: ModelConfig): Promise<number> {
  const ways = [numbersIn(join(path, 'unet')), numbersIn(path), numbersOf(path)];
  const numbers = await Promise.all(ways.map((way) => way.catch(() => 0)));
  const isFloat32 = dtype === undefined ? exact === true || device === 'cpu' : dtype === 'f32';
  return engines * (numbers.find((count) => count > 0) ?? 0) * (isFloat32 ? 4 : 2);
}
