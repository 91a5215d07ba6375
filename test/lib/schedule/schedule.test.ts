import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../../lib/base/errors.js';
import type { ScheduleDefaults } from '../../../lib/schedule/defaults.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { parametrisation } from '../../../lib/schedule/prediction.js';

const relative = (value: number, expected: number): number => Math.abs(value / expected - 1);

/** A at n = 1, 2, 10, 100, N/2, N - 1, N, to nine digits. */
const fingerprints: [string, NoiseSchedule, number[]][] = [
  [
    'linear, N = 1000',
    NoiseSchedule.linear(),
    [0.9999, 9.99780092e-1, 9.98105205e-1, 8.97018146e-1, 7.85872429e-2, 4.11819364e-5, 4.03582977e-5],
  ],
  [
    'cosine, N = 1000',
    NoiseSchedule.cosine(),
    [9.99958716e-1, 9.99912576e-1, 9.99368718e-1, 9.72092737e-1, 4.9384359e-1, 2.42876691e-6, 2.42876691e-9],
  ],
  [
    'cosine, N = 4000',
    NoiseSchedule.cosine({ steps: 4000 }),
    [9.99990134e-1, 9.99979965e-1, 9.99887685e-1, 9.97512835e-1, 4.9384359e-1, 1.51798047e-7, 1.51798047e-10],
  ],
  [
    'VP-SDE discretised, N = 1000',
    NoiseSchedule.vpDiscrete(),
    [9.99890056e-1, 9.99760229e-1, 9.98006989e-1, 8.96282164e-1, 7.90638125e-2, 4.40577207e-5, 4.31857491e-5],
  ],
];

describe('discrete schedules', () => {
  it.each(fingerprints)('%s', (_name, schedule, expected) => {
    const { steps } = schedule;
    [1, 2, 10, 100, steps / 2, steps - 1, steps].forEach((n, i) => {
      expect(relative(schedule.alphaBar(n), expected[i]!)).toBeLessThan(2e-9);
    });
  });

  it('scaled linear', () => {
    const schedule = NoiseSchedule.scaledLinear();
    expect(relative(schedule.alphaBar(500), 2.7766965e-1)).toBeLessThan(2e-9);
    expect(relative(schedule.alphaBar(1000), 4.66009851e-3)).toBeLessThan(2e-9);
  });

  it.each([
    [1, 112, 0.126308, 0.0001, 0.126395],
    [112, 223, 0.316844, 0.099326, 0.403191],
    [223, 334, 0.466119, 0.275817, 0.681375],
    [889, 1000, 0.879788, 0.879528, 0.99996],
  ])('jump from %i to %i', (s, t, forward, posterior, betaBar) => {
    const schedule = NoiseSchedule.linear();
    expect(schedule.betaBarBetween(s, t)).toBeCloseTo(forward, 6);
    expect(schedule.posteriorVariance(s, t)).toBeCloseTo(posterior, 6);
    expect(schedule.betaBar(t)).toBeCloseTo(betaBar, 6);
  });

  it('refuses betas outside (0, 1)', () => {
    expect(() => NoiseSchedule.fromBetas([0.1, 1.5])).toThrow(expect.objectContaining({ code: 'ERR_DPM_CONFIG' }));
    expect(() => NoiseSchedule.linear({ steps: 10, end: 2 })).toThrow(DpmError);
    expect(() => NoiseSchedule.fromBetas([0.1, 1])).toThrow(/beta 2 of the noise schedule is 1/);
    expect(() => NoiseSchedule.fromBetas([0, 0.1])).toThrow(/beta 1 of the noise schedule is 0/);
    expect(() => NoiseSchedule.fromBetas([0.1])).toThrow(/at least two betas/);
    expect(() => NoiseSchedule.vpDiscrete({ steps: 1 })).toThrow(/needs 2\.\.1000000 steps, got 1/);
  });

  it('refuses times off the grid', () => {
    const schedule = NoiseSchedule.linear();
    for (const n of [-1, 0.5, 1001, NaN]) expect(() => schedule.alphaBar(n)).toThrow(/from 0 to 1000/);
  });
});

describe('the continuous VP schedule', () => {
  const schedule = NoiseSchedule.vp();

  it.each([
    [1e-5, 6.907258],
    [1e-4, 5.75151],
    [1e-3, 4.557715],
    [0.01, 3.108057],
    [0.3, -0.210384],
    [1, -5.024978],
  ])('has the known log-SNR at t = %f', (t, expected) => {
    expect(schedule.logSnr(t)).toBeCloseTo(expected, 6);
  });

  it('inverts its log-SNR', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1, noNaN: true }), (t) => {
        expect(relative(schedule.timeOfLogSnr(schedule.logSnr(t)), t)).toBeLessThan(1e-12);
      }),
    );
  });
});

