import { keptParts, type KeptParts, type TextToImageLoadOptions } from '../latents/load-pipeline.js';
import { usageError, type OptionSpecs, type OptionValues } from './command.js';
import { deviceSettings } from './model-options.js';

const predictions = ['epsilon', 'v', 'x0'] as const;

/** Options of every command that loads a text-to-image pipeline, but for `config`, which other models have, too. */
export const pipelineOptions: OptionSpecs = {
  prediction: {
    value: 'NAME',
    help: `what the U-Net predicts: ${predictions.join(', ')}; default what the model says`,
  },
  ema: { help: 'averaged weights of a training checkpoint in one file' },
  unet: { value: 'PATH', help: "U-Net in place of the pipeline's" },
  vae: { value: 'PATH', help: "autoencoder in place of the pipeline's" },
  lora: {
    value: 'FILE[:SCALE]',
    isRepeated: true,
    help: 'low-rank additions to the networks; factor 1 if none is given, several are summed',
  },
};

/** Reads `--lora`: paths, each with a factor behind its last colon if there is a number. */
export function lorasOf(options: OptionValues): { path: string; scale: number }[] | undefined {
  return options.strings('lora')?.map((text) => {
    const [, path, scale] = /^(.+):([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)$/is.exec(text) ?? [];
    return path === undefined ? { path: text, scale: 1 } : { path, scale: Number(scale) };
  });
}

/** Reads `--size`: one side, or height and width. */
export function sizeOf(options: OptionValues): { height?: number; width?: number } {
  const text = options.string('size');
  if (text === undefined) return {};
  const sides = /^(\d{1,5})(?:x(\d{1,5}))?$/.exec(text);
  if (sides === null) throw usageError(`--size is '${text}', it has to be a side, or HEIGHTxWIDTH`);
  return { height: Number(sides[1]), width: Number(sides[2] ?? sides[1]) };
}

/** Options of loading a pipeline from the command line's. */
export function pipelineLoadOptions(options: OptionValues): TextToImageLoadOptions {
  return {
    ...deviceSettings(options),
    config: options.string('config'),
    prediction: options.choice<(typeof predictions)[number]>('prediction', predictions),
    ...(options.flag('ema') && { ema: true }),
    unet: options.string('unet'),
    vae: options.string('vae'),
    loras: lorasOf(options),
    keep: options.choice<KeptParts>('keep', keptParts),
  };
}
