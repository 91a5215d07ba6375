import { describe, expect, it } from 'vitest';

import { lastNoiseDeviation } from '../../../lib/variance/reverse-variance.js';

describe('the noise of the last step', () => {
  it('moves a pixel by so many grey levels on average', () => {
    // E|z| of a standard normal z is sqrt(2 / pi).
    expect(lastNoiseDeviation(3) * Math.sqrt(2 / Math.PI)).toBeCloseTo((3 * 2) / 255, 12);
    expect(lastNoiseDeviation(3, 1)).toBeCloseTo(lastNoiseDeviation(3) / 2, 12);
    expect(lastNoiseDeviation(0)).toBe(0);
  });

  it.each([-1, NaN, Infinity])('refuses %d levels', (levels) => {
    expect(() => lastNoiseDeviation(levels)).toThrow(expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }));
  });
});
