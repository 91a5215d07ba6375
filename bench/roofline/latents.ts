// Graphs of Stable Diffusion 1.5 at 512 x 512, whose products the CUDA device asks cuDNN for.
import { parseAutoencoderConfig } from '../../lib/checkpoint/pipelines/autoencoder-config.js';
import { parseConditionalConfig } from '../../lib/checkpoint/pipelines/conditional-config.js';
import type { Device } from '../../lib/engine/device.js';
import type { NativeNode } from '../../lib/engine/native-node.js';
import { autoencoderGraph } from '../../lib/network/autoencoder.js';
import { conditionalGraph, promptGraph } from '../../lib/network/conditional.js';
import { fusedNodes } from './graph.js';

const channels = [320, 640, 1280, 1280];
const unet = {
  _class_name: 'UNet2DConditionModel',
  sample_size: 64,
  in_channels: 4,
  out_channels: 4,
  block_out_channels: channels,
  down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
  layers_per_block: 2,
  attention_head_dim: 8,
  cross_attention_dim: 768,
};
const vae = {
  _class_name: 'AutoencoderKL',
  sample_size: 512,
  in_channels: 3,
  out_channels: 3,
  latent_channels: 4,
  block_out_channels: [128, 256, 512, 512],
  down_block_types: Array.from({ length: 4 }, () => 'DownEncoderBlock2D'),
  up_block_types: Array.from({ length: 4 }, () => 'UpDecoderBlock2D'),
  layers_per_block: 2,
  norm_num_groups: 32,
  act_fn: 'silu',
};

/** Nodes of the U-Net, of the keys and values of a prompt, and of the decoder; takes 4 GB of memory. */
export async function latentNodes(device: Device): Promise<NativeNode[][]> {
  const { description } = parseConditionalConfig(unet, 'Stable Diffusion 1.5');
  const autoencoder = parseAutoencoderConfig(vae, 'its autoencoder').description;
  const latents = { height: 64, width: 64 };
  const graphs = [
    conditionalGraph(description, { ...latents, tokens: 77 }),
    promptGraph(description, 77),
    autoencoderGraph(autoencoder, 'decoder', latents),
  ];
  const nodes: NativeNode[][] = [];
  for (const graph of graphs) nodes.push(await fusedNodes(device, graph, { classes: 0, divisor: null }));
  return nodes;
}
