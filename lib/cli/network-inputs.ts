import { DpmError } from '../base/errors.js';
import type { Network } from '../engine/network.js';
import type { SafetensorsHeader } from '../files/safetensors.js';
import { readFloats, readLabels } from '../files/tensor-data.js';

const floatTypes = ['F32', 'F16', 'BF16', 'F64'] as const;

/** Inputs of a network's evaluation. */
export interface NetworkInputs {
  batch: number;
  x: Float32Array;
  t: Float32Array;
  classLabels: Int32Array | undefined;
}

/**
 * Reads the tensor `name` of a file, of the network's height and width and so many channels; all if null.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the file and the tensor.
 */
export async function readMaps(
  input: SafetensorsHeader,
  name: string,
  { info: { height, width } }: Network,
  channels: number,
  batch?: number,
): Promise<{ batch: number; data: Float32Array }> {
  const { shape, data } = await readFloats(input, name, floatTypes);
  const [found = 0, ...sample] = shape;
  if (sample.join() !== [channels, height, width].join() || found !== (batch ?? found)) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${input.path}: ${name} is [${shape.join(', ')}], it has to be [${batch ?? 'N'}, ${channels}, ${height}, ${width}]`,
    );
  }
  return { batch: found, data };
}

/** The tensors `x`, `t` and `class_labels` of a file. */
export async function readNetworkInputs(input: SafetensorsHeader, network: Network): Promise<NetworkInputs> {
  const { inChannels, classes } = network.info;
  const { batch, data: x } = await readMaps(input, 'x', network, inChannels);
  const t = await readFloats(input, 't', ['F32', 'I64', 'F64', 'I32']);
  const classLabels = input.tensors.has('class_labels') ? await readLabels(input, 'class_labels', classes) : undefined;
  return { batch, x, t: t.data, classLabels };
}
