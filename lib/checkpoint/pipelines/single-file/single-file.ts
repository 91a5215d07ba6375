import { extname } from 'node:path';

import { listNames } from '../../../base/arrays.js';
import { DpmError } from '../../../base/errors.js';
import { readSafetensorsHeader } from '../../../files/safetensors.js';
import type { Checkpoint } from '../../checkpoint.js';
import { openWeights } from '../../weight-files.js';
import type { ReadAutoencoder } from '../autoencoder.js';
import type { ReadConditional } from '../conditional.js';
import type { ReadTextEncoder } from '../text-encoder.js';
import { withAverages } from './averages.js';
import {
  autoencoderOf,
  leavings,
  textEncoderOf,
  unetOf,
  type FileWithFacts,
  type TextEncoderPlace,
} from './components.js';
import { readGivenConfig, type GivenConfig } from './given-config.js';
import { requireSameNetwork } from './original-config.js';
import { presetOf, type Architecture, type Preset } from './presets.js';
import { contextWidthOf, recognise, type Recognised } from './recognise.js';
import { Shapes } from './shapes.js';

/** Options of reading a single file. */
export interface SingleFileOptions {
  /** What its tensors do not tell: the name of a preset, a folder in diffusers' layout, or the original's `.yaml`. */
  config?: string | undefined;
  /** True for the averaged weights of a training checkpoint, `model_ema.*`. Default false. */
  ema?: boolean | undefined;
}

/** A text encoder of a single file. */
export interface FileTextEncoder {
  read(): Promise<ReadTextEncoder>;
  /** Token behind the end of a text. */
  readonly padding: string;
  /** Name of its tokenizer in a pipeline's folder. */
  readonly tokenizer: string;
}

/** A model of Stable Diffusion in one file, as the networks of a folder are read. */
export interface SingleFile {
  readonly path: string;
  readonly architecture: Architecture;
  readonly preset: Preset;
  /** Tensor, or the option, that told what it is. */
  readonly evidence: string;
  /** Folder that `config` names; null: none. */
  readonly folder: string | null;
  /** Prediction that the file, its preset or its configuration names, and what named it; null: nothing does. */
  readonly prediction: { readonly type: 'epsilon' | 'v_prediction'; readonly from: string } | null;
  /** Configuration of its scheduler, in diffusers' fields. */
  readonly scheduler: Readonly<Record<string, unknown>>;
  /** Text encoders in the order of their states; those that the file lacks are left out. */
  readonly encoders: readonly FileTextEncoder[];
  unet(): Promise<ReadConditional>;
  /** Null if the file has no autoencoder. */
  readonly autoencoder: (() => Promise<ReadAutoencoder>) | null;
}

const AUTOENCODER = 'first_stage_model.';

/** Layers that SD 2 uses of the 24 of its encoder. */
const LAYERS_OF_SD2 = 23;

/** Finds the text encoders of an architecture among a file's tensors. */
function textEncoderPlaces(checkpoint: Checkpoint, architecture: Architecture): TextEncoderPlace[] {
  const all = new Shapes(checkpoint, '');
  const own = { part: 'text_encoder', mostLayers: Infinity, projects: true };
  const clip = (module: string): TextEncoderPlace => {
    // Some tools leave the inner name out.
    const inner = all.has(`${module}.text_model`) ? `${module}.text_model.` : `${module}.`;
    return { ...own, form: 'transformers', prefix: inner };
  };
  const places: Readonly<Record<Architecture, readonly TextEncoderPlace[]>> = {
    sd1: [clip('cond_stage_model.transformer')],
    sd2: [
      {
        ...own,
        form: 'open_clip',
        prefix: 'cond_stage_model.model.',
        mostLayers: LAYERS_OF_SD2,
        projects: false,
      },
    ],
    sdxl: [
      clip('conditioner.embedders.0.transformer'),
      { ...own, form: 'open_clip', prefix: 'conditioner.embedders.1.model.', part: 'text_encoder_2' },
    ],
    'sdxl-refiner': [{ ...own, form: 'open_clip', prefix: 'conditioner.embedders.0.model.', part: 'text_encoder_2' }],
  };
  return places[architecture].filter(({ prefix }) => all.has(prefix.slice(0, -1)));
}

/** Completes what a preset says by the given configuration. */
function presetBy(
  given: GivenConfig | null,
  { architecture, inpaints, evidence }: Recognised,
  prediction: SingleFile['prediction'],
  path: string,
): Preset {
  const preset = presetOf(architecture, inpaints, prediction?.type ?? null);
  if (given?.kind === 'preset') {
    const asked = given.preset;
    if (asked.architecture === architecture && (asked.inpaints === inpaints || architecture !== 'sd1')) {
      return { ...asked, inpaints };
    }
    const found = inpaints ? `${architecture} for inpainting` : architecture;
    throw new DpmError('ERR_DPM_ARGUMENT', `config is '${given.name}', but ${path} is ${found} (${evidence})`);
  }
  if (given?.kind !== 'original') return preset;
  const { heads, numberFeatures, scale, scheduler } = given.config;
  return {
    ...preset,
    heads,
    numberFeatures: numberFeatures ?? preset.numberFeatures,
    scale: scale ?? preset.scale,
    scheduler: { ...preset.scheduler, ...scheduler },
  };
}

