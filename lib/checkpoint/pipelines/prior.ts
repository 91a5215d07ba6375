import { join } from 'node:path';

import { ConfigReader, widthRange } from '../../files/config-reader.js';
import { requiredTensors } from '../../network/cost.js';
import { priorGraph, tokensBehindText, type PriorDescription } from '../../network/prior.js';
import type { Checkpoint, CheckpointEntry } from '../checkpoint.js';
import { readObject } from '../read-model.js';
import { openTable } from '../table-rows.js';
import { requireFields } from './fields.js';
import { folderWeights } from './folder-weights.js';

/** A diffusion prior's configuration, and its weights by the names of its graph's constants. */
export interface ReadPrior {
  readonly description: PriorDescription;
  /** Means and deviations of the embeddings of images, [embedding] each. */
  readonly mean: Float32Array;
  readonly deviation: Float32Array;
  readonly checkpoint: Checkpoint;
}

/** Fields with one supported value. */
const onlyFields: Readonly<Record<string, unknown>> = {
  added_emb_type: 'prd',
  additional_embeddings: tokensBehindText,
  embedding_proj_norm_type: null,
  encoder_hid_proj_type: 'linear',
  norm_in_type: null,
  time_embed_act_fn: 'silu',
};

const otherFields = [
  'attention_head_dim',
  'clip_embed_dim',
  'dropout',
  'embedding_dim',
  'embedding_proj_dim',
  'num_attention_heads',
  'num_embeddings',
  'num_layers',
  'time_embed_dim',
];

/**
 * Reads the configuration of a `PriorTransformer` of diffusers.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
 */
export function parsePriorConfig(raw: Readonly<Record<string, unknown>>, source: string): PriorDescription {
  const config = new ConfigReader(raw, source);
  config.choice('_class_name', 'PriorTransformer', ['PriorTransformer']);
  requireFields(config, [...otherFields, ...Object.keys(onlyFields)]);
  for (const [name, only] of Object.entries(onlyFields)) {
    if (config.has(name) && config.raw(name) !== only) throw config.unsupported(name, JSON.stringify(only));
  }
  const heads = config.integer('num_attention_heads', 32, widthRange);
  const width = heads * config.integer('attention_head_dim', 64, widthRange);
  if (width > widthRange.most || width % 2 !== 0) {
    throw config.error('attention_head_dim', `an even width of at most ${widthRange.most} with ${heads} heads`);
  }
  const embedding = config.integer('embedding_dim', 768, widthRange);
  if ((config.integerOrNull('clip_embed_dim', null, widthRange) ?? embedding) !== embedding)
    throw config.unsupported('clip_embed_dim', `embedding_dim, ${embedding}`);
  return {
    embedding,
    textEmbedding: config.integerOrNull('embedding_proj_dim', null, widthRange) ?? embedding,
    tokens: config.integer('num_embeddings', 77, { least: 1, most: 1024 }),
    width,
    heads,
    layers: config.integer('num_layers', 20, { least: 1, most: 256 }),
    timeInner: config.integerOrNull('time_embed_dim', null, widthRange) ?? width,
  };
}

const [prd, positions, mean, deviation] = ['prd_embedding', 'positional_embedding', 'clip_mean', 'clip_std'];

/** Gives a tensor those of its axes that its constant has, in the constant's order; the others have one element. */
function withAxes(name: string, entry: CheckpointEntry, axes: readonly number[]): CheckpointEntry {
  const rowMajor = entry.shape.map((_, axis) => entry.shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const along = (sizes: readonly number[]): number[] => axes.map((axis) => sizes[axis] ?? 1);
  const dims = along(entry.shape);
  const source = { name, shape: entry.shape, view: { offset: 0, dims, strides: along(rowMajor) } };
  return { ...entry, shape: dims, view: { dims, strides: along(entry.view?.strides ?? rowMajor) }, source };
}

/** Turns the tables of embeddings, [1, tokens, width], into the constants of the graph. */
function withTables(checkpoint: Checkpoint): Checkpoint {
  const tensors = new Map(
    [...checkpoint.tensors].map(([name, entry]) => {
      if (name === prd) return [name, withAxes(name, entry, [2])];
      return [name, name === positions ? withAxes(name, entry, [2, 1]) : entry];
    }),
  );
  return { ...checkpoint, tensors };
}

/**
 * Reads the folder of a diffusion prior in diffusers' layout: `config.json` and its weights.
 *
 * @throws {@link DpmError} naming the file and the wrong field or tensor.
 */
export async function readPrior(folder: string): Promise<ReadPrior> {
  const path = join(folder, 'config.json');
  const description = parsePriorConfig(await readObject(path), path);
  const { embedding, tokens, width } = description;
  // The tables are compared as they are in the file.
  const required = requiredTensors(priorGraph(description))
    .set(prd, [1, 1, width])
    .set(positions, [1, tokens + tokensBehindText, width])
    .set(mean, [1, embedding])
    .set(deviation, [1, embedding]);
  const named = await folderWeights(folder, required);
  const only = async (name: string): Promise<Float32Array> => openTable(named, name).rows(Int32Array.of(0));
  return {
    description,
    mean: await only(mean),
    deviation: await only(deviation),
    checkpoint: withTables(named),
  };
}
