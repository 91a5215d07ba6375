// The model of the CUDA device fuses as the device does.
import '../support/emulated-cuda.js';

import { afterAll,expect,it } from 'vitest';

import { cudaNodes } from '../../bench/roofline/fusion.js';
import { graphOf } from '../../bench/roofline/graph.js';
import { parseDiffusersConfig } from '../../lib/checkpoint/diffusers-config.js';
import { diffusersNetwork } from '../../lib/checkpoint/diffusers.js';
import type { NativeNode } from '../../lib/engine/binding.js';
import { Device } from '../../lib/engine/device.js';
import type { UNetDescription } from '../../lib/network/description.js';

const devices = ['cpu', 'cuda'].map((device) => Device.open({ device, dtype: 'f32', exact: true }));
afterAll(async () => {
  for (const device of devices) await device.close();
});

const config = {
  _class_name: 'UNet2DModel',
  sample_size: 16,
  in_channels: 3,
  out_channels: 3,
  layers_per_block: 1,
  block_out_channels: [32, 64],
  down_block_types: ['DownBlock2D', 'AttnDownBlock2D'],
  up_block_types: ['AttnUpBlock2D', 'UpBlock2D'],
  attention_head_dim: null,
  norm_num_groups: 8,
};

/** Operations and shapes: the numbers of values differ, names of enlargements too. */
function outlineOf(nodes: readonly NativeNode[]): unknown[] {
  return nodes.map(({ op, inputs, output, ...node }) => ({
    op,
    maps: [...inputs, output].map((map) => (map === null ? null : { ...map, value: 0 })),
    multiplyAdds: node.multiplyAdds,
    kernel: [node.kernel, node.stride, node.padBefore, node.padAfter],
    ends: [node.bias, node.silu, node.scale, node.upsample],
  }));
}

it.each(['default', 'scale_shift'])('from a graph of the cpu, with time embeddings: %s', async (scale) => {
  const name = 'small';
  const unet: UNetDescription = diffusersNetwork(
    parseDiffusersConfig({ ...config, resnet_time_scale_shift: scale }, name),
    name,
  );
  const [cpu, cuda] = await Promise.all(devices.map((device) => graphOf(device, unet)));
  expect(cpu!.some(({ upsample }) => upsample)).toBe(true);
  expect(outlineOf(cudaNodes(cpu!))).toEqual(outlineOf(cuda!));
});
