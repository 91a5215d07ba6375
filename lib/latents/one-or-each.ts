import { DpmError } from '../base/errors.js';
import { requireFinite } from '../run/finite.js';

/**
 * Checks values that are given once for all images, or once for each.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` for another number of them, `ERR_DPM_NOT_FINITE`.
 */
export function oneOrEach(
  name: string,
  values: Float32Array,
  { elements, count }: { elements: number; count: number },
): Float32Array {
  requireFinite(name, values);
  if (values.length === elements || values.length === count * elements) return values;
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${name} has ${values.length} values, it has to have ${elements} for all images or as many for each of ${count}`,
  );
}
