import { at, elementCount } from '../base/arrays.js';
import { normals, sampleStreams } from '../engine/normals.js';
import type { DiffusionModel } from '../model.js';
import type { Constraint } from '../guidance/guide.js';
import { amplitudesOfNetworkTime } from '../schedule/network-level.js';
import { noised } from '../schedule/noise-level.js';
import { LowPass } from './low-pass.js';
import type { CheckedOptions } from './options.js';

/** Draw of the references' noise in the random stream of a sample. */
const REFERENCE_DRAW = 5;

/** Sources of a translation, [N, C, H, W]. */
export interface Sources {
  model: DiffusionModel;
  images: Float32Array;
}

/**
 * Makes a constraint that holds low frequencies of states to those of the sources (Choi et al. 2021, ILVR). The sources
 * get new noise at every step, as much as the state had at its start.
 *
 * @param conditioned - Number of constrained steps, from the first on.
 */
export function keepLowFrequencies(
  { model, images }: Sources,
  conditioned: number,
  options: CheckedOptions,
): Constraint {
  const [channels, height, width] = model.sampleShape;
  const elements = elementCount([channels, height, width]);
  const lowPass = new LowPass(height, width, options.factor, 'cubic');
  const { seed, noise } = options;
  const drawn = (first: number, count: number, record: number): Promise<Float32Array> =>
    normals(
      model.device,
      model.sampleShape,
      sampleStreams(count, { seed, firstSample: first, record, draw: REFERENCE_DRAW }),
    );
  return async (x, { first, record, time }) => {
    if (record > conditioned) return x;
    const offset = first * elements;
    const given = noise?.references;
    const slice = (record - 1) * images.length + offset;
    const e = given?.subarray(slice, slice + x.length) ?? (await drawn(first, x.length / elements, record - 1));
    const sources = images.subarray(offset, offset + x.length);
    const reference = noised(sources, e, amplitudesOfNetworkTime(model.schedule, time));
    const apart = reference.map((value, i) => value - at(x, i));
    const low = lowPass.apply(apart);
    return x.map((value, i) => value + at(low, i));
  };
}
