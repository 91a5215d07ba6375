import { DpmError } from '../base/errors.js';
import { dtypeBytes } from '../files/safetensors.js';
import type { Checkpoint, CheckpointEntry } from './checkpoint.js';
import { sameShape, type WeightReport } from './weight-report.js';

/** Tensor of a checkpoint that holds a canonical weight, and the weight's place in it. */
export interface TensorSource {
  key: string;
  /** Shape in the checkpoint, if it is not the canonical one. */
  shape?: readonly number[];
  /** Number of elements to skip, and the dimensions and strides, in row-major order, of the weight's elements. */
  view?: { offset: number; dims: readonly number[]; strides: readonly number[] };
}

function pick(
  checkpoint: Checkpoint,
  entry: CheckpointEntry,
  { key: name, view }: TensorSource,
  shape: readonly number[],
): CheckpointEntry {
  const source = { name, shape: entry.shape, view };
  if (view === undefined) return { ...entry, shape: [...shape], source };
  if (entry.view !== undefined) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${checkpoint.files[entry.file] ?? ''}: tensor '${name}' is not contiguous: dpm convert makes it so`,
    );
  }
  const skipped = view.offset * dtypeBytes[entry.dtype];
  return {
    ...entry,
    shape: [...shape],
    source,
    offset: entry.offset + skipped,
    bytes: entry.bytes - skipped,
    view: { dims: [...view.dims], strides: [...view.strides] },
  };
}

/**
 * Picks the weights that are required from a checkpoint, and tells how they fit. Names in the report are the checkpoint's.
 *
 * @param sourceOf - Finds the source of a canonical weight.
 * @param ignores - Tells whether a tensor is known and not needed.
 */
export function bindSources(
  required: ReadonlyMap<string, number[]>,
  checkpoint: Checkpoint,
  sourceOf: (name: string, shape: readonly number[]) => TensorSource,
  ignores: (key: string) => boolean,
): { checkpoint: Checkpoint; report: WeightReport } {
  const tensors: Checkpoint['tensors'] = new Map();
  const report: WeightReport = { missing: [], unused: [], misshapen: [] };
  const used = new Set<string>();
  for (const [name, shape] of required) {
    const source = sourceOf(name, shape);
    const entry = checkpoint.tensors.get(source.key);
    used.add(source.key);
    const expected = source.shape ?? shape;
    if (entry === undefined) report.missing.push(source.key);
    else if (!sameShape(entry.shape, expected)) {
      report.misshapen.push({ name: source.key, shape: entry.shape, expected: [...expected] });
    } else tensors.set(name, pick(checkpoint, entry, source, shape));
  }
  report.missing = [...new Set(report.missing)];
  report.unused = [...checkpoint.tensors.keys()].filter((key) => !used.has(key) && !ignores(key));
  return { checkpoint: { files: checkpoint.files, tensors }, report };
}
