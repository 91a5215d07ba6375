import { join } from 'node:path';

import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { isThere } from '../files/files.js';
import { readFloats, type HostTensor } from '../files/tensor-data.js';
import type { SafetensorsHeader } from '../files/safetensors.js';
import { Autoencoder } from '../latents/autoencoder.js';
import { ClipTextEncoder } from '../latents/text-encoder.js';
import type { Call } from './command.js';
import { deviceSettings } from './model-options.js';

/** Networks of a pipeline's folder that can be evaluated alone, and the folders that they lie in. */
const folders = {
  unet: 'unet',
  'vae-encoder': 'vae',
  'vae-decoder': 'vae',
  text: 'text_encoder',
  'text-2': 'text_encoder_2',
} as const;

export type Component = keyof typeof folders;
export const components = Object.keys(folders) as Component[];

/** Gives the folder of a component: inside a pipeline's, or the path itself. */
async function folderOf(path: string, component: Component): Promise<string> {
  const inside = join(path, folders[component]);
  return (await isThere(join(inside, 'config.json'))) ? inside : path;
}

/** Reads maps [N, C, H, W]. */
async function readMaps(input: SafetensorsHeader, name: string): Promise<{ data: Float32Array; sides: number[] }> {
  const { shape, data } = await readFloats(input, name);
  if (shape.length === 4) return { data, sides: shape.slice(2) };
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${input.path}: tensor '${name}' is [${shape.join(', ')}], it has to be [N, C, H, W]`,
  );
}

const tensor = (shape: number[], data: Float32Array): HostTensor => ({ shape, data });

async function encoded(vae: Autoencoder, input: SafetensorsHeader, call: Call): Promise<Map<string, HostTensor>> {
  const { data, sides } = await readMaps(input, 'image');
  const [height, width] = [at(sides, 0), at(sides, 1)];
  const { mean, logVariance } = await vae.encode(data, { height, width, signal: call.signal });
  const latents = [vae.latentChannels, height / vae.factor, width / vae.factor];
  const shape = [mean.length / latents.reduce((product, side) => product * side, 1), ...latents];
  const result = new Map([['mean', tensor(shape, mean)]]);
  if (logVariance !== null) result.set('logvar', tensor(shape, logVariance));
  return result;
}

async function decoded(vae: Autoencoder, input: SafetensorsHeader, call: Call): Promise<Map<string, HostTensor>> {
  const { data, sides } = await readMaps(input, 'latents');
  const [height, width] = [at(sides, 0) * vae.factor, at(sides, 1) * vae.factor];
  const images = await vae.decode(data, { height, width, signal: call.signal });
  const image = vae.imageChannels * height * width;
  return new Map([['decoded', tensor([images.length / image, vae.imageChannels, height, width], images)]]);
}

async function states(encoder: ClipTextEncoder, input: SafetensorsHeader): Promise<Map<string, HostTensor>> {
  const ids = Int32Array.from((await readFloats(input, 'input_ids', ['I64', 'I32'])).data);
  const { hidden, pooled } = await encoder.encode(ids);
  const batch = ids.length / encoder.tokens;
  return new Map([
    ['last_hidden_state', tensor([batch, encoder.tokens, encoder.width], hidden)],
    ['pooled', tensor([batch, encoder.pooledWidth], pooled)],
  ]);
}

/** Evaluates a network of a pipeline once, on the tensors of a file. */
export async function forwardComponent(
  component: Exclude<Component, 'unet'>,
  input: SafetensorsHeader,
  call: Call,
): Promise<Map<string, HostTensor>> {
  const path = await folderOf(call.positionals[0] ?? '', component);
  const options = { ...deviceSettings(call.options), signal: call.signal };
  if (component === 'text' || component === 'text-2') {
    await using encoder = await ClipTextEncoder.load(path, options);
    return await states(encoder, input);
  }
  await using vae = await Autoencoder.load(path, options);
  return await (component === 'vae-encoder' ? encoded : decoded)(vae, input, call);
}
