import { dirname } from 'node:path';

import { DpmError } from '../base/errors.js';
import type { RecomputePolicy } from '../engine/binding.js';
import { recomputeFact, recomputePolicies } from '../engine/evaluation.js';
import type { Network } from '../engine/network.js';
import { makeFolder } from '../files/files.js';
import { readSafetensorsHeader, type SafetensorsHeader } from '../files/safetensors.js';
import { writeSafetensors, type HostTensor } from '../files/tensor-data.js';
import { specOf, type Command } from './command.js';
import { usageError } from './usage-error.js';
import { modelOptions, withModel } from './model-options.js';
import { type NetworkInputs, readMaps, readNetworkInputs } from './network-inputs.js';
import { printJson } from './output.js';
import { checkTarget } from './target.js';

/** Maps by name, absent ones null. */
type Maps = Record<string, Float32Array | null>;

interface Results {
  maps: Maps;
  /** Gradients of weights by the names of the tensors. */
  weights?: ReadonlyMap<string, Float32Array>;
}

async function pulledBack(
  input: SafetensorsHeader,
  network: Network,
  inputs: NetworkInputs,
  { recompute, weights }: { recompute: RecomputePolicy | undefined; weights: boolean },
): Promise<Results> {
  const { batch, x, t, classLabels } = inputs;
  const read = async (name: string, channels: number): Promise<Float32Array | undefined> =>
    input.tensors.has(name) ? (await readMaps(input, name, network, channels, batch)).data : undefined;
  const cotangent = await read('cotangent', network.info.outChannels);
  const headCotangent = await read('head_cotangent', network.headChannels);
  const options = { classLabels, cotangent, headCotangent, recompute };
  if (weights) {
    const { out, head, gradient, tensors } = await network.gradients(x, t, { ...options, image: true });
    return { maps: { out, head, vjp: gradient }, weights: tensors };
  }
  const { out, head, gradient } = await network.pullback(x, t, options);
  return { maps: { out, head, vjp: gradient } };
}

async function pushedForward(input: SafetensorsHeader, network: Network, inputs: NetworkInputs): Promise<Maps> {
  const { batch, x, t, classLabels } = inputs;
  const { data: tangent } = await readMaps(input, 'tangent', network, network.info.inChannels, batch);
  const pushed = await network.pushforward(x, t, { classLabels, tangent });
  return { out: pushed.out, head: pushed.head, jvp: pushed.tangent, head_jvp: pushed.headTangent };
}

export const gradientCommand: Command = {
  name: 'gradient',
  summary: 'Derivatives of the network at the tensors of a file: cotangents pulled back, a tangent pushed forward.',
  arguments: ['MODEL'],
  options: {
    input: {
      value: 'FILE',
      help: 'safetensors with x, t, class_labels as for forward; cotangent [N,C,H,W] of out, head_cotangent, tangent of x',
    },
    output: { value: 'FILE', help: 'receives out, head; vjp where there are cotangents; jvp, head_jvp of a tangent' },
    weights: {
      help: 'also writes grad.NAME, the gradient of every tensor of the checkpoint that has one, of cotangents',
    },
    recompute: specOf(recomputeFact, `of cotangents: ${recomputeFact.help}`),
    ...modelOptions,
  },
  async run(call) {
    const output = call.options.required('output');
    await checkTarget(output, { flag: '--output' });
    const recompute = call.options.choice('recompute', recomputePolicies);
    const input = await readSafetensorsHeader(call.options.required('input'));
    const has = (name: string): boolean => input.tensors.has(name);
    const [pulls, pushes] = [has('cotangent') || has('head_cotangent'), has('tangent')];
    if (!pulls && !pushes) {
      throw new DpmError(
        'ERR_DPM_TENSOR_MISSING',
        `${input.path}: it has neither cotangent, head_cotangent nor tangent`,
      );
    }
    if (recompute !== undefined && !pulls) throw usageError('--recompute is for cotangents, of which there are none');
    const weights = call.options.flag('weights');
    if (weights && !pulls) throw usageError('--weights is for cotangents, of which there are none');
    await withModel(call, async ({ unet }) => {
      const inputs = await readNetworkInputs(input, unet);
      const pulled = pulls ? await pulledBack(input, unet, inputs, { recompute, weights }) : { maps: {} };
      const maps: Maps = { ...pulled.maps, ...(pushes && (await pushedForward(input, unet, inputs))) };
      const { height, width } = unet.info;
      const tensors = new Map<string, HostTensor>();
      for (const [name, data] of Object.entries(maps)) {
        if (data === null) continue;
        tensors.set(name, {
          shape: [inputs.batch, data.length / (inputs.batch * height * width), height, width],
          data,
        });
      }
      for (const [name, data] of pulled.weights ?? []) {
        tensors.set(`grad.${name}`, { shape: [...(unet.tensors.get(name) ?? [data.length])], data });
      }
      await makeFolder(dirname(output));
      await writeSafetensors(output, tensors);
      if (call.json) printJson({ output, tensors: [...tensors.keys()] });
    });
  },
};
