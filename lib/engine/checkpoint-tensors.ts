import { elementCount } from '../base/arrays.js';
import { suggestion } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import type { NativeGradientPlace } from './binding.js';
import type { NativeGraph, TensorPlace } from './native-graph.js';

/** Calls `use(element, place)` for the elements of a weight, in order, with their places in its tensor. */
function forPlaces({ view, shape }: TensorPlace, use: (element: number, place: number) => void): void {
  if (view === undefined) {
    for (let element = 0; element < elementCount(shape); ++element) use(element, element);
    return;
  }
  const { dims, strides } = view;
  let element = 0;
  const walk = (axis: number, place: number): void => {
    const [size, stride] = [dims[axis], strides[axis]];
    if (size === undefined || stride === undefined) {
      use(element++, place);
      return;
    }
    for (let i = 0; i < size; ++i) walk(axis + 1, place + i * stride);
  };
  walk(0, view.offset);
}

/** Tensors of a checkpoint, of which a graph's constants are the whole or parts. */
export class CheckpointTensors {
  /** Shapes of the tensors by their names in the checkpoint, in the order in which the network reads them. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Place of each constant; undefined for one that is in no file. */
  readonly #places: readonly (TensorPlace | undefined)[];

  constructor(constants: NativeGraph['constants']) {
    this.#places = constants.map((constant) =>
      'values' in constant ? undefined : (constant.source ?? { name: constant.name, shape: constant.shape }),
    );
    this.shapes = new Map(
      this.#places.flatMap((place) => (place === undefined ? [] : [[place.name, place.shape] as const])),
    );
  }

  /**
   * Finds the constants that are parts of tensors.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming a tensor that the network does not have.
   */
  constantsOf(names: readonly string[]): number[] {
    const unknown = names.find((name) => !this.shapes.has(name));
    if (unknown !== undefined) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `tensors: the network has no tensor '${unknown}'${suggestion(unknown, [...this.shapes.keys()])}`,
      );
    }
    const wanted = new Set(names);
    return this.#places.flatMap((place, index) => (place !== undefined && wanted.has(place.name) ? [index] : []));
  }

  /** Puts gradients of constants together to those of tensors; what no gradient is known of stays zero. */
  gathered(gradients: Float32Array, places: readonly NativeGradientPlace[]): Map<string, Float32Array> {
    const tensors = new Map<string, Float32Array>();
    for (const { constant, offset } of places) {
      const place = this.#places[constant];
      if (place === undefined) continue;
      const tensor = tensors.get(place.name) ?? new Float32Array(elementCount(place.shape));
      tensors.set(place.name, tensor);
      forPlaces(place, (element, at) => {
        tensor[at] = gradients[offset + element] ?? 0;
      });
    }
    return tensors;
  }
}
