// A call whose inputs are spoiled as soon as it has returned.
import { Random } from '../../support/random.js';

export interface SpoiledCase {
  /** Fresh inputs; what is in them may be spoiled. */
  inputs: () => unknown[] | Promise<unknown[]>;
  call: (...inputs: never[]) => Promise<unknown>;
}

export const of = (call: SpoiledCase['call'], inputs: SpoiledCase['inputs']): SpoiledCase => ({ inputs, call });

export function normals(count: number, seed = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => random.normal());
}
