import type { NativeNode } from '../../lib/engine/native-node.js';

/** The fields of a node that reads no weights and whose attributes change nothing. */
export const plainNode: Omit<NativeNode, 'name' | 'op' | 'inputs' | 'output'> = {
  parts: 0,
  weights: [],
  biases: [],
  weightElements: 0,
  multiplyAdds: 0,
  kernel: 1,
  stride: 1,
  padBefore: 0,
  padAfter: 0,
  heads: 1,
  causal: false,
  groups: 0,
  scale: 1,
  bias: false,
  upsample: false,
  silu: false,
};