/** Finds who says what the U-Net predicts. */
async function predictionOf(
  path: string,
  { architecture, prediction, inpaints }: Recognised,
  given: GivenConfig | null,
): Promise<SingleFile['prediction']> {
  if (prediction === 'v') return { type: 'v_prediction', from: 'v_pred' };
  if (given?.kind === 'preset') {
    const { prediction_type: named = 'epsilon' } = given.preset.scheduler;
    return { type: named === 'v_prediction' ? named : 'epsilon', from: `config '${given.name}'` };
  }
  if (given?.kind === 'original') return { type: given.config.prediction, from: given.config.source };
  const told =
    extname(path) === '.safetensors' ? (await readSafetensorsHeader(path)).metadata : new Map<string, string>();
  const type = told.get('modelspec.prediction_type');
  if (type === 'v' || type === 'v_prediction') return { type: 'v_prediction', from: 'modelspec.prediction_type' };
  if (type === 'epsilon') return { type, from: 'modelspec.prediction_type' };
  // SD 2 has both predictions; its network for inpainting predicts noise.
  return architecture === 'sd2' && !inpaints ? null : { type: 'epsilon', from: architecture };
}

function schedulerOf(
  preset: Preset,
  { zeroSnr }: Recognised,
  prediction: SingleFile['prediction'],
): Record<string, unknown> {
  return {
    ...preset.scheduler,
    ...(prediction !== null && { prediction_type: prediction.type }),
    ...(zeroSnr && { rescale_betas_zero_snr: true, timestep_spacing: 'trailing' }),
  };
}

/** Refuses tensors that belong to no network of the model and are none of a training checkpoint's leavings. */
function requireKnown({ files, tensors }: Checkpoint, prefixes: readonly string[]): void {
  const other = [...tensors.keys()].filter(
    (name) => !leavings.test(name) && !prefixes.some((prefix) => name.startsWith(prefix)),
  );
  if (other.length === 0) return;
  throw new DpmError(
    'ERR_DPM_TENSOR_UNUSED',
    `${files.join(', ')}: ${other.length} tensors belong to no network of the model: ${listNames(other)}`,
  );
}

/** Architecture that a configuration says, which counts where the tensors tell none. */
function assumedBy(given: GivenConfig | null): Architecture | null {
  if (given === null) return null;
  if (given.kind === 'preset') return given.preset.architecture;
  if (given.kind === 'folder') return 'sd1';
  return given.config.unet.has('adm_in_channels') ? 'sdxl' : 'sd1';
}

/**
 * Reads a model of Stable Diffusion 1, 2 or SDXL in one file: what it is by the names and shapes of its tensors. Nothing of
 * it but these is read.
 *
 * @throws {@link DpmError} naming the file and the wrong tensor, field or option; `ERR_DPM_UNSUPPORTED` naming the kind of
 * another model.
 */
export async function readSingleFile(path: string, options: SingleFileOptions = {}): Promise<SingleFile> {
  const given = options.config === undefined ? null : await readGivenConfig(options.config);
  const opened = (await openWeights(path)).checkpoint;
  const recognised = recognise(path, opened, assumedBy(given));
  const { architecture, unet: prefix } = recognised;
  const checkpoint = options.ema === true ? withAverages(opened) : opened;
  const prediction = await predictionOf(path, recognised, given);
  const preset = presetBy(given, recognised, prediction, path);
  if (given?.kind === 'original') {
    requireSameNetwork(given.config, new Shapes(checkpoint, prefix), contextWidthOf(checkpoint, prefix));
  }
  const places = textEncoderPlaces(checkpoint, architecture);
  const isWhole = prefix !== '';
  if (isWhole) requireKnown(checkpoint, [prefix, AUTOENCODER, ...places.map((place) => place.prefix)]);
  const facts: FileWithFacts = { checkpoint, preset, folder: given?.kind === 'folder' ? given.path : null };
  const hasAutoencoder = isWhole && new Shapes(checkpoint, '').has(AUTOENCODER.slice(0, -1));
  return {
    path,
    architecture,
    preset,
    evidence: recognised.evidence,
    folder: facts.folder,
    prediction,
    scheduler: schedulerOf(preset, recognised, prediction),
    encoders: places.map((place) => ({
      read: () => textEncoderOf(facts, place),
      padding: place.form === 'open_clip' ? '!' : '<|endoftext|>',
      tokenizer: place.part.replace('text_encoder', 'tokenizer'),
    })),
    unet: () => unetOf(facts, prefix),
    autoencoder: hasAutoencoder ? () => autoencoderOf(facts, AUTOENCODER) : null,
  };
}
