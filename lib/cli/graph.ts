import { graphDrawing } from './graph-drawing.js';
import type { Command } from './command.js';
import { modelOptions, withModel } from './model-options.js';
import { printJson, printLine } from './output.js';

export const graphCommand: Command = {
  name: 'graph',
  summary:
    "Prints a network's graph, for Graphviz or as JSON, fused as far as the device can; --device reference fuses nothing.",
  arguments: ['MODEL'],
  options: modelOptions,
  async run(call) {
    await withModel(call, ({ unet }) => {
      const nodes = unet.native.nodes();
      if (call.json) printJson({ nodes });
      else printLine(graphDrawing(nodes));
      return Promise.resolve();
    });
  },
};
