import { join } from 'node:path';

import { DpmError } from '../../base/errors.js';
import type { ConditionalDescription, ControlDescription } from '../../network/conditional-description.js';
import { controlPrefix, controlWeights } from '../../network/control.js';
import { mergeCheckpoints, type Checkpoint } from '../checkpoint.js';
import { modelPath } from '../model-path.js';
import { readObject } from '../read-model.js';
import type { ReadConditional } from './conditional.js';
import { parseControlConfig } from './control-config.js';
import { folderWeights } from './folder-weights.js';

/** A ControlNet's configuration, and its weights by their names in diffusers. */
interface ReadControl {
  readonly description: ControlDescription;
  /** Its configuration, for messages. */
  readonly source: string;
  readonly checkpoint: Checkpoint;
}

async function readControl(folder: string): Promise<ReadControl> {
  const source = join(folder, 'config.json');
  const description = parseControlConfig(await readObject(source), source);
  return { description, source, checkpoint: await folderWeights(folder, controlWeights(description)) };
}

/** Numbers of a network that have to be a ControlNet's, too, by the fields that say them. */
function sharedNumbers({ levels, contextWidth, added, classes }: ConditionalDescription): Record<string, unknown> {
  return {
    block_out_channels: levels.map(({ channels }) => channels),
    layers_per_block: levels.map(({ layers }) => layers),
    cross_attention_dim: contextWidth,
    projection_class_embeddings_input_dim: added?.length ?? null,
    num_class_embeds: classes,
  };
}

/** @throws {@link DpmError} `ERR_DPM_CONFIG` naming the field of the ControlNet that does not fit. */
function requireFitting({ description: { encoder }, source }: ReadControl, unet: ConditionalDescription): void {
  const agreements = {
    ...sharedNumbers(unet),
    // Where a U-Net sees more than the states, as those that fill parts of pictures do, a ControlNet sees the states alone.
    in_channels: unet.outChannels,
  };
  const own: Record<string, unknown> = { ...sharedNumbers(encoder), in_channels: encoder.inChannels };
  for (const [field, value] of Object.entries(agreements)) {
    const [is, expected] = [JSON.stringify(own[field]), JSON.stringify(value)];
    if (is === expected) continue;
    throw new DpmError('ERR_DPM_CONFIG', `${source}: ${field} is ${is}, it has to be ${expected}, as the U-Net's`);
  }
}

/**
 * Reads folders of ControlNets in diffusers' layout, and adds their weights to those of a U-Net.
 *
 * @throws {@link DpmError} naming the file and the wrong field or tensor.
 */
export async function withControls(unet: ReadConditional, folders: readonly string[]): Promise<ReadConditional> {
  let { checkpoint } = unet;
  const controls: ControlDescription[] = [];
  for (const [k, folder] of folders.entries()) {
    const read = await readControl(await modelPath(folder));
    requireFitting(read, unet.description);
    checkpoint = mergeCheckpoints(checkpoint, read.checkpoint, controlPrefix(k));
    controls.push(read.description);
  }
  if (controls.length === 0) return unet;
  return { ...unet, description: { ...unet.description, controls }, checkpoint };
}
