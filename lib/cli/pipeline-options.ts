import { helpOf } from '../base/option-facts.js';
import { generateOptionFacts } from '../latents/generate-options.js';
import {
  keptParts,
  pipelineOptionFacts as facts,
  pipelinePredictions,
  type TextToImageLoadOptions,
} from '../latents/load-pipeline.js';
import type { EmbeddingOptions } from '../latents/added-tokens.js';
import { loraDefaults } from '../latents/loras.js';
import { specOf, type Call, type OptionSpec, type OptionSpecs } from './command.js';
import { usageError } from './usage-error.js';
import { type OptionValues } from './option-values.js';
import { deviceSettings } from './model-options.js';

/** Options of every command that loads a text-to-image pipeline, but for `config`, which other models have, too. */
export const pipelineOptions: OptionSpecs = {
  prediction: specOf(facts.prediction),
  ema: specOf(facts.ema),
  unet: specOf(facts.unet),
  vae: specOf(facts.vae),
  lora: {
    ...specOf(facts.loras, `${facts.loras.help}; factor ${loraDefaults.scale} if none is given`),
    isRepeated: true,
  },
  embedding: { ...specOf(facts.embeddings), isRepeated: true },
};

/** Reads `--embedding`: paths, each with a token before its first equals sign if there is one. */
function embeddingsOf(options: OptionValues): EmbeddingOptions[] | undefined {
  return options.strings('embedding')?.map((text) => {
    const [, token, path] = /^([^=/\\]+)=(.+)$/s.exec(text) ?? [];
    return path === undefined ? { path: text } : { path, token };
  });
}

/** Option of the sides of images, `height` and `width` of the library; `of` says whose they are. */
export function sizeSpec(of = ''): OptionSpec {
  return {
    value: 'HxW',
    help: helpOf({ ...generateOptionFacts.height, help: `${of}height and width of the images in pixels` }),
  };
}

/** Reads `--lora`: paths, each with a factor behind its last colon if there is a number. */
export function lorasOf(options: OptionValues): { path: string; scale: number }[] | undefined {
  return options.strings('lora')?.map((text) => {
    const [, path, scale] = /^(.+):([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)$/is.exec(text) ?? [];
    return path === undefined ? { path: text, scale: loraDefaults.scale } : { path, scale: Number(scale) };
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

/** Options that say something of models of pixels alone. */
const ofPixelModels = ['image-size', 'head', 'network-time'];

/** Refuses options that a text-to-image pipeline has no use for, and `others`. */
export function refuseOptionsOfPixels(
  { positionals, options }: Pick<Call, 'positionals' | 'options'>,
  others: readonly string[] = [],
): void {
  const useless = [...ofPixelModels, ...others].find((name) => options.has(name));
  if (useless === undefined) return;
  throw usageError(`--${useless} is for models of pixels, ${positionals[0] ?? ''} is a text-to-image pipeline`);
}

/** Options of loading a pipeline from the command line's. */
export function pipelineLoadOptions(options: OptionValues): TextToImageLoadOptions {
  return {
    ...deviceSettings(options),
    config: options.string('config'),
    prediction: options.choice('prediction', pipelinePredictions),
    ...(options.flag('ema') && { ema: true }),
    unet: options.string('unet'),
    vae: options.string('vae'),
    loras: lorasOf(options),
    embeddings: embeddingsOf(options),
    keep: options.choice('keep', keptParts),
  };
}
