import type { UNet } from '../engine/unet.js';
import type { DiffusionModel } from '../model.js';
import { ScriptEvaluator, type Evaluator, type ScriptModel } from '../running/evaluator.js';
import { NetworkEvaluator } from '../running/network-evaluator.js';

/** A model written in JavaScript, whose statistics are estimated as those of a network are. */
export interface ScriptedModel extends Pick<DiffusionModel, 'schedule' | 'device' | 'sampleShape'> {
  /** Predicts from the state at a network time. */
  model: ScriptModel;
}

/** What estimates from data are made of: a loaded model, or one written in JavaScript. */
export type EstimatedModel = DiffusionModel | ScriptedModel;

/**
 * What evaluates a batch of a model's states.
 *
 * @param unet - Default: the loaded model's own.
 */
export function evaluatorOf(
  model: EstimatedModel,
  labels: ArrayLike<number> | undefined,
  batch: number,
  unet?: UNet,
): Evaluator {
  if ('model' in model) return new ScriptEvaluator(model.model);
  const network = unet ?? model.unet;
  return new NetworkEvaluator(network, network.labels(labels, batch));
}
