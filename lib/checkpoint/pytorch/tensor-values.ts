import { elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { gather } from '../../files/gather.js';
import { dtypeBytes } from '../../files/safetensors.js';
import { readFloats } from '../../files/tensor-data.js';
import type { PytorchFile } from './pytorch-file.js';
import type { PytorchTensor } from './tensor.js';

/** Values an expanded tensor may have beyond those of its storage: axes of stride 0 cost a file nothing. */
const MAX_EXPANDED = 2 ** 28;

/**
 * A tensor's values as float32 in C order, whatever its dtype and strides; rounded as by {@link readFloats}.
 *
 * @param name - for messages
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SIZE` for a tensor that expands a small storage without measure, `ERR_DPM_FILE`,
 * `ERR_DPM_FILE_TRUNCATED` when the file has become shorter.
 */
export async function readPytorchFloats(file: PytorchFile, name: string, tensor: PytorchTensor): Promise<Float32Array> {
  const { dtype, shape, stride, offset, span, storage } = tensor;
  const count = elementCount(shape);
  if (count > Math.max(MAX_EXPANDED, storage.elements)) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SIZE',
      `${file.path}: tensor '${name}' [${shape.join(', ')}] makes ${count} values of a storage of ${storage.elements}`,
    );
  }
  if (count === 0) return new Float32Array(0);
  // All from the first element to the last, as a vector.
  const run = { dtype, shape: [span], offset, bytes: span * dtypeBytes[dtype] };
  const { data } = await readFloats({ path: file.path, metadata: new Map(), tensors: new Map([[name, run]]) }, name);
  return tensor.isContiguous ? data : gather(data, shape, stride);
}
