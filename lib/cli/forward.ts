import { dirname } from 'node:path';

import { makeFolder } from '../files/files.js';
import { readSafetensorsHeader } from '../files/safetensors.js';
import { writeSafetensors, type HostTensor } from '../files/tensor-data.js';
import type { Command } from './command.js';
import { modelOptions, withModel } from './model-options.js';
import { readNetworkInputs } from './network-inputs.js';
import { printJson } from './output.js';
import { checkTarget } from './target.js';

export const forwardCommand: Command = {
  name: 'forward',
  summary:
    'Evaluates the network once on the tensors x, t and, for a class-conditional network, class_labels of a file.',
  arguments: ['MODEL'],
  options: {
    input: { value: 'FILE', help: 'safetensors with x [N,C,H,W], t [N] and optionally class_labels [N]' },
    output: { value: 'FILE', help: 'receives out and, where there is one, head' },
    ...modelOptions,
  },
  async run(call) {
    const output = call.options.required('output');
    await checkTarget(output, { flag: '--output' });
    const input = await readSafetensorsHeader(call.options.required('input'));
    await withModel(call, async ({ unet }) => {
      const { outChannels, height, width } = unet.info;
      const { batch, x, t, classLabels } = await readNetworkInputs(input, unet);
      const { out, head } = await unet.forward(x, t, { classLabels });
      const result = new Map<string, HostTensor>([['out', { shape: [batch, outChannels, height, width], data: out }]]);
      if (head !== null) {
        result.set('head', { shape: [batch, head.length / (batch * height * width), height, width], data: head });
      }
      await makeFolder(dirname(output));
      await writeSafetensors(output, result);
      if (call.json) printJson({ output, tensors: [...result.keys()] });
    });
  },
};
