import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';

import { at, elementCount } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { philox4x32, seedWords } from '../base/random.js';
import type { FamilyNetwork } from '../checkpoint/family.js';
import type { TensorSource } from '../checkpoint/tensor-source.js';
import { layerOf, type InitialRule } from '../checkpoint/initial-rule.js';
import type { HostTensor } from '../files/tensor-data.js';
import type { Graph } from '../network/graph.js';
import type { GraphNode } from '../network/operation.js';
import { unetGraph } from '../network/unet.js';

/** Fourth word of the counters of initial weights; no draw of a training step has it. */
const INITIAL_DRAW = 0xf1;

/** Deviation of the frequencies of Fourier features, that of score_sde, EDM and diffusers. */
const FREQUENCY_DEVIATION = 16;

/** What a constant is to the node that reads it. */
type Role = 'gain' | 'offset' | 'weight' | 'bias' | 'rows' | 'frequencies' | 'position';

const weightRoles: Partial<Record<GraphNode['op'], Role>> = {
  group_norm: 'gain',
  layer_norm: 'gain',
  embedding: 'rows',
  time_embedding: 'frequencies',
};

const biasRoles: Partial<Record<GraphNode['op'], Role>> = {
  group_norm: 'offset',
  layer_norm: 'offset',
  position: 'position',
};

function rolesOf({ nodes }: Graph): Map<number, Role> {
  const roles = new Map<number, Role>();
  for (const { op, weights, biases } of nodes) {
    for (const index of weights) roles.set(index, weightRoles[op] ?? 'weight');
    for (const index of biases) roles.set(index, biasRoles[op] ?? 'bias');
  }
  return roles;
}

/** Distribution of a tensor's elements. */
type Distribution =
  | { readonly kind: 'same'; readonly value: number }
  /** Numbers within +-`bound`, or of deviation `deviation`. */
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'normal'; readonly deviation: number };

/** The number of inputs of an element of a product, from the shape [outputs, inputs, …] of its weight. */
function inputsOf(shape: readonly number[]): number {
  return elementCount(shape.slice(1));
}

function boundOf({ bound }: InitialRule, shape: readonly number[]): number {
  const inputs = inputsOf(shape);
  if (bound === 'fan-in') return 1 / Math.sqrt(inputs);
  return Math.sqrt(6 / (inputs + (shape[0] ?? 1) * elementCount(shape.slice(2))));
}

/**
 * Gives the distribution of a tensor.
 *
 * @param shape - Its shape in the checkpoint.
 * @param ofWeight - Shape of its layer's weight there.
 */
function distributionOf(
  rule: InitialRule,
  role: Role,
  name: string,
  shape: readonly number[],
  ofWeight: readonly number[],
): Distribution {
  const deviation = rule.deviation?.(name) ?? null;
  if (deviation !== null && role !== 'gain' && role !== 'offset') {
    return role === 'bias' ? { kind: 'same', value: 0 } : { kind: 'normal', deviation };
  }
  switch (role) {
    case 'gain':
      return { kind: 'same', value: 1 };
    case 'offset':
      return { kind: 'same', value: 0 };
    case 'rows':
      if (rule.uniformRows !== true) return { kind: 'normal', deviation: 1 };
      return { kind: 'uniform', bound: boundOf(rule, shape) };
    case 'frequencies':
      return { kind: 'normal', deviation: FREQUENCY_DEVIATION };
    case 'position':
      return { kind: 'normal', deviation: 1 / Math.sqrt(shape[0] ?? 1) };
    case 'weight':
    case 'bias': {
      const bound = rule.scale(name) * boundOf(rule, ofWeight);
      const isZero = bound === 0 || (role === 'bias' && rule.bound === 'glorot');
      return isZero ? { kind: 'same', value: 0 } : { kind: 'uniform', bound };
    }
  }
}

/** Words of the random stream of a tensor, four to a counter. */
function wordsOf(name: string, seed: readonly [number, number]): (block: number) => ReturnType<typeof philox4x32> {
  const hash = createHash('sha256').update(name).digest();
  const [low, high] = [hash.readUInt32LE(0), hash.readUInt32LE(4)];
  return (block) => philox4x32([block, low, high, INITIAL_DRAW], seed);
}

