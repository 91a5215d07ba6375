import { listNames } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import type { Checkpoint } from './checkpoint.js';

/** Differences of a checkpoint from a network's needs. */
export interface WeightReport {
  missing: string[];
  unused: string[];
  /** Tensors of another shape. */
  misshapen: { name: string; shape: number[]; expected: number[] }[];
}

/** Projections of attention are stored as matrices or as 1x1 convolutions, whatever the family does today. */
function squeezed(shape: readonly number[]): readonly number[] {
  return shape.length === 4 && shape[2] === 1 && shape[3] === 1 ? shape.slice(0, 2) : shape;
}

export function sameShape(shape: readonly number[], expected: readonly number[]): boolean {
  const [own, wanted] = [squeezed(shape), squeezed(expected)];
  return own.length === wanted.length && own.every((size, axis) => size === wanted[axis]);
}

/** Compares a checkpoint with the weights a network needs. */
export function compareWeights(required: ReadonlyMap<string, number[]>, checkpoint: Checkpoint): WeightReport {
  const report: WeightReport = { missing: [], unused: [], misshapen: [] };
  for (const [name, expected] of required) {
    const entry = checkpoint.tensors.get(name);
    if (entry === undefined) report.missing.push(name);
    else if (!sameShape(entry.shape, expected)) report.misshapen.push({ name, shape: entry.shape, expected });
  }
  report.unused = [...checkpoint.tensors.keys()].filter((name) => !required.has(name));
  return report;
}

/**
 * Refuses a checkpoint that does not fit its network exactly: a half-loaded network looks like a bad one.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING`, `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_TENSOR_UNUSED` with the names.
 */
export function requireMatchingWeights(report: WeightReport, checkpoint: Checkpoint): void {
  const where = checkpoint.files.join(', ');
  if (report.missing.length > 0) {
    const unused = report.unused.length > 0 ? `; not used: ${listNames(report.unused)}` : '';
    throw new DpmError(
      'ERR_DPM_TENSOR_MISSING',
      `${where}: ${report.missing.length} tensors are missing: ${listNames(report.missing)}${unused}`,
    );
  }
  const [bad] = report.misshapen;
  if (bad !== undefined) {
    const { name, shape, expected } = bad;
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${where}: tensor '${name}' is [${shape.join(', ')}], the configuration needs [${expected.join(', ')}]`,
    );
  }
  if (report.unused.length > 0) {
    throw new DpmError(
      'ERR_DPM_TENSOR_UNUSED',
      `${where}: ${report.unused.length} tensors are not used by this configuration: ${listNames(report.unused)}`,
    );
  }
}
