import { kinds, objectOf, type OptionKinds, requireKind, threeSizes } from '../base/option-kinds.js';
import { deviceKind } from '../engine/device.js';
import type { Network } from '../engine/network.js';
import { DiffusionModel } from '../model.js';
import { ScriptEvaluator, type Evaluator, type ScriptModel } from '../run/evaluator.js';
import { NetworkEvaluator } from '../run/network-evaluator.js';
import { scheduleKind } from '../schedule/noise-schedule.js';

/** Model written in JavaScript, whose statistics are estimated like those of a network. */
export interface ScriptedModel extends Pick<DiffusionModel, 'schedule' | 'device' | 'sampleShape'> {
  /** Function that predicts from the state at a network time. */
  model: ScriptModel;
}

/** Model of an estimate: a loaded one, or one written in JavaScript. */
export type EstimatedModel = DiffusionModel | ScriptedModel;

/** Model whose evaluators are made of labels, one per row. */
export interface LabelledModel extends Pick<DiffusionModel, 'schedule' | 'device' | 'sampleShape'> {
  evaluator: (labels: readonly number[]) => Evaluator;
}

/** Model of which noisy batches can be evaluated. */
export type NoisyModel = EstimatedModel | LabelledModel;

const anyModel = objectOf('a DiffusionModel, or { schedule, device, sampleShape, model }');

const fields: OptionKinds<ScriptedModel> = {
  model: kinds.function,
  schedule: scheduleKind,
  device: deviceKind,
  sampleShape: threeSizes,
};

/**
 * Refuses a value that is no model, which plain JavaScript can give.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT`.
 */
export function requireEstimatedModel(model: unknown): asserts model is EstimatedModel {
  requireKind('the model', model, anyModel);
  if (model instanceof DiffusionModel) return;
  for (const [name, kind] of Object.entries(fields))
    requireKind(`${name} of the model`, (model as Record<string, unknown>)[name], kind);
}

/** Makes an evaluator of a model's states. */
export function evaluatorOf(
  model: NoisyModel,
  {
    labels,
    batch,
    network,
    signal,
  }: {
    labels: ArrayLike<number> | undefined;
    batch: number;
    /** Default: the loaded model's own. */
    network: Network | undefined;
    signal: AbortSignal | undefined;
  },
): Evaluator {
  if ('evaluator' in model) return model.evaluator(Array.from(labels ?? []));
  if ('model' in model) return new ScriptEvaluator(model.model, { device: model.device, signal });
  const own = network ?? model.unet;
  return new NetworkEvaluator(own, own.labels(labels, batch));
}
