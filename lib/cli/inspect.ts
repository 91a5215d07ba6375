import { untilAborted } from '../base/abort.js';
import { listNames } from '../base/arrays.js';
import { readModelFolder } from '../checkpoint/read-model.js';
import type { MemoryUse } from '../engine/device.js';
import { Classifier } from '../guidance/classifier.js';
import { DiffusionModel } from '../model.js';
import { isPipeline } from '../latents/recognise-pipeline.js';
import { multiplyAdds, parameterCount } from '../network/cost.js';
import { specOf, type Call, type Command, type OptionSpecs } from './command.js';
import { usageError } from './usage-error.js';
import { imagesAtOnce, inspectPipeline } from './inspect-pipeline.js';
import { deviceSettings, loadOptions, modelOptions, readOptions } from './model-options.js';
import { pipelineOptions, sizeSpec } from './pipeline-options.js';
import { formatBytes, printJson, printLine, printTable } from './output.js';
import { schedulerLine, schedulerOf } from './scheduler-summary.js';

async function memoryOf(load: () => Promise<DiffusionModel | Classifier>): Promise<MemoryUse & { deviceName: string }> {
  const model = await load();
  try {
    return { ...model.device.memory(), deviceName: model.device.name };
  } finally {
    await model.close();
  }
}

/** Number of steps for which a scheduler file is shown. */
const shownSteps = 20;

function printReport(title: string, names: readonly string[]): void {
  printLine(`${title}: ${names.length === 0 ? 'none' : listNames(names, 50)}`);
}

/** Options that say something of pipelines alone. */
const ofPipelines: OptionSpecs = {
  size: sizeSpec('of a pipeline: '),
  count: specOf(imagesAtOnce),
  ...pipelineOptions,
};

/** Describes a model of pixels, or a classifier. */
async function inspectModel({ positionals, options, json, signal }: Call): Promise<void> {
  const path = positionals[0] ?? '';
  const other = Object.keys(ofPipelines).find((name) => options.has(name));
  if (other !== undefined) throw usageError(`--${other} is for text-to-image pipelines, ${path} is none`);
  const load = loadOptions(options);
  const steps = options.integer('steps') ?? shownSteps;
  const folder = await untilAborted(signal, () => readModelFolder(path, readOptions(options)));
  const { unet, graph, report } = await untilAborted(signal, () => folder.select(load.head ?? null));
  const fits = report.missing.length === 0 && report.unused.length === 0 && report.misshapen.length === 0;
  const facts = {
    family: folder.family,
    evidence: folder.evidence,
    image: [unet.inChannels, unet.height, unet.width],
    outputChannels: unet.outChannels,
    classes: unet.pool === undefined ? unet.classes : unet.outChannels,
    schedule: { name: folder.schedule.name, steps: folder.schedule.steps, ...folder.schedule.defaults },
    scheduler: schedulerOf(folder.schedule, steps),
    heads: folder.heads,
    gamma: folder.gamma !== null,
    parameters: parameterCount(graph),
    multiplyAdds: multiplyAdds(graph),
    memory: fits
      ? await memoryOf(() =>
          unet.pool === undefined
            ? DiffusionModel.load(path, { ...load, signal })
            : Classifier.load(path, { ...deviceSettings(options), config: load.config, signal }),
        )
      : null,
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
    ['scheduler', schedulerLine(facts.scheduler, steps)],
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
}

export const inspectCommand: Command = {
  name: 'inspect',
  summary:
    'Describes a model, a classifier or a text-to-image pipeline: what it is, configuration, size, cost, memory, and how its weights fit.',
  arguments: ['MODEL'],
  options: {
    steps: {
      value: 'K',
      help: `steps for which the scheduler file is shown; default ${shownSteps}, of a pipeline its own`,
    },
    ...modelOptions,
    config: {
      value: 'FILE',
      help: "what a checkpoint file is: JSON, YAML, the name of a preset, or a pipeline's folder",
    },
    ...ofPipelines,
  },
  async run(call) {
    const isOfText = await untilAborted(call.signal, () => isPipeline(call.positionals[0] ?? ''));
    await (isOfText ? inspectPipeline(call) : inspectModel(call));
  },
};
