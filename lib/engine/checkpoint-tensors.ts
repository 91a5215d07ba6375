import { elementCount } from '../base/arrays.js';
import { suggestion } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import type { NativeGradientPlace, NativeGradients } from './binding.js';
import type { NativeGraph, TensorPlace } from './native-graph.js';

/** Tensors of float32 in memory, by their names in a checkpoint. */
export type WeightTensors = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;

/**
 * Finds the data of a tensor.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_SHAPE` naming the tensor.
 */
export function dataOf(tensors: WeightTensors, { name, shape }: TensorPlace): Float32Array {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new DpmError('ERR_DPM_TENSOR_MISSING', `there is no tensor '${name}'`);
  if (tensor.shape.join() === shape.join()) return tensor.data;
  const found = tensor.shape.join(', ');
  throw new DpmError('ERR_DPM_TENSOR_SHAPE', `tensor '${name}' is [${found}], it has to be [${shape.join(', ')}]`);
}

/** Calls `use(element, place)` for the elements of a weight, in order, with their places in its tensor. */
function forPlaces(view: NonNullable<TensorPlace['view']>, use: (element: number, place: number) => void): void {
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
      'values' in constant ? constant.source : (constant.source ?? { name: constant.name, shape: constant.shape }),
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

  /** Names of the tensors that constants are the whole or parts of. */
  namesOf(places: readonly NativeGradientPlace[]): Set<string> {
    return new Set(places.flatMap(({ constant }) => this.#places[constant]?.name ?? []));
  }

  /** Puts numbers of constants, as gradients, together to those of tensors; elements of no constant stay zero. */
  gathered(numbers: Float32Array, places: readonly NativeGradientPlace[]): Map<string, Float32Array> {
    const tensors = new Map<string, Float32Array>();
    for (const { constant, offset } of places) {
      const place = this.#places[constant];
      if (place === undefined) continue;
      const { name, shape, view } = place;
      const tensor = tensors.get(name) ?? new Float32Array(elementCount(shape));
      tensors.set(name, tensor);
      if (view === undefined) tensor.set(numbers.subarray(offset, offset + tensor.length));
      else forPlaces(view, (element, at) => (tensor[at] = numbers[offset + element] ?? 0));
    }
    return tensors;
  }

  /**
   * Takes the numbers of constants out of tensors, the reverse of {@link CheckpointTensors.gathered}.
   *
   * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_SHAPE` naming the tensor.
   */
  scattered(tensors: WeightTensors, { elements, places }: NativeGradients): Float32Array {
    const numbers = new Float32Array(elements);
    for (const { constant, offset } of places) {
      const place = this.#places[constant];
      if (place === undefined) continue;
      const { view } = place;
      const tensor = dataOf(tensors, place);
      if (view === undefined) numbers.set(tensor, offset);
      else forPlaces(view, (element, at) => (numbers[offset + element] = tensor[at] ?? 0));
    }
    return numbers;
  }
}
