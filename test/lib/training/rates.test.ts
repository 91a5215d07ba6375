// Learning rates and decays of averages against the schedulers and the average of diffusers.
import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  averageDecayOfUpdate,
  averageOptionFacts,
  averageSchedules,
  rateOfStep,
  rateOptionFacts,
  rateSchedules,
  ratesOfSteps,
  settledAverage,
  settledRates,
  type AverageSchedule,
  type RateSchedule,
} from '../../../lib/training/rates.js';
import { packagePath } from '../../support/temporary.js';

interface Goldens {
  rates: { scheduler: RateSchedule; rate: number; warmup: number; steps: number; values: number[] }[];
  averages: {
    kind: AverageSchedule;
    decay: number;
    gamma?: number;
    power?: number;
    first: number;
    values: number[];
    later: Record<string, number>;
    weightOfStart: number;
  }[];
}

const goldens = JSON.parse(readFileSync(packagePath('test/fixtures/gradients/rates/rates.json'), 'utf8')) as Goldens;

describe('learning rates', () => {
  it.each(goldens.rates)('$scheduler from $rate after $warmup of $steps steps', (golden) => {
    const { scheduler, rate, warmup, steps, values } = golden;
    const options = { rate, rateSchedule: scheduler, warmup };
    const { rates } = ratesOfSteps(0, values.length, steps, { ...settledAverage({}, steps), ...options });
    values.forEach((value, step) => {
      expect(Math.abs(rates[step]! - value)).toBeLessThanOrEqual(1e-12 * rate);
    });
  });

  it('are never above the rate nor below 0, and the same in parts', () => {
    const any = fc.record({
      rate: fc.double({ min: 0, max: 1, noNaN: true }),
      rateSchedule: fc.constantFrom(...rateSchedules),
      warmup: fc.nat(20),
      steps: fc.integer({ min: 1, max: 40 }),
      from: fc.nat(60),
    });
    fc.assert(
      fc.property(any, ({ steps, from, ...given }) => {
        const options = { ...settledAverage({}, steps), ...given };
        const { rates, averageDecays } = ratesOfSteps(0, from + 5, steps, options);
        expect(rates.every((each) => each >= 0 && each <= given.rate)).toBe(true);
        const part = ratesOfSteps(from, 5, steps, options);
        expect(part).toEqual({ rates: rates.slice(from), averageDecays: averageDecays.slice(from) });
      }),
    );
  });

  it('warm up for a twentieth of the steps, at most 5000, where nothing is said', () => {
    expect(settledRates({}, 40)).toEqual({ rate: 2e-4, rateSchedule: 'constant', warmup: 2 });
    expect(settledRates({}, 800_000).warmup).toBe(5000);
    expect(rateOfStep(0, 1, settledRates({}, 1))).toBe(2e-4);
  });
});

describe("the average's decays", () => {
  it.each(goldens.averages)(
    '$kind up to $decay',
    ({ kind, decay, gamma, power, first, values, later, weightOfStart }) => {
      const options = settledAverage(
        { averageDecay: decay, averageSchedule: kind, averageGamma: gamma, averagePower: power },
        50,
      );
      let left = 1;
      values.forEach((value, i) => {
        const own = averageDecayOfUpdate(first + i, options);
        expect(Math.abs(own - value)).toBeLessThanOrEqual(1e-12);
        left *= own;
      });
      expect(Math.abs(left - weightOfStart)).toBeLessThanOrEqual(1e-12);
      for (const [update, value] of Object.entries(later)) {
        expect(Math.abs(averageDecayOfUpdate(Number(update), options) - value)).toBeLessThanOrEqual(1e-12);
      }
    },
  );

  it.each(averageSchedules)('are those of the updates behind the steps, by %s', (averageSchedule) => {
    const options = { ...settledRates({}, 100), ...settledAverage({ averageSchedule }, 100) };
    const expected = [1, 2, 3].map((update) => averageDecayOfUpdate(update, options));
    expect([...ratesOfSteps(0, 3, 100, options).averageDecays]).toEqual(expected);
  });

  it('grow in short runs where nothing is said', () => {
    expect(settledAverage({}, 49_999).averageSchedule).toBe('warm');
    expect(settledAverage({}, 50_000).averageSchedule).toBe('constant');
    for (const averageSchedule of averageSchedules) {
      const decays = Array.from({ length: 2000 }, (_, i) =>
        averageDecayOfUpdate(i + 1, settledAverage({ averageSchedule, averageDecay: 0.99 }, 10)),
      );
      expect(decays.every((decay, i) => decay >= (decays[i - 1] ?? 0) && decay <= 0.99)).toBe(true);
    }
  });
});

describe('options of both', () => {
  it.each([
    [rateOptionFacts.rate, 0, -1e-9],
    [rateOptionFacts.rate, 1, Infinity],
    [rateOptionFacts.warmup, 0, 0.5],
    [rateOptionFacts.rateSchedule, 'cosine', 'exponential'],
    [averageOptionFacts.averageDecay, 0, 1],
    [averageOptionFacts.averageDecay, 0.9999, NaN],
    [averageOptionFacts.averageGamma, 1e-3, 0],
    [averageOptionFacts.averageSchedule, 'power', 'ema'],
  ])('%o takes %s and not %s', ({ kind }, good, bad) => {
    expect([kind.holds(good), kind.holds(bad)]).toEqual([true, false]);
  });
});
