import { devices } from '../engine/device.js';
import type { Command } from './command.js';
import { printJson, printTable } from './output.js';

export const devicesCommand: Command = {
  name: 'devices',
  summary: 'Lists every device that can be used and, for each one that cannot, why not.',
  arguments: [],
  options: {},
  run({ json }) {
    const known = devices();
    if (json) printJson(known);
    else
      printTable(
        known.map(({ name, usable, description, reason }) => [
          name,
          usable ? 'usable' : 'unusable',
          usable ? description : reason,
        ]),
      );
    return Promise.resolve();
  },
};
