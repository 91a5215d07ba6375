import { dirname } from 'node:path';

import { makeFolder } from '../files/files.js';
import { readSafetensorsHeader, type SafetensorsHeader } from '../files/safetensors.js';
import { writeSafetensors, type HostTensor } from '../files/tensor-data.js';
import type { Call, Command } from './command.js';
import { components, forwardComponent } from './forward-component.js';
import { modelOptions, withModel } from './model-options.js';
import { readNetworkInputs } from './network-inputs.js';
import { printJson } from './output.js';
import { checkTarget } from './target.js';

async function forwardModel(input: SafetensorsHeader, call: Call): Promise<Map<string, HostTensor>> {
  const result = new Map<string, HostTensor>();
  await withModel(call, async ({ unet }) => {
    const { outChannels, height, width } = unet.info;
    const { batch, x, t, classLabels } = await readNetworkInputs(input, unet);
    const { out, head } = await unet.forward(x, t, { classLabels });
    result.set('out', { shape: [batch, outChannels, height, width], data: out });
    if (head === null) return;
    result.set('head', { shape: [batch, head.length / (batch * height * width), height, width], data: head });
  });
  return result;
}

/** Component that runs where none is asked for. */
const STANDARD = 'unet';

export const forwardCommand: Command = {
  name: 'forward',
  summary:
    'Evaluates the network once on the tensors x, t and, for a class-conditional network, class_labels of a file.',
  arguments: ['MODEL'],
  options: {
    input: {
      value: 'FILE',
      help: 'safetensors with x [N,C,H,W], t [N] and optionally class_labels [N]; for other components image, latents [N,C,H,W] or input_ids [N,77]',
    },
    output: { value: 'FILE', help: 'receives out and, where there is one, head, or what another component makes' },
    component: {
      value: 'NAME',
      help: `network of a text-to-image pipeline: ${components.join(', ')}; default ${STANDARD}`,
    },
    ...modelOptions,
  },
  async run(call) {
    const output = call.options.required('output');
    const component = call.options.choice('component', components) ?? STANDARD;
    await checkTarget(output, { flag: '--output' });
    const input = await readSafetensorsHeader(call.options.required('input'));
    const result = await (component === 'unet' ? forwardModel(input, call) : forwardComponent(component, input, call));
    await makeFolder(dirname(output));
    await writeSafetensors(output, result);
    if (call.json) printJson({ output, tensors: [...result.keys()] });
  },
};
