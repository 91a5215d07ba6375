import { DpmError } from '../base/errors.js';
import { readExactly, withFile } from '../files/files.js';
import { floatsOf } from '../files/floats.js';
import { dtypeBytes } from '../files/safetensors.js';
import type { Checkpoint } from './checkpoint.js';

/** Table of a checkpoint of which only some rows are read. */
export interface Table {
  /**
   * Reads rows, [count, width].
   *
   * @throws {@link DpmError} `ERR_DPM_FILE` or `ERR_DPM_FILE_TRUNCATED` if the file cannot be read any more.
   */
  rows(indices: Int32Array): Promise<Float32Array>;
}

/**
 * Finds a table of a checkpoint, [rows, width].
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_DTYPE` or `ERR_DPM_UNSUPPORTED` naming a tensor that cannot be read by rows.
 */
export function openTable({ files, tensors }: Checkpoint, name: string): Table {
  const entry = tensors.get(name);
  const path = files[entry?.file ?? 0] ?? '';
  if (entry === undefined) throw new DpmError('ERR_DPM_TENSOR_MISSING', `${path}: no tensor '${name}'`);
  const { dtype, offset, view, shape } = entry;
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    throw new DpmError('ERR_DPM_TENSOR_DTYPE', `${path}: tensor '${name}' is ${dtype}, it has to be F32, F16 or BF16`);
  }
  if (view !== undefined) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${path}: tensor '${name}' is not contiguous: dpm convert makes it so`);
  }
  const width = shape[1] ?? 1;
  const rowBytes = width * dtypeBytes[dtype];
  return {
    rows: (indices) =>
      withFile(path, async (file) => {
        const result = new Float32Array(indices.length * width);
        const read = new Map<number, Float32Array>();
        for (const [i, index] of indices.entries()) {
          const row =
            read.get(index) ??
            floatsOf(dtype, await readExactly(file, path, offset + index * rowBytes, rowBytes), width);
          read.set(index, row);
          result.set(row, i * width);
        }
        return result;
      }),
  };
}
