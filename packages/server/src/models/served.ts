import {
  type BatchService,
  type DiffusionModel,
  type PromptBatcher,
  type SamplerName,
  samplerNames,
  samplers,
  type TextToImage,
} from 'dpm-native';

import type { ModelConfig } from '../config/model-config.js';
import { ServerError } from '../base/problem.js';

interface Served {
  readonly id: string;
  readonly digest: string;
  /** The configuration that it was loaded with. */
  readonly config: ModelConfig;
  /** The names of its classes; empty where the configuration gives none. */
  readonly labels: readonly string[];
  /** Seconds since the epoch. */
  readonly created: number;
}

/** A model of pixels that takes requests. */
export interface ServedPixels extends Served {
  readonly kind: 'pixels';
  /** The first of its equal replicas. */
  readonly model: DiffusionModel;
  readonly batcher: BatchService;
}

/** A pipeline of text to image that takes requests. */
export interface ServedPrompts extends Served {
  readonly kind: 'prompts';
  readonly model: TextToImage;
  readonly batcher: PromptBatcher;
}

/** A model that takes requests. */
export type ServedModel = ServedPixels | ServedPrompts;

/** The number of classes of a model; pipelines have none. */
export function classesOf(served: ServedModel): number {
  return served.kind === 'pixels' ? served.model.unet.info.classes : 0;
}

/** The rows of full steps that a model computes in a second, as fast as it is now. */
export const rowsPerSecondNow = ({ batcher }: ServedModel): number =>
  batcher.capacity.rowsPerSecond / batcher.stats().slowdown;

/** The number of weights of a model's U-Net. */
export function parametersOf(served: ServedModel): number {
  return served.kind === 'pixels' ? served.model.unet.info.parameters : served.model.unet.parameters;
}

/** The samplers for which a model has the tables, and of a pipeline the heads. */
export function samplersOf({ kind, model }: ServedModel): SamplerName[] {
  return samplerNames.filter((name) => {
    const { needsGamma, head } = samplers[name].facts;
    const hasHead = kind === 'pixels' || head === null || model.unet.heads.some((each) => each === head);
    return hasHead && (!needsGamma || model.gamma !== null);
  });
}

/** The sizes of images that a pipeline's requests may ask for, as `width x height`; the first is its own. */
export function sizesOf({ model, config }: ServedPrompts): string[] {
  const [, height, width] = model.sampleShape;
  return [...new Set([`${width}x${height}`, ...(config.sizes ?? [])])];
}

/**
 * Requires a model of pixels.
 *
 * @throws {@link ServerError} `ERR_DPM_UNSUPPORTED`.
 */
export function requirePixels(served: ServedModel, what: string): ServedPixels {
  if (served.kind === 'pixels') return served;
  throw new ServerError('ERR_DPM_UNSUPPORTED', `${served.id} draws images of texts: ${what}`, { param: 'model' });
}
