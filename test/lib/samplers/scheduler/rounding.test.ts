// float32 numbers as the library computes them, where the last bit decides which time a noise level has.
import { describe, expect, it } from 'vitest';

import { roundedAlphaBars, roundedLinspace } from '../../../../lib/samplers/scheduler/rounded-betas.js';
import { roundedLogarithm, SigmaTable } from '../../../../lib/samplers/scheduler/sigma-table.js';
import { NoiseSchedule } from '../../../../lib/schedule/noise-schedule.js';

describe("NumPy's logarithm of float32 numbers", () => {
  it.each([
    [1, 0],
    [2, 0.6931471824645996],
    [0.5, -0.6931471824645996],
    [1.4142135381698608, 0.3465735912322998],
    [1.4142136573791504, 0.34657368063926697],
    [0.7071068286895752, -0.34657350182533264],
    [157.39999389648438, 5.05879020690918],
    [0.01000170037150383, -4.605000019073486],
  ])('of %d', (value, logarithm) => {
    expect(roundedLogarithm(value)).toBe(logarithm);
  });

  it.each([
    [1.7084239721298218, 0.5355713367462158],
    [1.321113109588623, 0.2784746289253235],
    [2755.67041015625, 7.921416282653809],
    [2850.151611328125, 7.955127716064453],
    [0.3918929398059845, -0.9367666244506836],
    [1.0915578603744507, 0.08760590106248856],
  ])('of %d is not the nearest number', (value, logarithm) => {
    expect(roundedLogarithm(value)).toBe(logarithm);
    expect(Math.fround(Math.log(value))).not.toBe(logarithm);
  });
});

describe("PyTorch's linspace of float32 numbers", () => {
  it('rounds a product and a sum once, from both ends', () => {
    const betas = roundedLinspace(1e-4, 0.02, 1000);
    expect(betas).toHaveLength(1000);
    for (const [i, beta] of [
      [2, 0.0001398398308083415],
      [255, 0.005179579835385084],
      [593, 0.01191251166164875],
      [995, 0.019920319318771362],
    ] as const) {
      expect(betas[i]).toBe(beta);
    }
  });
});

function scheduleOf(config: Record<string, unknown>): NoiseSchedule {
  return NoiseSchedule.fromSchedulerConfig({ _class_name: 'DPMSolverMultistepScheduler', ...config });
}

describe('the tables of a schedule', () => {
  it('are float32 numbers of float32 betas', () => {
    const cosine = scheduleOf({ beta_schedule: 'squaredcos_cap_v2' });
    const alphaBars = roundedAlphaBars(cosine);
    // Values from the library: the last bits of 1 - 0.999 are 5e-5 of it.
    expect(alphaBars.slice(-2)).toEqual([2.428766265438753e-6, 2.4287349909002387e-9]);
    expect(cosine.alphaBar(1000) / 2.4287349909002387e-9 - 1).toBeGreaterThan(1e-6);
    expect(new SigmaTable(cosine).ratios.slice(-2)).toEqual([641.6624145507812, 20291.302734375]);
    expect(new SigmaTable(cosine).ratios.slice(0, 2)).toEqual([0.006427108775824308, 0.009351345710456371]);
  });

  it('have the ratio of float32 parts, each rounded', () => {
    const { ratios } = new SigmaTable(scheduleOf({}));
    // Were 1 - A not rounded, these would be one unit in the last place away.
    expect([259, 273, 979].map((time) => ratios[time])).toEqual([
      1.0047838687896729, 1.0807933807373047, 128.86048889160156,
    ]);
  });

  it('are of sigmoid betas as the library computes them', () => {
    const schedule = scheduleOf({ _class_name: 'DDPMScheduler', beta_schedule: 'sigmoid', num_train_timesteps: 50 });
    const alphaBars = roundedAlphaBars(schedule);
    expect([10, 25, 49].map((time) => alphaBars[time])).toEqual([
      0.9964956045150757, 0.932884931564331, 0.6024526357650757,
    ]);
  });

  // Square roots are not all the nearest numbers. In double precision the last ones are off by twenty times as much.
  it('are rescaled to zero SNR in float32', () => {
    const alphaBars = roundedAlphaBars(scheduleOf({ rescale_betas_zero_snr: true }));
    expect(alphaBars.at(-1)).toBe(0);
    expect(alphaBars[998]! / 4.2132741739919766e-9 - 1).toBeCloseTo(0, 6);
    expect(alphaBars[997]! / 1.700724538977738e-8 - 1).toBeCloseTo(0, 6);
    expect(alphaBars[500]! / 0.07524619996547699 - 1).toBeCloseTo(0, 6);
  });

  it('have a least signal in place of none, which may be more than that of the time before', () => {
    const schedule = scheduleOf({ rescale_betas_zero_snr: true });
    expect(roundedAlphaBars(schedule).at(-1)).toBe(0);
    const table = new SigmaTable(schedule);
    expect(table.most).toBeCloseTo(4096, 3);
    expect(table.ratios[998]! / 15406.009 - 1).toBeLessThan(1e-6);
    // The last time that is not above counts.
    expect(table.timeOf(Math.exp(table.logarithms.at(-1)!))).toBe(999);
    expect(table.timeOf(table.most)).toBeCloseTo(995.25739, 4);
    expect(table.timeOf(2200)).toBeCloseTo(992.17002, 4);
  });

  it('are of files with betas alone', () => {
    for (const schedule of [
      NoiseSchedule.linear(),
      NoiseSchedule.fromSchedulerConfig({ _class_name: 'EDMEulerScheduler' }),
    ]) {
      expect(() => roundedAlphaBars(schedule)).toThrow(/scheduler file with betas/);
    }
  });

  it('say the time of a noise level, and within their ends', () => {
    const table = new SigmaTable(scheduleOf({}));
    expect(table.timeOf(table.most * 2)).toBe(999);
    expect(table.timeOf(table.least / 2)).toBe(0);
    expect(table.timeOf(0)).toBe(0);
    expect(table.timeOf(table.ratios[500]!)).toBeCloseTo(500, 3);
    expect(table.ratioAt(12.25)).toBeCloseTo(0.75 * table.ratios[12]! + 0.25 * table.ratios[13]!, 12);
    expect(table.ratioAt(1500)).toBe(table.most);
  });
});
