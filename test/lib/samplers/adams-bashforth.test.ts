// Integrals of polynomials over a step: their values, and what they cost.
import { describe, expect, it } from 'vitest';

import { lagrangeIntegrals } from '../../../lib/samplers/numerics/adams-bashforth.js';

describe('integrals of Lagrange polynomials', () => {
  it('are those of the polynomials through the nodes', () => {
    const identity = (point: number) => ({ point, density: 1 });
    expect(lagrangeIntegrals([0.3], identity)).toEqual([expect.closeTo(2, 12)]);
    // Of (x - 1) / (0 - 1) and (x - 0) / (1 - 0) over [-1, 1].
    expect(lagrangeIntegrals([0, 1], identity)).toEqual([expect.closeTo(2, 12), expect.closeTo(0, 12)]);
    const [a = NaN, b = NaN, c = NaN] = lagrangeIntegrals([-1, 0, 1], (point) => ({ point, density: point ** 2 }));
    // Their sum is the integral of the density, their first moment that of the density times x.
    expect(a + b + c).toBeCloseTo(2 / 3, 12);
    expect(c - a).toBeCloseTo(0, 12);
    expect(a + c).toBeCloseTo(2 / 5, 12);
  });

  it('look each place of a step up once, for all polynomials', () => {
    const counts = [1, 2, 3, 4].map((order) => {
      let places = 0;
      lagrangeIntegrals(
        Array.from({ length: order }, (_, i) => i),
        (point) => {
          ++places;
          return { point, density: 1 };
        },
      );
      return places;
    });
    expect(counts).toEqual([40, 40, 40, 40]);
  });
});
