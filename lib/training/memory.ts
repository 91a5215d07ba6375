import { requireRoom } from '../base/memory-budget.js';
import type { NativeNetworkInfo } from '../engine/binding.js';
import type { WeightTensors } from '../engine/checkpoint-tensors.js';
import { isOfHead } from '../checkpoint/trainable-head.js';
import type { TrainableNetwork } from '../checkpoint/trainable.js';
import { parameterCount } from '../network/cost.js';
import { imageBytes } from './learning.js';
import type { Trainee } from './trainee.js';

/** Bytes that a run of training takes. */
export interface TrainingMemory {
  /** The images. */
  images: number;
  /** Weights that learn, their gradients, two moments and the average. */
  parameters: number;
  /** Weights as the device has packed them, for both directions. */
  packed: number;
  /** Maps of one batch that are kept for the gradients. */
  maps: number;
  /**
   * What the beginning of a run and its checkpoints take at most: three tensors of the size of the weights that learn, and the
   * weights that do not.
   */
  checkpoints: number;
  /** All of these. */
  total: number;
}

/** Number of tensors of the weights' size: weights, gradients, two moments, average. */
const BUFFERS = 5;

/**
 * Number of these that are in JavaScript or on their way from there: one at a checkpoint, and two that are not yet collected;
 * in the beginning the weights, and their copies for the engine.
 */
const CHECKPOINT_BUFFERS = 3;

/** Number of bytes of these tensors. */
function parameterBytes({ trainable }: Trainee): number {
  return 4 * BUFFERS * learnedCount(trainable);
}

function checkpointBytes({ trainable }: Trainee, fixed: WeightTensors): number {
  const elements = [...fixed.values()].reduce((sum, { data }) => sum + data.length, 0);
  return 4 * (CHECKPOINT_BUFFERS * learnedCount(trainable) + elements);
}

/** Number of bytes of the map of a text, on the device and on the host. */
function textBytes({ captions, trainable: { graph } }: Trainee): number {
  const context = graph.values.find(({ binding }) => binding === 'context');
  return captions === null || context === undefined ? 0 : 8 * context.channels * context.height;
}

/** Number of the parameters that learn. */
export function learnedCount({ graph, head }: TrainableNetwork): number {
  return parameterCount(graph, head === null ? undefined : isOfHead);
}

/**
 * Refuses a run before its network is loaded, if the machine has less memory than the images and the weights alone take.
 *
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY`.
 */
export function requireMemoryFor(trainee: Trainee): void {
  requireRoom('images and weights', imageBytes(trainee) + parameterBytes(trainee));
}

/**
 * Tells what a run takes whose network is loaded.
 *
 * @param fixed - Weights that do not learn.
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY` if the machine has less.
 */
export function memoryOf(trainee: Trainee, info: NativeNetworkInfo, fixed: WeightTensors): TrainingMemory {
  const images = imageBytes(trainee);
  const parameters = parameterBytes(trainee);
  const { weightBytes: packed } = info;
  const maps = (info.rowBytes + textBytes(trainee)) * trainee.settings.batch;
  const checkpoints = checkpointBytes(trainee, fixed);
  const total = images + parameters + packed + maps + checkpoints;
  requireRoom(
    `batches of ${trainee.settings.batch} images`,
    total,
    'a smaller batch and accumulate, or recompute blocks, take less',
  );
  return { images, parameters, packed, maps, checkpoints, total };
}
