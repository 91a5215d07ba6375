// Networks and the classifiers that guide them, in folders that dpm-native and PyTorch read alike.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { openaiClassifier } from '../../dist/checkpoint/families/openai-classifier.js';
import { benchNetworks } from '../../dist/cli/bench/networks.js';
import { randomTensors } from '../../dist/cli/bench/random-network.js';
import { writeSafetensors } from '../../dist/files/tensor-data.js';

/** A classifier with the widths of ddpm-cifar10-32, otherwise like those that guided-diffusion published for larger images. */
const classifierConfig = {
  family: 'openai-classifier',
  image_size: 32,
  in_channels: 3,
  model_channels: 128,
  out_channels: 10,
  num_res_blocks: 2,
  attention_resolutions: [2, 4],
  channel_mult: [1, 2, 2, 2],
  num_head_channels: 64,
  use_scale_shift_norm: true,
  resblock_updown: true,
  pool: 'attention',
};

const schedulerConfig = {
  _class_name: 'DDPMScheduler',
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: 'linear',
  clip_sample: true,
  prediction_type: 'epsilon',
};

const writeJson = (file, value) => writeFileSync(file, JSON.stringify(value));

/** Writes a network with random weights as a model of diffusers, and returns its folder, which is made inside of another. */
export async function writeRandomModel(parent, name) {
  const { unet, diffusers } = benchNetworks[name];
  const folder = join(parent, 'model');
  for (const part of ['', 'unet', 'scheduler']) mkdirSync(join(folder, part));
  writeJson(join(folder, 'model_index.json'), { unet: ['diffusers', 'UNet2DModel'] });
  writeJson(join(folder, 'scheduler/scheduler_config.json'), schedulerConfig);
  writeJson(join(folder, 'unet/config.json'), diffusers);
  const tensors = new Map([...randomTensors(unet)].map(({ name: tensor, ...rest }) => [tensor, rest]));
  await writeSafetensors(join(folder, 'unet/diffusion_pytorch_model.safetensors'), tensors);
  return folder;
}

/** Writes values to the places that a view names. */
function scatter(to, values, { offset, dims, strides }) {
  values.forEach((value, index) => {
    let rest = index;
    let place = offset;
    for (let axis = dims.length - 1; axis >= 0; --axis) {
      place += (rest % dims[axis]) * strides[axis];
      rest = Math.floor(rest / dims[axis]);
    }
    to[place] = value;
  });
}

/** Writes a classifier with random weights, under the names of its original. */
async function writeRandomClassifier(parent) {
  const folder = join(parent, 'classifier');
  mkdirSync(folder);
  writeJson(join(folder, 'config.json'), classifierConfig);
  const { unet, source } = openaiClassifier.network(classifierConfig, 'the classifier');
  const tensors = new Map();
  for (const { name, shape: own, data } of randomTensors(unet)) {
    const { key, shape = own, view = { offset: 0, dims: [data.length], strides: [1] } } = source(name, own);
    if (!tensors.has(key)) tensors.set(key, { shape, data: new Float32Array(shape.reduce((a, b) => a * b)) });
    scatter(tensors.get(key).data, data, view);
  }
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return folder;
}

const bundled = (name) => fileURLToPath(new URL(`../../models/${name}`, import.meta.url));

/**
 * By name: what makes the folders of a network and of its classifier inside of another folder, and the scale of the gradient,
 * at which the guide moves the result by more than a per cent.
 */
export const guidedPairs = {
  'ddpm-cifar10-32': {
    scale: 10,
    model: (folder) => writeRandomModel(folder, 'ddpm-cifar10-32'),
    classifier: writeRandomClassifier,
  },
  mnist: {
    scale: 0.1,
    model: () => bundled('mnist'),
    classifier: () => bundled('mnist-classifier'),
  },
};
