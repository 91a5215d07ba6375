// The model of the CUDA device fuses as the device does.
import '../support/emulated-cuda.js';

import { afterAll,expect,it } from 'vitest';

import { rooflineGraphs } from '../../bench/roofline/command.js';
import { cudaNodes } from '../../bench/roofline/fusion.js';
import { graphOf } from '../../bench/roofline/graph.js';
import { kernelsOfStep } from '../../bench/roofline/model.js';
import { parseDiffusersConfig } from '../../lib/checkpoint/diffusers-config.js';
import { diffusersNetwork } from '../../lib/checkpoint/diffusers.js';
import type { NativeNode } from '../../lib/engine/native-node.js';
import { Device } from '../../lib/engine/device.js';
import { samplers } from '../../lib/index.js';
import { DiffusionModel } from '../../lib/model.js';
import type { UNetDescription } from '../../lib/network/description.js';
import { packagePath } from '../support/temporary.js';

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

/** Operations and shapes, in any order: that of shortcuts differs, as numbers of values and names of enlargements do. */
function outlineOf(nodes: readonly (NativeNode & { biasInNorm?: boolean })[]): string[] {
  const outlines = nodes.map(({ op, inputs, output, ...node }) => ({
    op,
    maps: [...inputs, output].map((map) => (map === null ? null : { ...map, value: 0, storage: 0 })),
    multiplyAdds: node.multiplyAdds,
    kernel: [node.kernel, node.stride, node.padBefore, node.padAfter],
    ends: [node.bias && node.biasInNorm !== true, node.silu, node.scale, node.upsample],
  }));
  return outlines.map((outline) => JSON.stringify(outline)).toSorted();
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

it.each([1, 3])('a step of %i samples has as many nodes as the model says', async (batch) => {
  const folder = packagePath('models/mnist');
  const [graph] = await rooflineGraphs([folder]);
  await using model = await DiffusionModel.load(folder, { device: 'cuda', dtype: 'bf16' });
  await model.run(samplers.ddim(model.schedule, { steps: 2 }), { count: batch, batch });
  const { graphNodes, failedCaptures } = model.device.statistics()!;
  expect(failedCaptures).toBe(0);
  expect(graphNodes).toBe(kernelsOfStep(graph!.nodes, 'bf16', batch).length);
});