/** The middle of the part of (0, 1) that a word stands for. */
function fraction(word: number): number {
  return (word + 0.5) * 2 ** -32;
}

/** Two normal numbers of two words (Box and Muller 1958). */
function normalPair(first: number, second: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log(fraction(first)));
  const angle = 2 * Math.PI * fraction(second);
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

function filled(elements: number, distribution: Distribution, words: ReturnType<typeof wordsOf>): Float32Array {
  const values = new Float32Array(elements);
  if (distribution.kind === 'same') return values.fill(distribution.value);
  for (let i = 0; i < elements; i += 4) {
    const four = words(i / 4);
    // What is written beyond the end is dropped.
    if (distribution.kind === 'uniform') {
      for (let k = 0; k < 4; ++k) values[i + k] = distribution.bound * (2 * fraction(at(four, k)) - 1);
      continue;
    }
    for (let k = 0; k < 4; k += 2) {
      const [first, second] = normalPair(at(four, k), at(four, k + 1));
      values[i + k] = distribution.deviation * first;
      values[i + k + 1] = distribution.deviation * second;
    }
  }
  return values;
}

function requireRole(roles: ReadonlyMap<number, Role>, index: number, name: string): Role {
  const role = roles.get(index);
  if (role === undefined) throw new DpmError('ERR_DPM_INTERNAL', `no node reads the constant '${name}'`);
  return role;
}

/**
 * Makes the weights that training from nothing begins with, by the names and in the shapes of the family's files: those of
 * the authors, uniform or normal as their code has them.
 *
 * Element i of tensor T comes from word i mod 4 of Philox4x32-10 with the seed as its key and the counter (floor(i / 4), a,
 * b, 0xf1), where a and b are the first two words, lowest byte first, of the SHA-256 of T's name in the file: a uniform
 * number is bound (2 (w + 1/2) / 2^32 - 1), two normal ones come from two words by Box and Muller. So weights are the same on
 * every device, and another tensor, such as a head's, moves no other.
 *
 * @param graph - Graph of the network, with what else learns.
 * @param seed - An integer from 0, or a bigint below 2^64.
 * @param isWanted - Tells of a tensor's name in the file whether it is made. Default: all are.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a wrong seed.
 */
export async function initialWeightsOf(
  network: Pick<FamilyNetwork, 'source' | 'initial'>,
  graph: Graph,
  seed: number | bigint,
  isWanted: (key: string) => boolean = () => true,
): Promise<Map<string, HostTensor & { data: Float32Array }>> {
  const key = seedWords(seed);
  const roles = rolesOf(graph);
  const shapes = new Map(graph.constants.map(({ name, shape }) => [name, shape]));
  const inFile = (name: string, shape: readonly number[]): { source: TensorSource; shape: readonly number[] } => {
    const source = network.source(name, shape);
    return { source, shape: source.shape ?? shape };
  };
  const tensors = new Map<string, HostTensor & { data: Float32Array }>();
  for (const [index, { name, shape: canonical, values }] of graph.constants.entries()) {
    if (values !== undefined) continue;
    const { source, shape } = inFile(name, canonical);
    // What a family keeps in one tensor is drawn at once.
    if (tensors.has(source.key) || !isWanted(source.key)) continue;
    const weight = `${layerOf(name)}.weight`;
    const ofWeight = inFile(weight, shapes.get(weight) ?? canonical).shape;
    const distribution = distributionOf(network.initial, requireRole(roles, index, name), name, shape, ofWeight);
    const data = filled(elementCount(shape), distribution, wordsOf(source.key, key));
    tensors.set(source.key, { shape: [...shape], data });
    await setImmediate();
  }
  return tensors;
}

/** Makes {@link initialWeightsOf} of a family's network and its head. */
export function initialWeights(
  network: FamilyNetwork,
  seed: number | bigint,
  isWanted?: (key: string) => boolean,
): ReturnType<typeof initialWeightsOf> {
  return initialWeightsOf(network, unetGraph({ ...network.unet, head: network.head }), seed, isWanted);
}
