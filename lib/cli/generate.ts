import { samplerNames, type SamplerName } from '../samplers/index.js';
import type { TextToImageLoadOptions } from '../latents/load-pipeline.js';
import { TextToImage, type GenerateOptions } from '../text-to-image.js';
import { usageError, type Command, type OptionValues } from './command.js';
import { deviceOptions, deviceSettings } from './model-options.js';
import { printJson, printLine, printNote, progressBar } from './output.js';
import { checkTarget } from './target.js';

/** Reads `--size`: one side, or height and width. */
function sizeOf(options: OptionValues): { height?: number; width?: number } {
  const text = options.string('size');
  if (text === undefined) return {};
  const sides = /^(\d{1,5})(?:x(\d{1,5}))?$/.exec(text);
  if (sides === null) throw usageError(`--size is '${text}', it has to be a side, or HEIGHTxWIDTH`);
  return { height: Number(sides[1]), width: Number(sides[2] ?? sides[1]) };
}

function generateOptions(options: OptionValues, prompt: string): GenerateOptions {
  return {
    prompt,
    negativePrompt: options.string('negative'),
    count: options.integer('count'),
    steps: options.integer('steps'),
    sampler: options.choice<SamplerName>('sampler', samplerNames),
    guidance: options.number('guidance'),
    seed: options.seed('seed'),
    skippedLayers: options.integer('clip-skip'),
    tile: options.integer('tile'),
    ...sizeOf(options),
  };
}

const predictions = ['epsilon', 'v', 'x0'] as const;

function loadOptions(options: OptionValues): TextToImageLoadOptions {
  return {
    ...deviceSettings(options),
    config: options.string('config'),
    prediction: options.choice<(typeof predictions)[number]>('prediction', predictions),
    ...(options.flag('ema') && { ema: true }),
    unet: options.string('unet'),
    vae: options.string('vae'),
  };
}

export const generateCommand: Command = {
  name: 'generate',
  summary: 'Draws images of a text with a text-to-image pipeline.',
  arguments: ['MODEL', 'PROMPT'],
  options: {
    out: { value: 'FILE', help: 'grid in a .png, values in a .safetensors, or a folder with a PNG of each image' },
    negative: { value: 'TEXT', help: 'text that guidance leads away from; default none' },
    count: { value: 'N', help: 'number of images; default 1' },
    steps: { value: 'N', help: "evaluations of the network; default that of the pipeline's class" },
    sampler: { value: 'NAME', help: "sampler in place of the pipeline's scheduler" },
    guidance: { value: 'W', help: "weight of the prompt, 1: the prompt alone; default that of the pipeline's class" },
    size: { value: 'HxW', help: "height and width of the images in pixels; default the network's" },
    seed: { value: 'INT', help: 'seed of the random stream; default 0' },
    'clip-skip': { value: 'N', help: 'last layers of the text encoder that are not used; default 0' },
    tile: { value: 'N', help: "side of the decoder's tiles in latents, for less memory; default the whole" },
    config: { value: 'NAME', help: 'of a single file: a preset, a folder of configurations, or a .yaml' },
    prediction: {
      value: 'NAME',
      help: `what the U-Net predicts: ${predictions.join(', ')}; default what the model says`,
    },
    ema: { help: 'averaged weights of a training checkpoint in one file' },
    unet: { value: 'PATH', help: "U-Net in place of the pipeline's" },
    vae: { value: 'PATH', help: "autoencoder in place of the pipeline's" },
    ...deviceOptions,
  },
  async run({ positionals: [model = '', prompt = ''], options, json, signal }) {
    const out = options.required('out');
    await checkTarget(out, { flag: '--out', endings: ['.png', '.safetensors'], folder: true });
    const asked = generateOptions(options, prompt);
    await using pipeline = await TextToImage.load(model, { ...loadOptions(options), signal });
    const progress = progressBar('steps', json);
    const started = performance.now();
    const { images, truncated } = await pipeline
      .generate({ ...asked, signal, onProgress: progress.update })
      .finally(() => {
        progress.stop();
      });
    const seconds = (performance.now() - started) / 1000;
    await images?.save(out);
    const isTruncated = truncated.includes(true);
    if (json) {
      printJson({ out, shape: images?.shape, seconds, truncated: isTruncated });
      return;
    }
    if (isTruncated) printNote('the prompt is longer than the text encoder reads: see dpm tokens');
    printLine(`${truncated.length} images in ${seconds.toFixed(1)} s -> ${out}`);
  },
};
