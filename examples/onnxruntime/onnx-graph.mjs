// Collects nodes and weights of an ONNX graph and writes the file (onnx.proto3, operator set 17).
import { bytes, float, integer, message } from './protobuf.mjs';

const FLOAT = 1;
const INT64 = 7;

function tensor(name, type, dims, data) {
  return message(5, [
    ...dims.map((dim) => integer(1, dim)),
    integer(2, type),
    bytes(8, name),
    bytes(9, Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
  ]);
}

function attribute(name, value) {
  if (Array.isArray(value)) {
    return message(5, [bytes(1, name), ...value.map((item) => integer(8, item)), integer(20, 7)]);
  }
  if (typeof value === 'string') return message(5, [bytes(1, name), bytes(4, value), integer(20, 3)]);
  const isInteger = typeof value === 'bigint';
  return message(5, [bytes(1, name), isInteger ? integer(3, value) : float(2, value), integer(20, isInteger ? 2 : 1)]);
}

function valueInfo(field, name, dims) {
  const shape = dims.map((dim) => message(1, [typeof dim === 'string' ? bytes(2, dim) : integer(1, dim)]));
  return message(field, [bytes(1, name), message(2, [message(1, [integer(1, FLOAT), message(2, shape)])])]);
}

export class OnnxGraph {
  #parts = [];
  #initializers = new Set();
  #count = 0;

  /** Adds a node and returns the name of its output. Integers are given as bigint. */
  node(type, inputs, attributes = {}, output = `v${++this.#count}`) {
    this.#parts.push(
      message(1, [
        ...inputs.map((input) => bytes(1, input)),
        bytes(2, output),
        bytes(4, type),
        ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
      ]),
    );
    return output;
  }

  floats(name, dims, data) {
    if (!this.#initializers.has(name)) this.#parts.push(tensor(name, FLOAT, dims, Float32Array.from(data)));
    this.#initializers.add(name);
    return name;
  }

  /** Adds a constant list of integers, e.g. a shape. */
  integers(values) {
    const name = `shape_${values.join('_')}`;
    if (!this.#initializers.has(name)) {
      this.#parts.push(tensor(name, INT64, [values.length], BigInt64Array.from(values, BigInt)));
    }
    this.#initializers.add(name);
    return name;
  }

  /** Writes the file. Inputs and outputs are given as name -> dimensions, where a string is a free dimension. */
  file(inputs, outputs) {
    const graph = message(7, [
      ...this.#parts,
      bytes(2, 'unet'),
      ...Object.entries(inputs).map(([name, dims]) => valueInfo(11, name, dims)),
      ...Object.entries(outputs).map(([name, dims]) => valueInfo(12, name, dims)),
    ]);
    return Buffer.concat([integer(1, 8), bytes(2, 'dpm-native example'), graph, message(8, [integer(2, 17)])]);
  }
}
