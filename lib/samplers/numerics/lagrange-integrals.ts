import { at } from '../../base/arrays.js';
import { gaussLegendre } from './gauss-legendre.js';

const quadrature = gaussLegendre(40);

/** The Lagrange polynomial of node j at a point. */
function lagrange(nodes: readonly number[], j: number, point: number): number {
  const own = at(nodes, j);
  return nodes.reduce((product, node, k) => (k === j ? product : (product * (point - node)) / (own - node)), 1);
}

/**
 * Integrals of the Lagrange polynomials through `nodes` over a step.
 *
 * @param place - Of a point in [-1, 1] of the step: where the polynomials are taken, and by how much the variable of
 * integration grows there.
 */
export function lagrangeIntegrals(
  nodes: readonly number[],
  place: (node: number) => { point: number; density: number },
): number[] {
  return nodes.map((_, j) =>
    quadrature.reduce((sum, { node, weight }) => {
      const { point, density } = place(node);
      return sum + weight * density * lagrange(nodes, j, point);
    }, 0),
  );
}
