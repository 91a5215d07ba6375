import { listNames } from '../base/arrays.js';
import { readModelFolder } from '../checkpoint/read-model.js';
import type { MemoryUse } from '../engine/device.js';
import { DiffusionModel } from '../model.js';
import { multiplyAdds, parameterCount } from '../network/cost.js';
import type { Command } from './command.js';
import { loadOptions, modelOptions, readOptions } from './model-options.js';
import { formatBytes, printJson, printLine, printTable } from './output.js';

async function memoryOf(
  path: string,
  options: ReturnType<typeof loadOptions>,
): Promise<(MemoryUse & { deviceName: string }) | null> {
  const model = await DiffusionModel.load(path, options);
  try {
    return { ...model.memory(), deviceName: model.device.name };
  } finally {
    await model.close();
  }
}

function printReport(title: string, names: readonly string[]): void {
  printLine(`${title}: ${names.length === 0 ? 'none' : listNames(names, 50)}`);
}

export const inspectCommand: Command = {
  name: 'inspect',
  summary: 'Describes a model: family, configuration, size, cost and how its weights fit.',
  arguments: ['MODEL'],
  options: modelOptions,
  async run({ positionals, options, json }) {
    const path = positionals[0] ?? '';
    const load = loadOptions(options);
    const folder = await readModelFolder(path, readOptions(options));
    const { unet, graph, report } = await folder.select(load.head ?? null);
    const fits = report.missing.length === 0 && report.unused.length === 0 && report.misshapen.length === 0;
    const facts = {
      family: folder.family,
      evidence: folder.evidence,
      image: [unet.inChannels, unet.height, unet.width],
      outputChannels: unet.outChannels,
      classes: unet.classes,
      schedule: { name: folder.schedule.name, steps: folder.schedule.steps, ...folder.schedule.defaults },
      heads: folder.heads,
      gamma: folder.gamma !== null,
      parameters: parameterCount(graph),
      multiplyAdds: multiplyAdds(graph),
      memory: fits ? await memoryOf(path, load) : null,
      ...report,
    };
    if (json) {
      printJson({ ...facts, config: folder.config });
      return;
    }
    printTable([
      ['family', `${facts.family} (${facts.evidence})`],
      ['image', facts.image.join(' x ')],
      ['output channels', String(facts.outputChannels)],
      ['classes', facts.classes === 0 ? 'none' : String(facts.classes)],
      ['schedule', `${facts.schedule.name}, ${facts.schedule.steps} steps, predicts ${facts.schedule.prediction}`],
      ['heads', facts.heads.join(', ') || 'none'],
      ['gamma table', facts.gamma ? 'yes' : 'no'],
      ['parameters', facts.parameters.toLocaleString('en')],
      ['multiply-adds', `${(facts.multiplyAdds / 1e9).toFixed(3)} G per evaluation of one image`],
    ]);
    if (facts.memory !== null) {
      const { deviceName, host, device } = facts.memory;
      printLine(`memory on ${deviceName}: ${formatBytes(host)} host, ${formatBytes(device)} device`);
    }
    printLine(`config: ${JSON.stringify(folder.config)}`);
    printReport('missing tensors', report.missing);
    printReport('unused tensors', report.unused);
    printReport(
      'tensors of another shape',
      report.misshapen.map(
        ({ name, shape, expected }) => `${name} [${shape.join(', ')}], needs [${expected.join(', ')}]`,
      ),
    );
  },
};
