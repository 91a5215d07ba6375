// Samplers, bounds and decoders with data in [0, 1], the range of networks that centre their input themselves.
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../../lib/base/errors.js';
import { centredRange, unitRange, valueOfLevel } from '../../../lib/base/pixel-range.js';
import { binProbability, checkGrid } from '../../../lib/estimation/likelihood/decoder.js';
import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { maxDifference } from '../../support/golden.js';
import { asSteps, interpret, type InterpretedModel } from '../../support/interpreter.js';
import { Random } from '../../support/random.js';

const random = new Random(11);
const starts = Float64Array.from({ length: 12 }, () => random.between(-20, 20));
const noises = Array.from({ length: 20 }, () => starts.map(() => random.between(-2, 2)));

/** A network of data in [-1, 1] far enough from its noise that clipping and every limit is reached. */
const network: InterpretedModel = {
  out: (x, sigma) => Math.tanh(x / (1 + sigma)) + 0.3,
  head: (x, sigma) => 0.6 + 0.5 * Math.sin(x * sigma),
};

/** The same network of data in [0, 1] with half the noise. */
const unitNetwork: InterpretedModel = {
  out: (x, sigma) => network.out(2 * x - 1, 2 * sigma, 0),
  head: (x, sigma) => network.head!(2 * x - 1, 2 * sigma, 0),
};

const centred = NoiseSchedule.ve({ sigmaMin: 0.02, sigmaMax: 20, defaults: { prediction: 'epsilon' } });
const unit = NoiseSchedule.ve({
  sigmaMin: 0.01,
  sigmaMax: 10,
  defaults: { prediction: 'epsilon', dataRange: unitRange },
});

const run = (
  schedule: NoiseSchedule,
  model: InterpretedModel,
  init: Float64Array,
  ...own: [SamplerName, SamplerOptions]
) => interpret(asSteps(samplers[own[0]](schedule, own[1])), model, init, (drawn) => noises[drawn]!);

const toUnit = (values: Float64Array): Float64Array => values.map((x) => (x + 1) / 2);

describe('exploding noise on data in [0, 1]', () => {
  const options: SamplerOptions = { steps: 8, clip: 'static' };

  it.each<[SamplerName, SamplerOptions]>([
    ['ancestral', options],
    ['ddpm', { ...options, lastNoiseClip: 3 }],
    ['ddim', { ...options, eta: 0.5 }],
    ['npr-ddpm', options],
    ['sn-ddpm', { ...options, lastNoiseClip: null }],
    ['sn-ddim', options],
    ['dpm-solver++-2m', options],
  ])('is that on data in [-1, 1]: %s', (...own) => {
    const result = run(centred, network, starts, ...own);
    const same = run(unit, unitNetwork, toUnit(starts), ...own);
    expect(maxDifference(same, toUnit(result))).toBeLessThan(1e-12);
    // The limits of the other interval would be others.
    const other = run(unit.with({ defaults: { dataRange: centredRange } }), unitNetwork, toUnit(starts), ...own);
    expect(maxDifference(same, other)).toBeGreaterThan(1e-3);
  });
});

describe('limits from the interval of the data', () => {
  it('of the analytic variance', () => {
    const widest = (dataRange: typeof unitRange): number => {
      const schedule = NoiseSchedule.linear({ defaults: { dataRange } });
      const gamma = new Float64Array(schedule.steps + 1);
      const [record] = asSteps(samplers['analytic-ddim'](schedule, { steps: 2, gamma })).records;
      return record!.variance.kind === 'scalar' ? record!.variance.deviation : NaN;
    };
    expect(widest(centredRange) / widest(unitRange)).toBeCloseTo(2, 12);
  });

  it('need an interval', () => {
    const wrong = (): unknown => NoiseSchedule.linear({ defaults: { dataRange: [1, 1] } });
    expect(wrong).toThrow(/dataRange is \[1,1\], it has to be an interval/);
  });

  it('refuse dynamic thresholding, which is of [-1, 1]', () => {
    const compile = (): unknown => samplers.ddpm(unit, { steps: 2, clip: { dynamic: 0.995 } });
    expect(compile).toThrow(DpmError);
    expect(compile).toThrow(/dynamic thresholding .* from 0 to 1/);
  });
});

describe('grey levels in [0, 1]', () => {
  it.each([0, 1, 77, 254, 255])('have the bins they have in [-1, 1]: %i', (level) => {
    const [x0, same] = [centredRange, unitRange].map((range) => valueOfLevel(level, range));
    for (const mean of [-0.9, 0.1, x0!]) {
      for (const decoder of ['exact', 'tanh'] as const) {
        expect(binProbability(same!, (mean + 1) / 2, 0.01, decoder, unitRange)).toBeCloseTo(
          binProbability(x0!, mean, 0.02, decoder),
          12,
        );
      }
    }
  });

  it('are what images have to consist of', () => {
    const levels = Float32Array.from({ length: 256 }, (_, level) => valueOfLevel(level, unitRange));
    expect(() => {
      checkGrid(levels, 256, unitRange);
    }).not.toThrow();
    expect(() => {
      checkGrid(levels, 256, centredRange);
    }).toThrow(/no 8-bit value from -1 to 1/);
    expect(() => {
      checkGrid(Float32Array.of(-1), 1, unitRange);
    }).toThrow(/no 8-bit value from 0 to 1/);
  });
});
