import { join } from 'node:path';

import { DpmError } from '../../base/errors.js';
import { mergeCheckpoints, type Checkpoint } from '../../checkpoint/checkpoint.js';
import { headOf, headPrefix } from '../../checkpoint/heads.js';
import { headPlaceOf } from '../../checkpoint/pipelines/conditional.js';
import { pipelineFiles } from '../../checkpoint/folder-files.js';
import { parseConditionalConfig } from '../../checkpoint/pipelines/conditional-config.js';
import type { CaptionedConfigs, CaptionedHead } from '../../checkpoint/pipelines/trainable-captioned.js';
import { apartOf, headsToTrain, isOfHead, modeOf } from '../../checkpoint/trainable-head.js';
import { openSingleFile } from '../../checkpoint/weight-files.js';
import { isThere } from '../../files/files.js';
import { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { BeginningFile, WeightFile } from '../run-folder/model-files.js';
import type { TakenOptions } from '../taken-options.js';

/** Where the heads of a pipeline lie in its folder. */
const HEADS = join('unet', 'heads');

/**
 * Finds the head that is to learn on a pipeline: its own where it has one, else one that begins with nothing.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for a U-Net that predicts neither the noise nor v; those of the heads' file.
 */
export async function headOfPipeline(
  folder: string,
  { unet, scheduler }: CaptionedConfigs,
  { head, headMode }: TakenOptions,
): Promise<CaptionedHead | null> {
  if (head === undefined) return null;
  const { description } = parseConditionalConfig(unet, join(folder, 'unet', 'config.json'));
  const { prediction } = NoiseSchedule.fromSchedulerConfig(scheduler, {}, folder).defaults;
  if (prediction !== 'epsilon' && prediction !== 'v') {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${folder}: a head beside the prediction '${prediction}' cannot be trained`,
    );
  }
  const { inChannels, groups, epsilon } = description;
  const own = { outChannels: inChannels, groups, epsilon, prediction };
  const heads = await headsToTrain(folder, join(folder, HEADS), own, headMode);
  const others = [...heads.files].filter(([name]) => name !== head).map(([, file]) => join(HEADS, file));
  if (await isThere(join(folder, pipelineFiles.gamma))) others.push(pipelineFiles.gamma);
  return {
    head: {
      name: head,
      mode: modeOf(heads),
      prediction: heads.prediction,
      apart: apartOf(heads, head),
      companions: new Map(others.map((path) => [path, join(folder, path)])),
      isBegun: heads.files.has(head),
    },
    description: headOf(headPlaceOf(description), heads),
  };
}

/** Adds the weights of a head that goes on to those of its pipeline. */
export async function withWeightsOfHead(
  folder: string,
  weights: Checkpoint,
  learned: CaptionedHead | null,
): Promise<Checkpoint> {
  if (learned?.head.isBegun !== true || learned.head.apart === null) return weights;
  return mergeCheckpoints(weights, await openSingleFile(join(folder, HEADS, learned.head.apart.file)), headPrefix);
}

/** Lists the files that a pipeline's folder has beside those of one without a head that learns. */
export function filesOfHead(head: CaptionedHead['head'] | null): {
  readonly beginning: readonly (readonly [string, BeginningFile])[];
  readonly weights: readonly WeightFile[];
} {
  const apart = head?.apart ?? null;
  if (head === null || apart === null) return { beginning: [], weights: [] };
  const { file, config } = apart;
  const nameOf = (tensor: string): string | null => (isOfHead(tensor) ? tensor.slice(headPrefix.length + 1) : null);
  return {
    beginning: [
      [join(HEADS, 'config.json'), { json: config }],
      ...[...head.companions].map(([path, from]) => [path, { from }] as const),
    ],
    weights: [{ path: join(HEADS, file), nameOf, learns: true }],
  };
}
