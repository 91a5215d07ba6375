import { join } from 'node:path';

import { conditionalGraph, promptGraph } from '../../network/conditional.js';
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
  const { description } = config;
  // The shapes of weights are the same for any size.
  const side = 2 ** description.levels.length;
  const graphs = [conditionalGraph(description, { height: side, width: side, tokens: 1 }), promptGraph(description, 1)];
  const required = new Map(graphs.flatMap((graph) => [...requiredTensors(graph)]));
  requireMatchingWeights(compareWeights(required, named), named);
  return { ...config, checkpoint: named };
}
