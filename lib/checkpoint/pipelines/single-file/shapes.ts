import { DpmError } from '../../../base/errors.js';
import type { Checkpoint } from '../../checkpoint.js';

/** Modules are named by fewer parts than these. */
const MOST_PARTS = 16;

/** Most modules of a kind, ten times those of any model: graphs are made of what a file names. */
const MOST_MODULES = 512;

/** What the names and shapes of a file's tensors, or of those of one of its networks, tell. */
export class Shapes {
  readonly #checkpoint: Checkpoint;
  readonly #prefix: string;
  readonly #modules = new Set<string>();

  /** @param prefix - What the network's tensors have before their own names. */
  constructor(checkpoint: Checkpoint, prefix: string) {
    this.#checkpoint = checkpoint;
    this.#prefix = prefix;
    for (const name of checkpoint.tensors.keys()) {
      const parts = name.startsWith(prefix) ? name.slice(prefix.length).split('.') : [];
      for (let count = 1; count < Math.min(parts.length, MOST_PARTS); ++count) {
        this.#modules.add(parts.slice(0, count).join('.'));
      }
    }
  }

  /** Path of the file, for messages. */
  get path(): string {
    return this.#checkpoint.files.join(', ');
  }

  /** Tells whether there is a tensor within a module. */
  has(module: string): boolean {
    return this.#modules.has(module);
  }

  /**
   * Counts the modules `PREFIX0`, `PREFIX1`, … without a gap.
   *
   * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming them if they are more than any model has.
   */
  count(prefix: string): number {
    let count = 0;
    while (this.#modules.has(`${prefix}${count}`)) ++count;
    if (count <= MOST_MODULES) return count;
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${this.path}: there are ${count} modules '${this.#prefix}${prefix}*', at most ${MOST_MODULES} are supported`,
    );
  }

  /** Shape of a tensor; undefined if there is none. */
  find(name: string): readonly number[] | undefined {
    return this.#checkpoint.tensors.get(this.#prefix + name)?.shape;
  }

  /**
   * Reads one size of a tensor.
   *
   * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_SHAPE` naming the file and the tensor.
   */
  size(name: string, axis: number): number {
    const shape = this.find(name);
    if (shape === undefined) {
      throw new DpmError('ERR_DPM_TENSOR_MISSING', `${this.path}: no tensor '${this.#prefix}${name}'`);
    }
    const size = shape[axis];
    if (size !== undefined) return size;
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${this.path}: tensor '${this.#prefix}${name}' is [${shape.join(', ')}], it has to have more than ${axis} axes`,
    );
  }
}
