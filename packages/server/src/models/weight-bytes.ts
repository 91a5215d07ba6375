import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { readSafetensorsHeader } from 'dpm-native';

import type { ModelConfig } from '../config/model-config.js';

/** Files with the weights of a network. A folder may have them in single and in half precision, each in one file or in parts. */
const weights = /^(?:diffusion_pytorch_model|model)\b.*\.safetensors$/;

/** Counts the numbers in a file of weights. */
async function numbersOf(file: string): Promise<number> {
  const { tensors } = await readSafetensorsHeader(file);
  const counts = [...tensors.values()].map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Counts the numbers of the network in a folder. If it has several forms of the weights, the smallest counts. */
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
 * The least bytes that a model takes: its weights alone, in the type in which they are held, by the headers of its safetensors files.
 * It is 0 where there are no such files, or none that can be read.
 */
export async function leastBytes({ path, dtype, exact, device, engines = 1 }: ModelConfig): Promise<number> {
  const ways = [numbersIn(join(path, 'unet')), numbersIn(path), numbersOf(path)];
  const numbers = await Promise.all(ways.map((way) => way.catch(() => 0)));
  const isFloat32 = dtype === undefined ? exact === true || device === 'cpu' : dtype === 'f32';
  return engines * (numbers.find((count) => count > 0) ?? 0) * (isFloat32 ? 4 : 2);
}