describe('the continuous form of a discrete schedule', () => {
  it('passes through the knots and inverts', () => {
    const discrete = NoiseSchedule.linear();
    const continuous = discrete.continuous();
    for (const n of [1, 2, 499, 1000]) {
      expect(relative(continuous.logSnr(n / 1000), discrete.logSnr(n))).toBeLessThan(1e-12);
      expect(relative(discrete.timeOfLogSnr(discrete.logSnr(n)), n)).toBeLessThan(1e-9);
    }
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1, noNaN: true }), (t) => {
        expect(relative(continuous.timeOfLogSnr(continuous.logSnr(t)), t)).toBeLessThan(1e-9);
      }),
    );
  });
});

describe('properties of every schedule', () => {
  const schedules = [
    NoiseSchedule.linear(),
    NoiseSchedule.cosine(),
    NoiseSchedule.scaledLinear(),
    NoiseSchedule.vpDiscrete(),
  ];
  const pair = fc.tuple(fc.integer({ min: 1, max: 999 }), fc.integer({ min: 1, max: 999 })).map(([a, b]) => ({
    s: Math.min(a, b),
    t: Math.max(a, b) + 1,
  }));

  it('composes jumps and orders noise', () => {
    fc.assert(
      fc.property(fc.constantFrom(...schedules), pair, (schedule, { s, t }) => {
        expect(relative(schedule.alphaBar(s) * schedule.alphaBarBetween(s, t), schedule.alphaBar(t))).toBeLessThan(
          1e-12,
        );
        expect(schedule.logSnr(s)).toBeGreaterThan(schedule.logSnr(t));
        const posterior = schedule.posteriorVariance(s, t);
        expect(posterior).toBeGreaterThan(0);
        expect(posterior).toBeLessThanOrEqual(schedule.betaBarBetween(s, t));
        const step = schedule.logSnr(s) - schedule.logSnr(t);
        expect(relative(-schedule.betaBar(s) * Math.expm1(-2 * step), posterior)).toBeLessThan(1e-8);
      }),
    );
  });
});

describe('network time', () => {
  it.each([
    ['index', 499],
    ['index1', 500],
    ['rescaled', 499],
    ['vp999', 499.5],
    ['dpm-solver', 499],
  ] as const)('%s', (networkTime, expected) => {
    expect(NoiseSchedule.linear({ networkTime }).networkTime(500)).toBeCloseTo(expected, 9);
    expect(NoiseSchedule.vp({ networkTime }).networkTime(0.5)).toBeCloseTo(expected, 9);
  });

  it('rescales to a thousand steps and takes functions', () => {
    expect(NoiseSchedule.cosine({ steps: 4000, networkTime: 'rescaled' }).networkTime(3)).toBe(0.5);
    expect(NoiseSchedule.linear({ networkTime: (n) => 2 * n }).networkTime(7)).toBe(14);
    expect(NoiseSchedule.vp({ networkTime: 'index' }).networkTime(1e-5)).toBe(0);
  });
});

describe('addNoise', () => {
  it('mixes signal and noise per sample', () => {
    const schedule = NoiseSchedule.linear();
    const noisy = schedule.addNoise(Float32Array.of(1, 1, 2, 2), Float32Array.of(1, 0, 1, 0), [0, 500]);
    const [alpha, sigma] = [Math.sqrt(schedule.alphaBar(500)), Math.sqrt(schedule.betaBar(500))];
    expect([...noisy]).toEqual([1, 1, 2 * alpha + sigma, 2 * alpha].map(Math.fround));
    expect(() => schedule.addNoise(new Float32Array(3), new Float32Array(3), [1, 2])).toThrow(/2 times/);
  });
});

describe('the same schedule', () => {
  it('with other defaults has its file and its times', () => {
    const schedule = NoiseSchedule.fromSchedulerConfig({ num_train_timesteps: 100 }, {}, 'own.json');
    for (const other of [schedule.with({ networkTime: 'index1' }), schedule.continuous(), schedule.sde()]) {
      expect(other.scheduler).toEqual({ config: { num_train_timesteps: 100 }, source: 'own.json' });
    }
    const short = NoiseSchedule.linear({ steps: 100 }).continuous();
    const { noisiest, greatestTime } = short.with({ defaults: { prediction: 'x0' } });
    expect([noisiest, greatestTime]).toEqual([short.noisiest, 1]);
  });
});

describe('the velocity', () => {
  it.each([
    [0.6, 0.8],
    [1, 3],
  ])('says the data and the noise of any state: %d and %d', (alpha, sigma) => {
    const [x0, epsilon] = [0.7, -1.1];
    const [x, v] = [alpha * x0 + sigma * epsilon, alpha * epsilon - sigma * x0];
    const { data, noise } = parametrisation('v', alpha, sigma);
    expect(data.input * x + data.output * v).toBeCloseTo(x0, 12);
    expect(noise.input * x + noise.output * v).toBeCloseTo(epsilon, 12);
  });
});

