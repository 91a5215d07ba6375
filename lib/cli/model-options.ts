import { headNames } from '../checkpoint/heads.js';
import type { ImageSize } from '../checkpoint/image-size.js';
import { computeTypes, deviceOptionFacts, type DeviceOptions } from '../engine/device.js';
import { DiffusionModel, type LoadOptions } from '../model.js';
import { networkTimeNames } from '../schedule/network-time.js';
import { grouped, specOf, type Call, type OptionSpecs } from './command.js';
import { usageError } from './usage-error.js';
import { type OptionValues } from './option-values.js';

/** Options of every command that works on a device. */
export const deviceOptions: OptionSpecs = grouped(
  'Device',
  Object.fromEntries(Object.entries(deviceOptionFacts).map(([name, fact]) => [name, specOf(fact)])),
);

/** Option of every command that reads a checkpoint. */
export const configOption: OptionSpecs = grouped('Model', {
  config: { value: 'FILE', help: 'what a checkpoint file is: JSON, YAML or the name of a preset' },
});

/** Options of every command that reads a model. */
export const readOptionSpecs: OptionSpecs = grouped('Model', {
  ...configOption,
  schedule: {
    value: 'FILE',
    help: 'scheduler_config.json, or its folder, of what the network was trained with, where the model has none or another is wanted',
  },
  'image-size': { value: 'H[,W]', help: "size of the images in pixels, where not the configuration's" },
});

/** Options of every command that loads a model. */
export const modelOptions: OptionSpecs = grouped('Model', {
  ...readOptionSpecs,
  head: { value: 'NAME', choices: headNames, help: `variance head: ${headNames.join(' or ')}` },
  'network-time': {
    value: 'RULE',
    choices: networkTimeNames,
    help: `what enters the time embedding: ${networkTimeNames.join(', ')}`,
  },
  ...deviceOptions,
});

function imageSize(options: OptionValues): ImageSize | undefined {
  const sides = options.numbers('image-size');
  if (sides === undefined) return undefined;
  const [height = 0, width, ...others] = sides;
  if (others.length > 0) throw usageError(`--image-size is '${sides.join(',')}', it has to be H or H,W`);
  return width === undefined ? height : [height, width];
}

/** Makes the options of reading a model from the command line's. */
export function readOptions(
  options: OptionValues,
): Pick<LoadOptions, 'config' | 'imageSize'> & { schedule: string | undefined } {
  return { config: options.string('config'), imageSize: imageSize(options), schedule: options.string('schedule') };
}

/** The device, from the command line's options. */
export function deviceSettings(options: OptionValues): DeviceOptions {
  return {
    device: options.string('device'),
    dtype: options.choice('dtype', computeTypes),
    exact: options.flag('exact'),
    tf32: options.flag('tf32'),
    autotune: options.flag('autotune'),
    threads: options.integer('threads'),
  };
}

/** The library's options from the command line's. */
export function loadOptions(options: OptionValues): LoadOptions & DeviceOptions {
  return {
    ...deviceSettings(options),
    ...readOptions(options),
    head: options.choice('head', headNames),
    networkTime: options.choice('network-time', networkTimeNames),
  };
}

/** Loads the model that a command names first, calls `use` with it and closes it in any case. */
export async function withModel<T>(call: Call, use: (model: DiffusionModel) => Promise<T>): Promise<T> {
  const { signal } = call;
  const model = await DiffusionModel.load(call.positionals[0] ?? '', { ...loadOptions(call.options), signal });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}
