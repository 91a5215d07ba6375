import { DpmError } from '../base/errors.js';
import type { Extents, GraphConstant, GraphNode, GraphValue, Operation } from './operation.js';
import { inferShape, requireExtents } from './shapes.js';

/** Graph of a network: nodes over values, each after those it reads. */
export interface Graph {
  readonly values: readonly GraphValue[];
  readonly nodes: readonly GraphNode[];
  readonly constants: readonly GraphConstant[];
}

/** Constants that a node reads beside its inputs. */
export interface NodeConstants {
  readonly weights?: readonly number[];
  readonly biases?: readonly number[];
}

/** Builds a graph node by node; shapes follow from the operations. */
export class GraphBuilder {
  readonly #values: GraphValue[] = [];
  readonly #nodes: GraphNode[] = [];
  readonly #constants: GraphConstant[] = [];
  readonly #constantOf = new Map<string, number>();
  readonly #inputOf = new Map<string, number>();

  /**
   * Adds an input of the network; the same name again is the same input.
   *
   * @param varies - `group` where rows can share it.
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if it is empty or too large to count, or of other extents than before.
   */
  input(binding: string, extents: Extents, varies?: GraphValue['varies']): number {
    const known = this.#inputOf.get(binding);
    if (known !== undefined) return this.#sameInput(known, binding, extents);
    requireExtents(`input '${binding}'`, extents);
    this.#values.push({ ...extents, binding, varies });
    this.#inputOf.set(binding, this.#values.length - 1);
    return this.#values.length - 1;
  }

  /** Adds a weight; the same name again is the same weight. */
  constant(name: string, shape: readonly number[]): number {
    return this.#constantOf.get(name) ?? this.#addConstant({ name, shape });
  }

  /** Adds a constant that no checkpoint has: its elements, row-major. */
  given(name: string, shape: readonly number[], values: Float32Array): number {
    return this.#addConstant({ name, shape, values });
  }

  /**
   * Adds an operation and returns its result.
   *
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the node whose inputs or weights do not fit.
   */
  add(operation: Operation, name: string, inputs: readonly number[], constants: NodeConstants = {}): number {
    const { weights = [], biases = [] } = constants;
    const extents = inferShape(
      name,
      operation,
      inputs.map((input) => this.value(input)),
      [...weights, ...biases].map((index) => this.#constant(index)),
    );
    this.#values.push({ ...extents, binding: null });
    const output = this.#values.length - 1;
    this.#nodes.push({ ...operation, name, inputs, outputs: [output], weights, biases });
    return output;
  }

  /** Returns a value that was made before. */
  value(index: number): GraphValue {
    const value = this.#values[index];
    if (value === undefined) throw new DpmError('ERR_DPM_INTERNAL', `the graph has no value ${index}`);
    return value;
  }

  /** Names a value as an output of the network. */
  output(binding: string, index: number): void {
    this.#values[index] = { ...this.value(index), binding };
  }

  build(): Graph {
    return { values: this.#values, nodes: this.#nodes, constants: this.#constants };
  }

  #sameInput(index: number, binding: string, { channels, height, width }: Extents): number {
    const known = this.value(index);
    if (known.channels === channels && known.height === height && known.width === width) return index;
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `input '${binding}' is ${known.channels} x ${known.height} x ${known.width} and ${channels} x ${height} x ${width}`,
    );
  }

  #addConstant(constant: GraphConstant): number {
    this.#constants.push(constant);
    this.#constantOf.set(constant.name, this.#constants.length - 1);
    return this.#constants.length - 1;
  }

  #constant(index: number): GraphConstant {
    const constant = this.#constants[index];
    if (constant === undefined) throw new DpmError('ERR_DPM_INTERNAL', `the graph has no constant ${index}`);
    return constant;
  }
}
