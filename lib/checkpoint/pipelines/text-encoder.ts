import { join } from 'node:path';

import { ConfigReader, widthRange } from '../../files/config-reader.js';
import { requiredTensors } from '../../network/cost.js';
import { textEncoderGraph, type TextEncoderDescription } from '../../network/text-encoder.js';
import { renameTensors, type Checkpoint } from '../checkpoint.js';
import { isPositionTable } from '../folder-files.js';
import { readObject } from '../read-model.js';
import { findWeights, openWeights } from '../weight-files.js';
import { compareWeights, requireMatchingWeights } from '../weight-report.js';
import { LARGEST_EPSILON } from './fields.js';

/** A text encoder's configuration, its weights by the names of its graph's constants, and its table of tokens. */
export interface ReadTextEncoder extends TextEncoderConfig {
  readonly description: TextEncoderDescription;
  readonly checkpoint: Checkpoint;
  /** Embeddings of tokens behind those of the table, [count, width]; absent: there are none. */
  readonly added?: Float32Array;
}

/** Name of the table [vocabulary, width] of the tokens' embeddings. */
export const tokenTable = 'embeddings.token_embedding.weight';
/** Name of the table [tokens, width] of the positions' embeddings. */
export const positionTable = 'embeddings.position_embedding.weight';

/** What a configuration says about a text encoder; the length of its projection is that of the weights. */
export interface TextEncoderConfig {
  readonly description: Omit<TextEncoderDescription, 'projection'>;
  /** Id of the token whose state stands for a text; null: the first of the largest id. */
  readonly endToken: number | null;
}

/**
 * Reads the configuration of a `CLIPTextModel` of transformers.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
 */
export function parseTextEncoderConfig(raw: Readonly<Record<string, unknown>>, source: string): TextEncoderConfig {
  const config = new ConfigReader(raw, source);
  const width = config.integer('hidden_size', 512, widthRange);
  const heads = config.integer('num_attention_heads', 8, widthRange);
  if (width % heads !== 0) throw config.error('num_attention_heads', `a divisor of hidden_size, ${width}`);
  const vocabulary = config.integer('vocab_size', 49_408, { least: 1, most: 2 ** 24 });
  const end = config.integer('eos_token_id', 49_407, { least: 0, most: vocabulary - 1 });
  return {
    description: {
      width,
      heads,
      layers: config.integer('num_hidden_layers', 12, { least: 1, most: 256 }),
      inner: config.integer('intermediate_size', 2048, widthRange),
      activation: config.choice('hidden_act', 'quick_gelu', ['quick_gelu', 'gelu']),
      epsilon: config.positive('layer_norm_eps', 1e-5, LARGEST_EPSILON),
      tokens: config.integer('max_position_embeddings', 77, { least: 3, most: 4096 }),
      vocabulary,
    },
    // Old configurations give 2, from a time when the library took the largest id.
    endToken: end === 2 ? null : end,
  };
}

/** Gives weights their names without what some releases of the library put before them, and leaves out what is none. */
function renamed(checkpoint: Checkpoint): Checkpoint {
  const named = renameTensors(checkpoint, (name) => name.replace(/^text_model\./, ''));
  for (const name of [...named.tensors.keys()].filter(isPositionTable)) named.tensors.delete(name);
  return named;
}

/** Lists the weights of a text encoder, its tables as they are in files. */
export function textEncoderWeights(description: TextEncoderDescription): Map<string, number[]> {
  const { width, tokens, vocabulary, layers } = description;
  const graph = textEncoderGraph(description, { layers, normed: true, pooled: true });
  return requiredTensors(graph).set(positionTable, [tokens, width]).set(tokenTable, [vocabulary, width]);
}

/** Turns the table of positions, [tokens, width], into the constant of the graph, [width, tokens]. */
export function withPositions(checkpoint: Checkpoint, { tokens, width }: TextEncoderDescription): Checkpoint {
  const tensors = new Map(checkpoint.tensors);
  const table = tensors.get(positionTable);
  if (table === undefined) return checkpoint;
  const view = { dims: [width, tokens], strides: [1, width] };
  const source = { name: positionTable, shape: table.shape, view: { offset: 0, ...view } };
  tensors.set(positionTable, { ...table, shape: [width, tokens], view, source });
  return { ...checkpoint, tensors };
}

/**
 * Reads the folder of CLIP's text encoder in the layout of transformers: `config.json` and its weights.
 *
 * @throws {@link DpmError} naming the file and the wrong field or tensor.
 */
export async function readTextEncoder(folder: string): Promise<ReadTextEncoder> {
  const path = join(folder, 'config.json');
  const { description: config, endToken } = parseTextEncoderConfig(await readObject(path), path);
  const named = renamed((await openWeights(await findWeights(folder, 'model', 'pytorch_model'))).checkpoint);
  const projection = named.tensors.get('text_projection.weight')?.shape[0] ?? null;
  const description = { ...config, projection };
  requireMatchingWeights(compareWeights(textEncoderWeights(description), named), named);
  return { description, endToken, checkpoint: withPositions(named, description) };
}
