// Options that would be taken for others or ignored are refused, and defaults fit the noise schedule.
import { describe, expect, it } from 'vitest';

import { checkedGuidance } from '../../../lib/guidance/classifier-free.js';
import { clip as clipOption, lowerOrderFinal } from '../../../lib/samplers/common-options.js';
import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { OptionTexts } from '../../../lib/samplers/option.js';
import type { ClipOption, SamplerOptions } from '../../../lib/samplers/options.js';
import { withTables } from '../../../lib/samplers/tables.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { analyticCosts } from '../../../lib/variance/costs.js';
import { moments } from '../../support/gaussian.js';
import { asSteps } from '../../support/interpreter.js';

const linear = NoiseSchedule.linear();
const cosine = NoiseSchedule.cosine();
const gamma = { schedule: 'squaredcos_cap_v2', numTrainTimesteps: 1000, imagesPerStep: 1, m: moments(cosine, 1) };

/** A command line on which every option is this text. */
const textsOf = (text: string): OptionTexts => ({
  flag: () => false,
  string: () => text,
  number: Number,
  integer: Number,
  numbers: () => [],
  choice: () => undefined,
});

describe('options', () => {
  it.each<[SamplerName, object, RegExp]>([
    ['ddim', { steps: 3, costs: analyticCosts(linear, moments(linear, 0.25)) }, /costs are for trajectory 'optimal'/],
    ['ddim', { timesteps: [900, 3], tStart: 950 }, /leave tStart and tEnd out/],
    ['unipc', { timesteps: [900, 3], tEnd: 0.01 }, /leave tStart and tEnd out/],
    ['dpm-solver++-2m', { steps: 3, lowerOrderFinal: 'never' }, /lowerOrderFinal/],
    ['npr-ddpm', { steps: 3, avgCov: 'no' }, /avgCov/],
    ['dpm-solver-1', { steps: 3, denoiseToZero: 1 }, /denoiseToZero/],
    ['ancestral', { steps: 1, lastNoiseClip: -1 }, /lastNoiseClip is -1/],
    ['ddim', { steps: 1, trajectory: 'bogus' }, /trajectory 'bogus' is unknown/],
    ['unipc', { steps: 1, trajectory: 'bogus' }, /trajectory 'bogus' is unknown/],
    ['euler-maruyama', { steps: 1, tStart: 3 }, /tStart are 0\.001 and 3/],
    ['heun', { steps: 2, tStart: 9 }, /tStart are 0\.001 and 9/],
    ['dpm-solver++-2m', { steps: 1, denoiseToZero: true, tStart: 9 }, /tStart/],
    ['euler-maruyama', { steps: 3, tStart: 0.5, tEnd: 0.9 }, /0 < tEnd < tStart/],
    ['dpm-solver++-2m', { steps: 3, tEnd: 1e-4 }, /no noise any more.*0\.001/],
    ['dpm-solver-adaptive', { tEnd: 1e-4 }, /no noise any more/],
    ['predictor-corrector', { steps: 4, clip: { dynamic: 0.9, floor: 0 } }, /floor of clip is 0/],
    ['dpm-solver-adaptive', { clip: { dynamic: 0.9, floor: NaN } }, /floor of clip is NaN/],
    ['ddim', { steps: 1, clip: { dynamic: 0.9, ceiling: 0 } }, /ceiling of clip is 0/],
    ['ddim', { steps: 1, clip: { dynamic: 0.9, ceiling: Infinity } }, /ceiling of clip is Infinity/],
    ['lms', { steps: 6, order: 5 }, /order is 5/],
    ['heun', { steps: 0 }, /steps is 0: give the number/],
    ['lcm', { steps: 2.5 }, /steps is 2\.5, it has to be an integer/],
    ['kdpm2', { steps: 5, eta: 1.5 }, /eta is 1\.5/],
    ['unipc', { steps: 5, disableCorrector: [-1] }, /disableCorrector/],
    ['unipc', { steps: 5, disableCorrector: [0.5] }, /disableCorrector/],
    ['ddim', { steps: 1, clip: { dynamic: 1.5 } }, /quantile in \(0, 1\]/],
    ['analytic-ddpm', { steps: 3, gamma }, /'squaredcos_cap_v2', this one is 'linear'/],
  ])('%s %j are refused', (name, options, message) => {
    const make = (): unknown => samplers[name](linear, options);
    expect(make).toThrow(message);
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }));
  });

  it.each(['unipc', 'heun', 'probability-flow', 'ddim'] as const)('of %s are not null', (name) => {
    expect(() => samplers[name](linear, null as unknown as SamplerOptions)).toThrow(/options is null/);
  });

  it('are not completed by what a sampler does not take', () => {
    const table = moments(linear, 0.25);
    const completed = withTables('unipc', { steps: 9, trajectory: 'optimal' }, linear, {
      ...gamma,
      schedule: 'linear',
      m: table,
    });
    expect(() => samplers.unipc(linear, completed)).toThrow(/trajectory 'optimal' is for samplers on a discrete/);
  });

  it('limit the threshold of dynamic clipping from both sides', () => {
    const clipIn = (clip: ClipOption): unknown => asSteps(samplers.ddim(linear, { steps: 1, clip })).records[0]?.clip;
    const limits = { floor: 1.5, ceiling: 2 };
    expect(clipIn({ dynamic: 0.9, ...limits })).toEqual({ kind: 'dynamic', quantile: 0.9, ...limits });
    expect(clipIn({ dynamic: 0.9 })).toEqual({ kind: 'dynamic', quantile: 0.9, floor: 1 });
  });

  it.each<[string, ClipOption]>([
    ['dynamic:0.995', { dynamic: 0.995 }],
    ['dynamic:0.995,1.5', { dynamic: 0.995, floor: 1.5 }],
    ['dynamic:0.995,1.5,4', { dynamic: 0.995, floor: 1.5, ceiling: 4 }],
  ])('read the clip %s from the command line', (text, clip) => {
    expect(clipOption.read?.(textsOf(text), 'clip')).toEqual(clip);
  });

  it.each<[string, SamplerOptions['lowerOrderFinal']]>([
    ['true', true],
    ['false', false],
    ['always', 'always'],
    ['last', 'last'],
  ])('read lowerOrderFinal %s from the command line', (text, when) => {
    const texts: OptionTexts = { ...textsOf(text), choice: (_, known) => known.find((each) => each === text) };
    expect(lowerOrderFinal.read?.(texts, 'lower-order-final')).toBe(when);
  });

  it.each(['dynamic', 'dynamic:', 'dynamic:0.9,', 'dynamic:0.9,,4', 'dynamic:0.9,1,2,3', 'dynamic:0.9,1,x'])(
    'refuse the clip %s on the command line',
    (text) => {
      expect(() => clipOption.read?.(textsOf(text), 'clip')).toThrow(/dynamic:QUANTILE\[,FLOOR\[,CEILING\]\]/);
    },
  );

  it('take a table of the same schedule in another form', () => {
    const discrete = NoiseSchedule.vpDiscrete();
    const table = { ...gamma, schedule: discrete.name, m: moments(discrete, 0.25) };
    expect(() => samplers['analytic-ddpm'](NoiseSchedule.vp(), { steps: 3, gamma: table })).not.toThrow();
    expect(() => samplers['analytic-ddpm'](linear.continuous(), { steps: 3, gamma: table })).toThrow(/'vpsde'/);
  });
});

