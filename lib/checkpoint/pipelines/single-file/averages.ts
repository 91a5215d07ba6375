import { listNames } from '../../../base/arrays.js';
import { DpmError } from '../../../base/errors.js';
import type { Checkpoint } from '../../checkpoint.js';

const AVERAGES = 'model_ema.';

/** Tensors of an average that are counters. */
const counters = ['model_ema.decay', 'model_ema.num_updates'];

/** Name of a tensor's average: without dots, and without the first part, the model's. */
function averageOf(name: string): string {
  return AVERAGES + name.replace(/^model\./, '').replaceAll('.', '');
}

/**
 * Puts the averages of a training checkpoint in place of the weights that they are of.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if there are none, `ERR_DPM_TENSOR_UNUSED` naming those of no weight.
 */
export function withAverages({ files, tensors }: Checkpoint): Checkpoint {
  const path = files.join(', ');
  const averages = new Map([...tensors].filter(([name]) => name.startsWith(AVERAGES) && !counters.includes(name)));
  if (averages.size === 0) {
    throw new DpmError('ERR_DPM_ARGUMENT', `ema is true, but ${path} holds no averaged weights (${AVERAGES}*)`);
  }
  const replaced: Checkpoint['tensors'] = new Map();
  for (const [name, entry] of tensors) {
    if (name.startsWith(AVERAGES)) continue;
    const average = averageOf(name);
    replaced.set(name, averages.get(average) ?? entry);
    averages.delete(average);
  }
  if (averages.size > 0) {
    throw new DpmError('ERR_DPM_TENSOR_UNUSED', `${path}: averages of no weight: ${listNames([...averages.keys()])}`);
  }
  return { files, tensors: replaced };
}
