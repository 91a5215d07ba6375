// Betas that are rescaled to zero SNR, and the other forms of betas that diffusers has.
import { describe, expect, it } from 'vitest';

import { samplers } from '../../../lib/samplers/index.js';
import { betasByName } from '../../../lib/schedule/betas.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { asSteps, interpret } from '../../support/interpreter.js';

const plain = NoiseSchedule.linear();
const rescaled = NoiseSchedule.linear({ rescaleBetasZeroSnr: true });
const predictsV = rescaled.with({ defaults: { prediction: 'v' } });

describe('betas rescaled to zero SNR', () => {
  it('end in noise alone, and begin as they did', () => {
    expect(rescaled.alphaBar(1000)).toBe(0);
    expect(rescaled.betaBar(1000)).toBe(1);
    expect(rescaled.logSnr(1000)).toBe(-Infinity);
    expect(rescaled.alphaBar(1)).toBeCloseTo(plain.alphaBar(1), 14);
    expect(rescaled.alphaBar(0)).toBe(1);
    expect(rescaled.name).toBe('linear-zero-snr');
  });

  it('are moved and stretched in sqrt(A)', () => {
    const amplitude = (schedule: NoiseSchedule, n: number): number => Math.sqrt(schedule.alphaBar(n));
    const [first, last] = [amplitude(plain, 1), amplitude(plain, 1000)];
    for (const n of [2, 400, 999]) {
      const expected = ((amplitude(plain, n) - last) * first) / (first - last);
      expect(amplitude(rescaled, n)).toBeCloseTo(expected, 12);
    }
  });

  it('have no SDE of evenly growing rate behind them', () => {
    expect(rescaled.sde().alphaBar(0.5) / rescaled.alphaBar(500)).toBeCloseTo(1, 9);
  });

  it('of every schedule of betas', () => {
    const betas = Array.from({ length: 20 }, (_, i) => 0.01 + 0.02 * i);
    for (const schedule of [
      NoiseSchedule.scaledLinear({ rescaleBetasZeroSnr: true }),
      NoiseSchedule.cosine({ rescaleBetasZeroSnr: true }),
      NoiseSchedule.fromBetas(betas, { rescaleBetasZeroSnr: true }),
      NoiseSchedule.fromSchedulerConfig({ rescale_betas_zero_snr: true }),
    ]) {
      expect(schedule.alphaBar(schedule.steps)).toBe(0);
    }
    expect(NoiseSchedule.fromBetas(betas).alphaBar(20)).toBeGreaterThan(0);
    // The field is ignored by diffusers for a class that has none.
    const pndm = { _class_name: 'PNDMScheduler', rescale_betas_zero_snr: true };
    expect(NoiseSchedule.fromSchedulerConfig(pndm).alphaBar(1000)).toBeGreaterThan(0);
    const options: object = { rescaleBetasZeroSnr: true };
    expect(() => NoiseSchedule.vp(options)).toThrow(/no option 'rescaleBetasZeroSnr'/);
  });

  it.each(['ddim', 'ddpm'] as const)('%s starts from noise alone where the network predicts v', (sampler) => {
    const program = asSteps(samplers[sampler](predictsV, { steps: 4 }));
    expect(program.records[0]).toMatchObject({ time: 999, prediction: { input: 0, output: -1 } });
    // The data is what v says, which holds at every level if it is constant.
    const x0 = 0.4;
    const model = {
      out: (x: number, t: number): number => {
        const [alpha, sigma] = [Math.sqrt(rescaled.alphaBar(t + 1)), Math.sqrt(rescaled.betaBar(t + 1))];
        return sigma === 1 ? -x0 : (alpha * x - x0) / sigma;
      },
    };
    for (const value of interpret(program, model, [-1, 0.5], () => [0.3, -0.2])) expect(value).toBeCloseTo(x0, 9);
  });

  it.each(['epsilon', 'score'] as const)('cannot be sampled from the last time where it predicts %s', (prediction) => {
    expect(() => samplers.ddim(rescaled, { steps: 4, prediction })).toThrow(/says nothing of the data/);
    expect(samplers.ddim(rescaled, { steps: 4, prediction, tStart: 999 }).kind).toBe('step');
    expect(samplers.ddim(rescaled, { steps: 4, prediction: 'x0' }).kind).toBe('step');
  });

  it('leave solvers the times that have a log-SNR', () => {
    const program = asSteps(samplers.unipc(predictsV, { steps: 5 }));
    expect(program.records[0]!.time).toBeLessThan(999);
    expect(() => samplers.unipc(predictsV, { steps: 5, tStart: 1 })).toThrow(/tStart <= 0\.9/);
    expect(() => samplers.ddim(predictsV, { steps: 5, trajectory: 'logsnr' })).toThrow(/n = 1000 is noise alone/);
    expect(samplers.ddim(predictsV, { steps: 5, trajectory: 'logsnr', tStart: 999 }).kind).toBe('step');
  });
});

describe('the greatest time to start from', () => {
  it('is 1 but where betas are cut off', () => {
    const short = NoiseSchedule.linear({ steps: 100 }).continuous();
    expect(short.noisiest).toBeLessThan(1);
    expect(short.greatestTime).toBe(1);
    const program = asSteps(samplers.unipc(NoiseSchedule.linear({ steps: 100 }), { steps: 4, tStart: 1 }));
    expect(program.records[0]!.time).toBe(99);
    expect(NoiseSchedule.cosine().continuous().greatestTime).toBe(0.996);
    expect(() => samplers.unipc(NoiseSchedule.cosine(), { steps: 4, tStart: 0.999 })).toThrow(/tStart <= 0\.996/);
    expect(() => samplers.unipc(NoiseSchedule.linear(), { steps: 4, tStart: 1.01 })).toThrow(/tStart <= 1/);
    expect(NoiseSchedule.edm().greatestTime).toBe(80);
  });
});

// The first, middle and last beta and A in the middle, by diffusers in float32.
describe('betas by name', () => {
  it.each([
    ['exp', 1000, [0.0119282873, 0.0119282873, 0.0119282873], 0.00244921818],
    ['laplace', 100, [0.0635310784, 0.00252826116, 0.910206735], 0.705671489],
    ['sigmoid', 50, [0.000149205196, 0.0106584225, 0.0199507959], 0.932884932],
  ] as const)('%s', (name, steps, expected, alphaBar) => {
    const betas = betasByName[name](steps, 1e-4, 0.02);
    expect(betas).toHaveLength(steps);
    [betas[0]!, betas[steps / 2]!, betas[steps - 1]!].forEach((beta, i) => {
      expect(beta / expected[i]!).toBeCloseTo(1, 4);
    });
    expect(NoiseSchedule.fromBetas(betas).alphaBar(steps / 2 + 1)).toBeCloseTo(alphaBar, 5);
  });
});
