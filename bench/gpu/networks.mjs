// The networks that are timed: the bundled one, and public configurations with random weights.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadableNetwork } from '../../dist/checkpoint/model-folder.js';
import { readModelFolder } from '../../dist/checkpoint/read-model.js';
import { writeSafetensors } from '../../dist/files/tensor-data.js';
import { parseDiffusersConfig } from '../../dist/checkpoint/diffusers-config.js';
import { diffusersNetwork } from '../../dist/checkpoint/diffusers.js';
import { benchNetworks } from '../../dist/cli/bench/networks.js';
import { loadRandomNetwork, randomTensors } from '../../dist/cli/bench/random-network.js';
import { DiffusionModel } from '../../dist/index.js';
import { Network } from '../../dist/engine/network.js';
import { packagePath } from './settings.mjs';

const bundled = packagePath('models/mnist');

/** A network with large images and little work, for measuring everything but the network. */
const small = {
  ...benchNetworks['ddpm-cifar10-32'].diffusers,
  sample_size: 256,
  block_out_channels: new Array(5).fill(32),
  down_block_types: new Array(5).fill('DownBlock2D'),
  up_block_types: new Array(5).fill('UpBlock2D'),
  layers_per_block: 1,
};
const networks = {
  ...benchNetworks,
  'small-256': { unet: diffusersNetwork(parseDiffusersConfig(small, 'small-256'), 'small-256'), diffusers: small },
};

/** A network as diffusers' `UNet2DModel` describes it. */
export function configurationOf(name) {
  return name === 'mnist'
    ? JSON.parse(readFileSync(join(bundled, 'unet/config.json'), 'utf8'))
    : networks[name].diffusers;
}

export async function loadNetwork(device, name) {
  if (name !== 'mnist') return loadRandomNetwork(device, networks[name].unet);
  const { unet, graph } = await loadableNetwork(await readModelFolder(bundled), null);
  return Network.load(device, unet, graph);
}

/** Lends a model and closes it whatever happens. */
export async function withModel(folder, options, use) {
  const model = await DiffusionModel.load(folder, options);
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

/** Lends a model folder with the network in it. */
export async function withModelFolder(name, use) {
  if (name === 'mnist') return use(bundled);
  const folder = mkdtempSync(join(tmpdir(), 'dpm-gpu-check-'));
  try {
    cpSync(join(bundled, 'scheduler'), join(folder, 'scheduler'), { recursive: true });
    cpSync(join(bundled, 'model_index.json'), join(folder, 'model_index.json'));
    mkdirSync(join(folder, 'unet'));
    writeFileSync(join(folder, 'unet/config.json'), JSON.stringify(configurationOf(name)));
    const tensors = new Map([...randomTensors(networks[name].unet)].map(({ name: key, ...tensor }) => [key, tensor]));
    await writeSafetensors(join(folder, 'unet/diffusion_pytorch_model.safetensors'), tensors);
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
