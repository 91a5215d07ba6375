import { join } from 'node:path';

import type { Checkpoint } from '../../checkpoint.js';
import { canonicalDiffusersName } from '../../diffusers.js';
import { readObject } from '../../read-model.js';
import { autoencoderWeights, type ReadAutoencoder } from '../autoencoder.js';
import { parseAutoencoderConfig } from '../autoencoder-config.js';
import { conditionalWeights, type ReadConditional } from '../conditional.js';
import { parseConditionalConfig } from '../conditional-config.js';
import { parseTextEncoderConfig, textEncoderWeights, withPositions, type ReadTextEncoder } from '../text-encoder.js';
import { levelsOf, originalAutoencoderName } from './autoencoder-names.js';
import { autoencoderConfigOf } from './autoencoder-shapes.js';
import { boundWeights } from './bind.js';
import type { Preset } from './presets.js';
import { Shapes } from './shapes.js';
import { openClipSource, type TextEncoderForm } from './text-encoder-names.js';
import { textEncoderConfigOf } from './text-encoder-shapes.js';
import { originalUNetName } from './unet-names.js';
import { unetConfigOf } from './unet-shapes.js';

/**
 * Tensors of no network: tables of the schedule, counters and averages of training, marks, what a safety checker and a
 * loss are made of.
 */
export const leavings =
  /^(betas|alphas_.*|sqrt_.*|log_one_minus_.*|posterior_.*|logvar|v_pred|ztsnr|model_ema\..*|denoiser\.sigmas|safety_checker\..*|(first_stage_model\.)?loss\..*)$/;

/** A configuration with the name of its source in messages. */
interface Sourced {
  readonly raw: Readonly<Record<string, unknown>>;
  readonly source: string;
}

/** Reads a network's configuration in a folder of a pipeline. */
async function configIn(folder: string, part: string): Promise<Sourced> {
  const source = join(folder, part, 'config.json');
  return { raw: await readObject(source), source };
}

/** A file's tensors, what is known of its model, and a folder with configurations, if one is given. */
export interface FileWithFacts {
  readonly checkpoint: Checkpoint;
  readonly preset: Preset;
  readonly folder: string | null;
}

/** Reads the U-Net of a file. @throws {@link DpmError} naming the file and the wrong field or tensor. */
export async function unetOf({ checkpoint, preset, folder }: FileWithFacts, prefix: string): Promise<ReadConditional> {
  const shapes = new Shapes(checkpoint, prefix);
  const { raw, source } =
    folder === null
      ? { raw: unetConfigOf(shapes, preset), source: `${shapes.path}, by its tensors` }
      : await configIn(folder, 'unet');
  const config = parseConditionalConfig(raw, source);
  const { description } = config;
  const weights = boundWeights(conditionalWeights(description), {
    checkpoint,
    prefix,
    source: (name) => ({ key: originalUNetName(description, name) }),
    // A file of a U-Net alone may have what is of no network beside it.
    ...(prefix === '' && { ignored: leavings }),
  });
  return { ...config, checkpoint: weights };
}

/** Reads the autoencoder of a file. @throws {@link DpmError} naming the file and the wrong field or tensor. */
export async function autoencoderOf(
  { checkpoint, preset, folder }: FileWithFacts,
  prefix: string,
): Promise<ReadAutoencoder> {
  const shapes = new Shapes(checkpoint, prefix);
  const { raw, source } =
    folder === null
      ? { raw: autoencoderConfigOf(shapes, preset.scale), source: `${shapes.path}, by its tensors` }
      : await configIn(folder, 'vae');
  const config = parseAutoencoderConfig(raw, source);
  const levels = levelsOf(config.description);
  const weights = boundWeights(autoencoderWeights(config.description), {
    checkpoint,
    prefix,
    source: (name) => ({ key: originalAutoencoderName(levels, canonicalDiffusersName(name)) }),
    ignored: prefix === '' ? leavings : /^loss\./,
  });
  return { ...config, checkpoint: weights };
}

/** A text encoder among a file's tensors. */
export interface TextEncoderPlace {
  readonly form: TextEncoderForm;
  readonly prefix: string;
  /** Folder of its configuration in a pipeline's folder. */
  readonly part: string;
  /** Number of layers that are used of those that there are, and whether its projection is. */
  readonly mostLayers: number;
  readonly projects: boolean;
}

/** Tensors of text encoders that are buffers, or are for images. */
const encoderBuffers = /^(embeddings\.position_ids|logit_scale|attn_mask)$/;

/** Tensors of an encoder whose last layer is not used, and what comes behind it. */
function withoutLast(layers: number): RegExp {
  return new RegExp(`^(logit_scale|attn_mask|text_projection|transformer\\.resblocks\\.${layers}\\..+)$`);
}

/** Reads a text encoder of a file. @throws {@link DpmError} naming the file and the wrong field or tensor. */
export async function textEncoderOf(
  { checkpoint, folder }: FileWithFacts,
  { form, prefix, part, mostLayers, projects }: TextEncoderPlace,
): Promise<ReadTextEncoder> {
  const shapes = new Shapes(checkpoint, prefix);
  const { raw, source } =
    folder === null
      ? { raw: textEncoderConfigOf(shapes, form, mostLayers), source: `${shapes.path}, by its tensors` }
      : await configIn(folder, part);
  const { description: config, endToken } = parseTextEncoderConfig(raw, source);
  const projection = projects && form === 'open_clip' ? shapes.size('text_projection', 1) : null;
  const description = { ...config, projection };
  const weights = boundWeights(textEncoderWeights(description), {
    checkpoint,
    prefix,
    source: (name, shape) => (form === 'open_clip' ? openClipSource(description, name, shape) : { key: name }),
    ignored: projects || form === 'transformers' ? encoderBuffers : withoutLast(description.layers),
  });
  return { description, endToken, checkpoint: withPositions(weights, description) };
}
