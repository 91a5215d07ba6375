import { join } from 'node:path';

import { conditionalGraph, promptGraph } from '../../network/conditional.js';
import type { ConditionalDescription } from '../../network/conditional-description.js';
import { isOfControl } from '../../network/control.js';
import { requiredTensors } from '../../network/cost.js';
import { isThere } from '../../files/files.js';
import type { HeadDescription } from '../../network/description.js';
import type { Graph } from '../../network/graph.js';
import { mergeCheckpoints, type Checkpoint } from '../checkpoint.js';
import { headOf, headPrefix, readHeadsConfig, type HeadName, type HeadPlace, type HeadsConfig } from '../heads.js';
import { readObject } from '../read-model.js';
import { isOfHead } from '../trainable-head.js';
import { openSingleFile } from '../weight-files.js';
import { compareWeights, requireMatchingWeights } from '../weight-report.js';
import { parseConditionalConfig, type ConditionalConfig } from './conditional-config.js';
import { folderWeights } from './folder-weights.js';

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

/** Builds the graph of a conditional U-Net for the smallest maps that it takes, for the shapes of its weights. */
function smallestGraph(description: ConditionalDescription, head: HeadDescription | null = null): Graph {
  const side = 2 ** description.levels.length;
  return conditionalGraph(description, { height: side, width: side, tokens: 1 }, { head });
}

/** Lists the weights of both graphs, whose shapes are the same for any size. */
export function conditionalWeights(description: ConditionalDescription): Map<string, number[]> {
  const graphs = [smallestGraph(description), promptGraph(description, 1)];
  return new Map(graphs.flatMap((graph) => [...requiredTensors(graph)]));
}

/** Tells whether a weight of a read U-Net is its own, and none of its heads or ControlNets. */
export function isOfUNet(name: string): boolean {
  return !isOfHead(name) && !isOfControl(name);
}

/** Gives what heads of a conditional U-Net have to fit. */
export function headPlaceOf({ inChannels, levels }: ConditionalDescription): HeadPlace {
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
    const named = mergeCheckpoints({ files: [], tensors: new Map() }, own, head.prefix);
    const required = [...requiredTensors(smallestGraph(description, head))].filter(([key]) => isOfHead(key));
    requireMatchingWeights(compareWeights(new Map(required), named), named);
    checkpoint = mergeCheckpoints(checkpoint, own, head.prefix);
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
  const read = { ...config, checkpoint: await folderWeights(folder, conditionalWeights(config.description)) };
  const heads = join(folder, 'heads');
  return (await isThere(join(heads, 'config.json'))) ? withHeads(heads, read) : read;
}
