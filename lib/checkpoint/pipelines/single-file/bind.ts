import type { Checkpoint } from '../../checkpoint.js';
import { bindSources, type TensorSource } from '../../tensor-source.js';
import { requireMatchingWeights } from '../../weight-report.js';

/** One network of a file. */
export interface Component {
  readonly checkpoint: Checkpoint;
  /** What its tensors have before their own names. */
  readonly prefix: string;
  /** Finds a weight among its tensors. */
  readonly source: (name: string, shape: readonly number[]) => TensorSource;
  /** Names of tensors that are known and not needed. */
  readonly ignored?: RegExp;
}

/** Picks the tensors of a file whose names have a prefix, which they keep. */
export function within({ files, tensors }: Checkpoint, prefix: string): Checkpoint {
  return { files, tensors: new Map([...tensors].filter(([name]) => name.startsWith(prefix))) };
}

/**
 * Gives the weights of one network of a file their names in diffusers, by strides where they lie otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING`, `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_TENSOR_UNUSED` with the file's own
 * names.
 */
export function boundWeights(required: ReadonlyMap<string, number[]>, component: Component): Checkpoint {
  const { prefix, source, ignored } = component;
  const part = within(component.checkpoint, prefix);
  const bound = bindSources(
    required,
    part,
    (name, shape) => {
      const found = source(name, shape);
      return { ...found, key: prefix + found.key };
    },
    (key) => ignored?.test(key.slice(prefix.length)) ?? false,
  );
  requireMatchingWeights(bound.report, part);
  return bound.checkpoint;
}
