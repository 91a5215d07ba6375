// Tables of noise levels: what networks of every prediction and schedule learn.
import { describe, expect, it } from 'vitest';

import { NoiseSchedule } from '../../../lib/index.js';
import type { NativeTrainerLevels } from '../../../lib/engine/native-trainer.js';
import { levelsAt, normalQuantile, trainingLevels, type LevelOptions } from '../../../lib/training/levels.js';

const plain = (prediction: LevelOptions['prediction'], snrGamma = 0): LevelOptions => ({ prediction, snrGamma });
const half = NoiseSchedule.fromBetas([0.1, 7 / 9]);

function level(levels: NativeTrainerLevels, i: number): Record<string, number> {
  const { stepsBack: _, ...tables } = levels;
  return Object.fromEntries(Object.entries(tables).map(([name, values]) => [name, values[i]!]));
}

describe('levels of a discrete schedule', () => {
  it.each([
    ['epsilon', [0, 1]],
    ['x0', [1, 0]],
    ['v', [-Math.sqrt(0.1), Math.sqrt(0.9)]],
    ['score', [0, -1 / Math.sqrt(0.1)]],
  ] as const)('have the targets of %s', (prediction, [data, noise]) => {
    const levels = trainingLevels(half, null, plain(prediction));
    expect(levels.times).toEqual(Float32Array.of(0, 1));
    const first = level(levels, 0);
    expect(first.images).toBeCloseTo(Math.sqrt(0.9), 12);
    expect(first.noises).toBeCloseTo(Math.sqrt(0.1), 12);
    expect([first.dataTargets, first.noiseTargets]).toEqual([Math.fround(data), Math.fround(noise)]);
    expect(Object.is(first.dataTargets, -0) || Object.is(first.noiseTargets, -0)).toBe(false);
    expect(levels.weights).toEqual(Float64Array.of(1, 1));
    expect(levels).not.toHaveProperty('stepsBack');
  });

  it.each([
    ['epsilon', [5 / 9, 1]],
    ['x0', [5, 0.25]],
    ['v', [0.5, 0.2]],
  ] as const)('have the min-SNR weights of %s', (prediction, expected) => {
    const { weights } = trainingLevels(half, null, plain(prediction, 5));
    expected.forEach((weight, i) => {
      expect(weights[i]).toBeCloseTo(weight, 12);
    });
  });

  it('end in noise alone where the data are predicted', () => {
    const schedule = NoiseSchedule.linear({ rescaleBetasZeroSnr: true });
    for (const [prediction, target] of [
      ['x0', [1, 0]],
      ['v', [-1, 0]],
    ] as const) {
      const last = level(trainingLevels(schedule, null, plain(prediction)), 999);
      expect(last.images).toBe(0);
      expect([last.dataTargets, last.noiseTargets]).toEqual(target);
    }
  });

  it('have the variances between which a network learns its own', () => {
    const { lows, highs, variances, means } = trainingLevels(half, null, {
      ...plain('epsilon'),
      learnsRange: true,
    }).stepsBack!;
    const second = ((7 / 9) * 0.1) / 0.8;
    expect([...variances]).toEqual([0, expect.closeTo(second, 12)]);
    expect([...lows]).toEqual([expect.closeTo(Math.log(second), 12), expect.closeTo(Math.log(second), 12)]);
    expect([...highs]).toEqual([expect.closeTo(Math.log(0.1), 12), expect.closeTo(Math.log(7 / 9), 12)]);
    // x_0 and its prediction differ by sqrt(B / A) of the difference in the noise.
    const [first, last] = [1 * (1 / 3), ((Math.sqrt(0.9) * 7) / 9 / 0.8) * 2];
    expect([...means]).toEqual([expect.closeTo(first, 12), expect.closeTo(last, 12)]);
  });
});

