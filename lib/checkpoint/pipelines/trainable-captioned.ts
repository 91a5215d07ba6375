import { DpmError } from '../../base/errors.js';
import { captionedGraph } from '../../network/conditional.js';
import type { HeadDescription } from '../../network/description.js';
import { textEncoderGraph, type TextEncoderDescription } from '../../network/text-encoder.js';
import { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { Checkpoint } from '../checkpoint.js';
import { pytorchInitial, type InitialRule } from '../initial-rule.js';
import type { TensorSource } from '../tensor-source.js';
import type { LearnedNetwork, TrainableNetwork } from '../trainable.js';
import { isOfHead, type TrainableHead } from '../trainable-head.js';
import { diffusersLayout } from '../families/diffusers-file.js';
import { parseConditionalConfig } from './conditional-config.js';
import { parseTextEncoderConfig, positionTable, tokenTable } from './text-encoder.js';

type Fields = Readonly<Record<string, unknown>>;

/** Configurations of the networks of a pipeline that learn together, and of its scheduler. */
export interface CaptionedConfigs {
  readonly unet: Fields;
  readonly textEncoder: Fields;
  readonly scheduler: Fields;
}

/** What the tensors of a run have before their names: those of its U-Net, and of its text encoder. */
export const captionedPrefixes = { unet: 'unet.', textEncoder: 'text_encoder.' } as const;

/** What the library has before the names of a text encoder. */
const TEXT_MODEL = 'text_model.';

/** Deviation of embeddings in the authors' initial weights of CLIP (Radford et al. 2021). */
const EMBEDDING_DEVIATION = 0.02;

/** Deviations of a text encoder's initial weights, those of CLIP's authors. */
function deviationOf({ width, layers }: TextEncoderDescription, name: string): number {
  const ofLayers = (2 * layers) ** -0.5;
  if (name === tokenTable || name === positionTable) return EMBEDDING_DEVIATION;
  if (name.includes('.mlp.fc1.')) return (2 * width) ** -0.5;
  if (name.includes('.out_proj.')) return width ** -0.5;
  return width ** -0.5 * ofLayers;
}

/** The initial weights of both: a U-Net's are PyTorch's defaults. */
function initialRule(text: TextEncoderDescription, ofText: ReadonlySet<string>): InitialRule {
  return {
    ...pytorchInitial,
    deviation: (name) => (ofText.has(name) ? deviationOf(text, name) : null),
  };
}

/** A table [rows, width] of a file, of which the graph has the constant [width, rows]. */
function turnedTable(key: string, width: number, rows: number): TensorSource {
  return { key, shape: [rows, width], view: { offset: 0, dims: [width, rows], strides: [1, width] } };
}

/** Finds the tensors of a run that hold the constants of the graph. */
function sourceOf(text: TextEncoderDescription, ofText: ReadonlySet<string>): LearnedNetwork['source'] {
  const { width, tokens, vocabulary } = text;
  return (name) => {
    if (isOfHead(name)) return { key: name };
    if (!ofText.has(name)) return { key: `${captionedPrefixes.unet}${name}` };
    const key = `${captionedPrefixes.textEncoder}${TEXT_MODEL}${name}`;
    if (name === tokenTable) return turnedTable(key, width, vocabulary);
    return name === positionTable ? turnedTable(key, width, tokens) : { key };
  };
}

/** A head to train on a U-Net that stays as it is, with its text encoder. */
export interface CaptionedHead {
  readonly head: Omit<TrainableHead, 'keys'>;
  readonly description: HeadDescription;
}

/**
 * Makes a text encoder and a U-Net that sees its states, which learn together; or a head that learns on both.
 *
 * @param source - Name of the source in messages.
 * @param shape - Shape [C, H, W] of the images, or of their latents.
 * @param weights - Weights by the names of a run's tensors; null: it begins with nothing.
 * @param learned - Head that learns; null: both networks do.
 * @throws {@link DpmError} naming the field that is wrong, or does not fit another one.
 */
export function trainableCaptioned(
  { unet, textEncoder, scheduler }: CaptionedConfigs,
  source: string,
  [channels, height, width]: readonly [number, number, number],
  weights: Checkpoint | null,
  learned: CaptionedHead | null = null,
): TrainableNetwork & { readonly text: TextEncoderDescription } {
  const { description } = parseConditionalConfig(unet, `${source}: unet`);
  const text = { ...parseTextEncoderConfig(textEncoder, `${source}: text_encoder`).description, projection: null };
  const { inChannels, outChannels, contextWidth } = description;
  if (contextWidth !== text.width) {
    throw new DpmError(
      'ERR_DPM_CONFIG',
      `${source}: cross_attention_dim of unet is ${contextWidth}, hidden_size of text_encoder ${text.width}: they have to be the same`,
    );
  }
  if (inChannels !== channels || outChannels !== channels) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${source}: unet has in_channels ${inChannels} and out_channels ${outChannels}, the latents have ${channels}`,
    );
  }
  const alone = captionedGraph(description, text, { height, width });
  const form = learned?.description ?? null;
  const graph = form === null ? alone : captionedGraph(description, text, { height, width }, form);
  const keys = new Set(graph.constants.map(({ name }) => name).filter(isOfHead));
  const outputs = { layers: text.layers, normed: true, pooled: false };
  const ofText = new Set([tokenTable, ...textEncoderGraph(text, outputs).constants.map(({ name }) => name)]);
  return {
    kind: 'captioned',
    source,
    config: { unet, text_encoder: textEncoder },
    network: {
      unet: { inChannels, outChannels, height, width, classes: 0, divisor: null },
      head: form,
      source: sourceOf(text, ofText),
      ignores: () => false,
      initial: initialRule(text, ofText),
    },
    graph,
    alone,
    droppingOut() {
      throw new DpmError('ERR_DPM_UNSUPPORTED', `dropout: maps of ${source} do not drop out`);
    },
    head: learned && { ...learned.head, keys },
    schedule: NoiseSchedule.fromSchedulerConfig(scheduler, {}, `the scheduler of ${source}`),
    scheduler,
    layout: diffusersLayout,
    labelForNone: 'no label',
    weights,
    text,
  };
}