describe('the preconditioned denoiser', () => {
  it.each([
    [1, 3],
    [0.6, 0.8],
  ])('is that of Karras et al. for the state over alpha: %d and %d', (alpha, sigma) => {
    const [x0, epsilon, output, sigmaData] = [0.7, -1.1, 0.4, 0.5];
    const x = alpha * x0 + sigma * epsilon;
    const ratio = sigma / alpha;
    const total = ratio ** 2 + sigmaData ** 2;
    for (const [prediction, sign] of [
      ['edm', 1],
      ['edm-v', -1],
    ] as const) {
      const { data, noise, inputScale } = parametrisation(prediction, alpha, sigma, sigmaData);
      const denoised =
        (sigmaData ** 2 / total) * (x / alpha) + ((sign * ratio * sigmaData) / Math.sqrt(total)) * output;
      expect(data.input * x + data.output * output).toBeCloseTo(denoised, 12);
      expect(noise.input * x + noise.output * output).toBeCloseTo((x - alpha * denoised) / sigma, 12);
      expect(inputScale * x).toBeCloseTo(x / alpha / Math.sqrt(total), 12);
    }
  });
});

describe('the defaults of a schedule', () => {
  it.each([
    ["prediction of a schedule's defaults 'y' is unknown", { prediction: 'y' }],
    ["variance of a schedule's defaults 'small' is unknown", { variance: 'small' }],
    ['a schedule\'s defaults: clip.kind is "hard"', { clip: { kind: 'hard' } }],
  ])('are refused: %s', (message, defaults) => {
    const made = (): unknown => NoiseSchedule.linear({ defaults: defaults as Partial<ScheduleDefaults> });
    expect(made).toThrow(message);
  });

  it('need a range whose width is a number', () => {
    const made = (): unknown => NoiseSchedule.linear({ defaults: { dataRange: [-1e308, 1e308] } });
    expect(made).toThrow(/dataRange is \[-1e\+308,1e\+308\], it has to be an interval/);
  });
});

describe('the SDE behind a schedule', () => {
  const slope = (f: (t: number) => number, t: number): number => (f(t + 1e-6) - f(t - 1e-6)) / 2e-6;

  it('is the VP-SDE 0.1 to 20 for linear betas', () => {
    const sde = NoiseSchedule.linear().sde();
    const exact = NoiseSchedule.vp();
    for (const t of [1e-3, 0.3, 1]) expect(sde.logAlphaBar(t)).toBeCloseTo(exact.logAlphaBar(t), 12);
    expect([sde.noisiest, sde.cleanest]).toEqual([1, 1e-3]);
    expect(sde.networkTime(0.5)).toBe(499);
    expect(NoiseSchedule.vpDiscrete().sde().networkTime(0.5)).toBeCloseTo(499.5, 12);
    expect(NoiseSchedule.fromSchedulerConfig({}).sde().rate(1)).toBeCloseTo(20, 12);
    expect(exact.sde()).toBe(exact);
  });

  it.each([NoiseSchedule.vp(), NoiseSchedule.cosine().sde(), NoiseSchedule.scaledLinear().sde()])(
    'has the rate of its signal: $name',
    (sde) => {
      for (const t of [0.1005, 0.5005, 0.9005]) {
        expect(sde.rate(t) / -slope((time) => sde.logAlphaBar(time), t)).toBeCloseTo(1, 5);
        expect(sde.diffusion(t)).toBe(sde.rate(t));
      }
    },
  );

  it.each([NoiseSchedule.cosine().continuous(), NoiseSchedule.edm(), NoiseSchedule.vp()])(
    'moves the powers of signal and noise as they move: $name',
    (schedule) => {
      for (const t of [0.1005, 0.5005, 0.9005]) {
        const signal = -slope((time) => schedule.logAlphaBar(time), t);
        expect(schedule.rate(t)).toBeCloseTo(signal, 4);
        // dB / dt = g^2 - rate B.
        const noise = slope((time) => schedule.betaBar(time), t);
        expect(schedule.diffusion(t)).toBeCloseTo(noise + signal * schedule.betaBar(t), 4);
      }
    },
  );

  it('hands functions of n the n of its time', () => {
    const continuous = NoiseSchedule.linear({ networkTime: (n) => 2 * n }).continuous();
    expect(continuous.networkTime(0.25)).toBe(500);
    expect(
      NoiseSchedule.linear()
        .continuous({ networkTime: (t) => t })
        .networkTime(0.25),
    ).toBe(0.25);
  });
});