describe('levels of EDM', () => {
  it('make the regression of the preconditioned network', () => {
    const schedule = NoiseSchedule.edm({ sigmaData: 0.7 });
    const times = Float64Array.of(0.002, 0.3, 1, 80);
    const levels = levelsAt(times, schedule, null, plain('edm'));
    times.forEach((sigma, i) => {
      const { images, noises, dataTargets, noiseTargets, times: of, weights } = level(levels, i);
      const total = sigma ** 2 + 0.49;
      // Karras et al. 2022, table 1.
      const [skip, out, scale] = [0.49 / total, (sigma * 0.7) / Math.sqrt(total), 1 / Math.sqrt(total)];
      expect(images).toBeCloseTo(scale, 12);
      expect(noises! / (scale * sigma)).toBeCloseTo(1, 12);
      // A sample x_0 + sigma eps is denoised to x_0 by skip x + out F.
      for (const [x0, noise] of [
        [1, 0],
        [0, 1],
        [-0.4, 1.3],
      ] as const) {
        const target = dataTargets! * x0 + noiseTargets! * noise;
        expect(skip * (x0 + sigma * noise) + out * target).toBeCloseTo(x0, 5);
      }
      expect(of).toBeCloseTo(Math.log(sigma) / 4, 6);
      expect(weights).toBe(1);
    });
  });

  it('are drawn as its authors draw them', () => {
    const levels = trainingLevels(NoiseSchedule.edm(), null, plain('edm'));
    const velocity = NoiseSchedule.edm({ defaults: { prediction: 'edm-v' } });
    expect(trainingLevels(velocity, null, plain('edm-v')).times).toEqual(levels.times);
    const logarithms = Float64Array.from(levels.times, (time) => 4 * time);
    const mean = logarithms.reduce((sum, value) => sum + value) / logarithms.length;
    const variance = logarithms.reduce((sum, value) => sum + (value - mean) ** 2, 0) / logarithms.length;
    expect(logarithms.length).toBe(65_536);
    expect(mean).toBeCloseTo(-1.2, 5);
    expect(Math.sqrt(variance)).toBeCloseTo(1.2, 3);
    expect(logarithms[32_768]! - logarithms[32_767]!).toBeGreaterThan(0);
  });
});

describe('levels of score_sde', () => {
  it('are even in time from 1e-5 to 1 where the variance is preserved', () => {
    const schedule = NoiseSchedule.vp();
    const { images, noises, times } = trainingLevels(schedule, null, plain('epsilon'));
    expect(times.length).toBe(65_536);
    for (const [i, time] of [
      [0, 1e-5 + 0.5 / 65_536],
      [32_768, 0.5],
      [65_535, 1],
    ] as const) {
      expect(Math.abs(times[i]! - schedule.networkTime(time))).toBeLessThan(0.02);
      expect(images[i]! ** 2 + noises[i]! ** 2).toBeCloseTo(1, 12);
    }
    expect(noises[0]).toBeLessThan(0.01);
    expect(images[65_535]).toBeLessThan(0.01);
  });

  it('are even in ln sigma with noise alone, and learn the output that is divided by it', () => {
    const schedule = NoiseSchedule.ve({ sigmaMin: 0.01, sigmaMax: 50 });
    const { images, noises, dataTargets, noiseTargets, times } = trainingLevels(schedule, 'time', plain('score'));
    expect(new Set(images)).toEqual(new Set([1]));
    expect(new Set(dataTargets)).toEqual(new Set([0]));
    expect(new Set(noiseTargets)).toEqual(new Set([-1]));
    expect(noises[32_768]! / Math.sqrt(0.01 * 50)).toBeCloseTo(1, 3);
    expect(noises[0]! / 0.01).toBeCloseTo(1, 3);
    expect(noises[65_535]! / 50).toBeCloseTo(1, 3);
    noises.forEach((sigma, i) => {
      if (i % 4096 === 0) expect(times[i]).toBe(Math.fround(sigma));
    });
  });

  it('have the min-SNR weights of the output that is divided', () => {
    const schedule = NoiseSchedule.ve({ sigmaMin: 0.01, sigmaMax: 50 });
    const { weights } = levelsAt(Float64Array.of(0.1, 2), schedule, 'time', plain('score', 5));
    // The data prediction differs by sigma for one of the output.
    expect([...weights]).toEqual([expect.closeTo(5 * 0.01, 12), expect.closeTo(1, 12)]);
  });

  it('learn the output that is divided by the entry of a table', () => {
    const table = Float32Array.of(4, 2, 1);
    const schedule = NoiseSchedule.ve({ sigmaMin: 1, sigmaMax: 4, networkTime: (sigma) => 2 - Math.log2(sigma) });
    const { noiseTargets } = levelsAt(Float64Array.of(1, 2, 4), schedule, table, plain('score'));
    expect([...noiseTargets]).toEqual([-1, -1, -1]);
  });
});

describe('the normal quantile', () => {
  it.each([
    [1e-5, -4.264890793922825],
    [0.02, -2.053748910631823],
    [0.05, -1.6448536269514726],
    [0.3, -0.5244005127080409],
    [0.5, 0],
    [0.975, 1.9599639845400539],
    [0.99999, 4.264890793922825],
  ])('of %d is that of tables', (probability, expected) => {
    expect(Math.abs(normalQuantile(probability) - expected)).toBeLessThan(1e-6);
  });
});
