// Change of a network's output by a gradient at the state.
import { describe, expect, it } from 'vitest';

import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { guidedOutputShift } from '../../../lib/schedule/prediction.js';

describe('the shift of an output', () => {
  const linear = NoiseSchedule.linear();
  const [alpha, sigma] = [Math.sqrt(linear.alphaBar(400)), Math.sqrt(1 - linear.alphaBar(400))];

  it.each([
    ['noise', undefined, -sigma],
    ['noise', 'epsilon', -sigma],
    ['x0', 'x0', sigma ** 2 / alpha],
    // v = alpha eps - sigma x0.
    ['v', 'v', -sigma / alpha],
  ])('moves the score of a network that predicts %s by the gradient', (_, prediction, expected) => {
    expect(guidedOutputShift(linear, 399, prediction)).toBeCloseTo(expected, 6);
  });

  it('is none where there is noise alone', () => {
    const schedule = NoiseSchedule.vp({ end: 5000, networkTime: (time) => time });
    expect(schedule.alphaBar(1)).toBe(0);
    expect(guidedOutputShift(schedule, 1)).toBe(0);
    expect(guidedOutputShift(schedule, 0.1)).toBeLessThan(0);
  });

  it('is of a prediction that there is', () => {
    expect(() => guidedOutputShift(linear, 399, 'nosie')).toThrow(
      expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }),
    );
  });
});