describe('guidance', () => {
  it('has a label for no class, as the network was trained', () => {
    const label = (standard?: null): number | undefined =>
      checkedGuidance({ guidance: 2 }, { classes: 11 }, 1, standard)?.unconditionalLabel;
    expect(label()).toBe(10);
    expect(label(null)).toBe(-1);
    expect(() => checkedGuidance({ unconditionalLabel: 3 }, { classes: 0 }, 1)).toThrow(/unconditionalLabel/);
  });
});

describe('defaults', () => {
  /** Options that give an option an effect. */
  const more = (name: string): SamplerOptions => ({
    steps: 9,
    trajectory: name === 'stepsOffset' ? 'leading' : 'karras',
    sChurn: 4,
    gamma: moments(linear, 0.25),
  });
  const said = Object.entries(samplers).flatMap(([sampler, { facts }]) =>
    Object.entries(facts.options as Record<string, { help: string }>).flatMap(([name, { help }]) => {
      const number = /default (\d[\d.e-]*)$/.exec(help)?.[1];
      return facts.kind === 'step' && number !== undefined ? [[sampler, name, Number(number)] as const] : [];
    }),
  );

  it('of numbers are found in what options say', () => {
    expect(said.length).toBeGreaterThan(20);
  });

  it.each(said)('of %s are what its options say: %s is %d', (sampler, name, number) => {
    const known = samplers[sampler as SamplerName];
    const isTaken = (other: string): boolean =>
      other !== name && (other in known.facts.options || (other === 'gamma' && known.facts.needsGamma));
    const options = Object.fromEntries(Object.entries(more(name)).filter(([other]) => isTaken(other)));
    expect(known(linear, { ...options, [name]: number })).toEqual(known(linear, options));
  });

  it('begin where the noise of a cosine schedule can still be told from others', () => {
    expect([cosine.continuous().noisiest, cosine.sde().noisiest]).toEqual([0.996, 0.996]);
    expect(NoiseSchedule.cosine({ steps: 4000 }).continuous().noisiest).toBe(0.996);
    expect([linear.continuous().noisiest, linear.sde().noisiest]).toEqual([1, 1]);
  });

  it('clip as the scheduler says where data predictions are kept', () => {
    const clips = linear.with({ defaults: { clip: { kind: 'static', low: -2, high: 2 } } });
    const clipOf = (name: SamplerName, options: SamplerOptions = {}): string | undefined =>
      asSteps(samplers[name](clips, { steps: 4, ...options })).records[0]?.clip.kind;
    for (const name of ['dpm-solver++-2m', 'dpm-solver++-3s', 'unipc', 'ddim', 'lcm'] as const) {
      expect(clipOf(name), name).toBe('static');
      expect(clipOf(name, { clip: 'none' }), name).toBe('none');
    }
    for (const name of ['dpm-solver-2m', 'dpm-solver-3', 'deis', 'euler', 'plms'] as const) {
      expect(clipOf(name), name).toBe('none');
      expect(clipOf(name, { clip: 'static' }), name).toBe('static');
    }
  });

  it('clip for the schedulers of diffusers that clip', () => {
    const clip = (_class_name: string, fields: object = {}): string =>
      NoiseSchedule.fromSchedulerConfig({ _class_name, ...fields }).defaults.clip.kind;
    expect(['DDPMScheduler', 'DDIMScheduler'].map((name) => clip(name))).toEqual(['static', 'static']);
    expect(['UniPCMultistepScheduler', 'EulerDiscreteScheduler'].map((name) => clip(name))).toEqual(['none', 'none']);
    expect(clip('DDIMScheduler', { clip_sample: false })).toBe('none');
    expect(clip('EulerDiscreteScheduler', { clip_sample: true })).toBe('static');
  });
});
