import { join } from 'node:path';

import { conditionalGraph, promptGraph, type ConditionalDescription } from '../../network/conditional.js';
import { requiredTensors } from '../../network/cost.js';
import { renameTensors, type Checkpoint } from '../checkpoint.js';
import { canonicalDiffusersName } from '../diffusers.js';
import { readObject } from '../read-model.js';
import { findWeights, openWeights } from '../weight-files.js';
import { compareWeights, requireMatchingWeights } from '../weight-report.js';
import { parseConditionalConfig, type ConditionalConfig } from './conditional-config.js';

/** A conditional U-Net's configuration, and its weights by the names of its graphs' constants. */
export interface ReadConditional extends ConditionalConfig {
  readonly checkpoint: Checkpoint;
}

/** Lists the weights of both graphs, whose shapes are the same for any size. */
export function conditionalWeights(description: ConditionalDescription): Map<string, number[]> {
  const side = 2 ** description.levels.length;
  const graphs = [conditionalGraph(description, { height: side, width: side, tokens: 1 }), promptGraph(description, 1)];
  return new Map(graphs.flatMap((graph) => [...requiredTensors(graph)]));
}

/**
 * Reads the folder of a conditional U-Net in diffusers' layout: `config.json` and its weights.
 *
 * @throws {@link DpmError} naming the file and the wrong field or tensor.
 */
export async function readConditional(folder: string): Promise<ReadConditional> {
  const path = join(folder, 'config.json');
  const config = parseConditionalConfig(await readObject(path), path);
  const { checkpoint } = await openWeights(await findWeights(folder, 'diffusion_pytorch_model'));
  const named = renameTensors(checkpoint, canonicalDiffusersName);
  requireMatchingWeights(compareWeights(conditionalWeights(config.description), named), named);
  return { ...config, checkpoint: named };
}
