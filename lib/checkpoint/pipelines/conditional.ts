import { join } from 'node:path';

import { conditionalGraph, promptGraph, type ConditionalDescription } from '../../network/conditional.js';
import { requiredTensors } from '../../network/cost.js';
import { isThere } from '../../files/files.js';
import type { HeadDescription } from '../../network/description.js';
import { mergeCheckpoints, renameTensors, type Checkpoint } from '../checkpoint.js';
import { canonicalDiffusersName } from '../diffusers.js';
import { headOf, headPrefix, readHeadsConfig, type HeadName, type HeadsConfig } from '../heads.js';
import { readObject } from '../read-model.js';
import { findWeights, openSingleFile, openWeights } from '../weight-files.js';
import { compareWeights, requireMatchingWeights } from '../weight-report.js';
import { parseConditionalConfig, type ConditionalConfig } from './conditional-config.js';

/** Variance heads of a conditional U-Net, which lie in `heads/` of its folder. */
export interface ConditionalHeads {
  readonly prediction: HeadsConfig['prediction'];
  /** Each head; its weights have the prefix of its description in the network's checkpoint. */
  readonly heads: ReadonlyMap<HeadName, HeadDescription>;
}

/** A conditional U-Net's configuration, and its weights by the names of its graphs' constants. */
export interface ReadConditional extends ConditionalConfig {
  readonly checkpoint: Checkpoint;
  /** Null: it has none. */
  readonly heads?: ConditionalHeads | null;
}

/** Lists the weights of both graphs, whose shapes are the same for any size; of the first alone with a head. */
export function conditionalWeights(
  description: ConditionalDescription,
  head: HeadDescription | null = null,
): Map<string, number[]> {
  const side = 2 ** description.levels.length;
  const sizes = { height: side, width: side, tokens: 1 };
  const graphs = [conditionalGraph(description, sizes, head), promptGraph(description, 1)];
  return new Map(graphs.flatMap((graph) => [...requiredTensors(graph)]));
}

/** Gives what heads of a conditional U-Net have to fit. */
export function headPlaceOf({ inChannels, levels }: ConditionalDescription): Parameters<typeof headOf>[0] {
  return { inChannels, lastChannels: levels[0]?.channels ?? 0 };
}

/** Reads the heads in the folder of a U-Net, and adds their weights to its own. */
async function withHeads(folder: string, read: ReadConditional): Promise<ReadConditional> {
  const { description } = read;
  const config = await readHeadsConfig(folder);
  const form = headOf(headPlaceOf(description), config);
  const heads = new Map<HeadName, HeadDescription>();
  let { checkpoint } = read;
  for (const [name, file] of config.files) {
    const head = { ...form, prefix: `${headPrefix}.${name}` };
    const own = await openSingleFile(join(folder, file));
    checkpoint = mergeCheckpoints(checkpoint, own, head.prefix);
    const required = [...conditionalWeights(description, head)].filter(([key]) => key.startsWith(`${head.prefix}.`));
    const named = mergeCheckpoints({ files: [], tensors: new Map() }, own, head.prefix);
    requireMatchingWeights(compareWeights(new Map(required), named), named);
    heads.set(name, head);
  }
  return { ...read, checkpoint, heads: { prediction: config.prediction, heads } };
}

/**
 * Reads the folder of a conditional U-Net in diffusers' layout: `config.json` and its weights, and `heads/` where there are any.
 *
 * @throws {@link DpmError} naming the file and the wrong field or tensor.
 */
export async function readConditional(folder: string): Promise<ReadConditional> {
  const path = join(folder, 'config.json');
  const config = parseConditionalConfig(await readObject(path), path);
  const { checkpoint } = await openWeights(await findWeights(folder, 'diffusion_pytorch_model'));
  const named = renameTensors(checkpoint, canonicalDiffusersName);
  requireMatchingWeights(compareWeights(conditionalWeights(config.description), named), named);
  const read = { ...config, checkpoint: named };
  const heads = join(folder, 'heads');
  return (await isThere(join(heads, 'config.json'))) ? withHeads(heads, read) : read;
}
