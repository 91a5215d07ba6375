import { elementCount } from '../base/arrays.js';
import { suggestion } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import type { NativeGradientPlace } from './binding.js';
import type { NativeGraph, TensorPlace } from './native-graph.js';

/** Tensors of float32 in memory, by their names in a checkpoint. */
export type WeightTensors = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;

/**
 * Finds the data of a tensor.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_SHAPE` naming the tensor.
 */
export function dataOf(tensors: WeightTensors, place: TensorPlace): Float32Array {
  const { shape, data } = requireTensor(tensors, place.name);
  requireShape(place, shape);
  return data;
}

/**
 * Tensors of float32 whose numbers are made or read when they are asked for, one by one. Numbers may be lent: they are those of
 * the tensor until the next one is asked for.
 */
export type TensorSources = ReadonlyMap<
  string,
  { readonly shape: readonly number[]; readonly data: () => Float32Array | Promise<Float32Array> }
>;

/** Tensors in memory, to be asked for. */
export function sourcesOf(tensors: WeightTensors): TensorSources {
  return new Map([...tensors].map(([name, { shape, data }]) => [name, { shape, data: () => data }]));
}

function requireShape({ name, shape }: TensorPlace, found: readonly number[]): void {
  if (found.join() === shape.join()) return;
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `tensor '${name}' is [${found.join(', ')}], it has to be [${shape.join(', ')}]`,
  );
}

/** Finds a tensor by its name. */
function requireTensor<T>(tensors: ReadonlyMap<string, T>, name: string): T {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new DpmError('ERR_DPM_TENSOR_MISSING', `there is no tensor '${name}'`);
  return tensor;
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

/** Constant that is a part of a tensor, or all of it, and where its numbers begin. */
type TensorPart = Pick<TensorPlace, 'view'> & { readonly offset: number };

/** Tells whether one constant is the whole tensor, in its order. */
function isWhole(parts: readonly TensorPart[]): boolean {
  return parts.length === 1 && parts[0]?.view === undefined;
}

/** Puts numbers of constants into their tensor. */
function put(numbers: Float32Array, parts: readonly TensorPart[], tensor: Float32Array): Float32Array {
  for (const { offset, view } of parts) {
    if (view === undefined) tensor.set(numbers.subarray(offset, offset + tensor.length));
    else forPlaces(view, (element, at) => (tensor[at] = numbers[offset + element] ?? 0));
  }
  return tensor;
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
    for (const [name, { shape, parts }] of this.#byTensor(places)) {
      tensors.set(name, put(numbers, parts, new Float32Array(elementCount(shape))));
    }
    return tensors;
  }

  /**
   * The same, one tensor at a time: those whose numbers lie side by side are parts of `numbers`, the others are lent, in an
   * array for all of them.
   */
  lent(numbers: Float32Array, places: readonly NativeGradientPlace[]): TensorSources {
    const tensors = this.#byTensor(places);
    const sizes = [...tensors.values()].filter(({ parts }) => !isWhole(parts)).map(({ shape }) => elementCount(shape));
    let room: Float32Array | undefined;
    return new Map(
      [...tensors].map(([name, { shape, parts }]) => {
        const elements = elementCount(shape);
        const data = (): Float32Array => {
          const [first] = parts;
          if (first !== undefined && isWhole(parts)) return numbers.subarray(first.offset, first.offset + elements);
          room ??= new Float32Array(Math.max(...sizes));
          return put(numbers, parts, room.subarray(0, elements).fill(0));
        };
        return [name, { shape, data }];
      }),
    );
  }

  /**
   * Takes the numbers of constants out of tensors, each of which is asked for once; the reverse of
   * {@link CheckpointTensors.gathered}.
   *
   * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_SHAPE` naming the tensor.
   */
  async scatter(tensors: TensorSources, places: readonly NativeGradientPlace[], numbers: Float32Array): Promise<void> {
    for (const [name, { shape, parts }] of this.#byTensor(places)) {
      const tensor = requireTensor(tensors, name);
      requireShape({ name, shape }, tensor.shape);
      const data = await tensor.data();
      for (const { offset, view } of parts) {
        if (view === undefined) numbers.set(data, offset);
        else forPlaces(view, (element, at) => (numbers[offset + element] = data[at] ?? 0));
      }
    }
  }

  /** Tensors in the order of their first constants, with the parts that constants are of them. */
  #byTensor(places: readonly NativeGradientPlace[]): Map<string, { shape: readonly number[]; parts: TensorPart[] }> {
    const tensors = new Map<string, { shape: readonly number[]; parts: TensorPart[] }>();
    for (const { constant, offset } of places) {
      const place = this.#places[constant];
      if (place === undefined) continue;
      const { name, shape, view } = place;
      const tensor = tensors.get(name) ?? { shape, parts: [] };
      tensors.set(name, tensor);
      tensor.parts.push({ offset, view });
    }
    return tensors;
  }
}
