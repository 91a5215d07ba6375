// Facts of samplers: options typed and refused by sampler, and facts that agree with the compiled programs.
import { describe, expect, expectTypeOf, it } from 'vitest';

import type { DiffusionModel, SampleOptions } from '../../../lib/model.js';
import { samplerNames, samplers, type OptionsOfSampler, type SamplerName } from '../../../lib/samplers/index.js';
import type { OptionTable } from '../../../lib/samplers/sampler.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { moments } from '../../support/gaussian.js';

const linear = NoiseSchedule.linear();

function compiled(name: SamplerName): ReturnType<(typeof samplers)[SamplerName]> {
  const { facts } = samplers[name];
  const table: OptionTable = facts.options;
  const schedule = name === 'scheduler' ? NoiseSchedule.fromSchedulerConfig({}) : linear;
  return samplers[name](schedule, {
    ...('steps' in table && { steps: 6 }),
    ...(facts.needsGamma && { gamma: moments(linear, 0.25) }),
  });
}

describe('options of one sampler', () => {
  it('do not compile for another', () => {
    type Sample = DiffusionModel['sample'];
    const options: SampleOptions = { sampler: 'ddim', steps: 5, eta: 1 };
    // @ts-expect-error: ddim has no order
    const wrong: SampleOptions = { sampler: 'ddim', order: 3 };
    // @ts-expect-error: nor an snr, and dpm-solver-adaptive no steps
    const alsoWrong: SampleOptions[] = [{ sampler: 'ddim', snr: 0.1 }];
    // @ts-expect-error: the sampler function refuses it, too
    expect(() => samplers.ddim(linear, { steps: 3, order: 3 })).toThrow(/sampler ddim has no option 'order'/);
    const call = (sample: Sample): unknown[] => [
      sample({ sampler: 'unipc', steps: 5, order: 3, count: 2 }),
      // @ts-expect-error: of the method's argument as well
      sample({ sampler: 'ddim', steps: 5, order: 3 }),
    ];
    expect([options, wrong, ...alsoWrong].map(({ sampler }) => sampler)).toEqual(['ddim', 'ddim', 'ddim']);
    expect(call).toHaveLength(1);
    expectTypeOf<OptionsOfSampler<'unipc'>['variant']>().toEqualTypeOf<'bh1' | 'bh2' | undefined>();
    expectTypeOf<keyof OptionsOfSampler<'euler-maruyama'>>().toEqualTypeOf<
      'steps' | 'trajectory' | 'tStart' | 'tEnd' | 'clip' | 'prediction'
    >();
  });

  it.each([
    ['unipc', 'order', 5, /order is 5, it has to be an integer from 1 to 4/],
    ['dpm-solver-adaptive', 'order', 1, /order is 1, it has to be an integer from 2 to 3/],
    ['deis', 'order', 2.5, /order is 2.5, it has to be an integer from 1 to 4/],
    ['deis', 'basis', 'tome', /basis 'tome' is unknown \(did you mean 'time'\?\); use one of time, log-ratio/],
    ['unipc', 'form', 'both', /form 'both' is unknown; use one of data, noise/],
    ['predictor-corrector', 'snr', 0, /snr is 0, it has to be a positive number/],
    ['dpm-solver-adaptive', 'atol', -1, /atol is -1, it has to be a positive number/],
    ['dpm-solver-adaptive', 'rtol', Infinity, /rtol is Infinity, it has to be a positive number/],
    ['dpm-solver-3m', 'thirdOrder', 'third', /thirdOrder 'third' is unknown/],
    ['probability-flow', 'solver', 'rk4', /solver 'rk4' is unknown \(did you mean 'rk45'\?\); use one of euler, rk45/],
    ['ddim', 'end', 'last', /end 'last' is unknown; use one of data, first/],
    ['ddim', 'prediction', 'noise', /prediction 'noise' is unknown/],
  ] as const)('%s: %s is not %s', (name, option, value, message) => {
    const steps = 'steps' in samplers[name].facts.options ? { steps: 4 } : {};
    expect(() => samplers[name](linear, { ...steps, [option]: value })).toThrow(message);
  });

  it('are suggested where a name is near', () => {
    const misspelt: object = { step: 4 };
    expect(() => samplers.ddim(linear, misspelt)).toThrow(/no option 'step' \(did you mean 'steps'\?\)/);
  });
});

describe('facts', () => {
  it.each(samplerNames)('of %s are those of what it compiles to', (name) => {
    const { facts } = samplers[name];
    const program = compiled(name);
    expect(facts.name).toBe(name);
    expect(facts.summary).not.toBe('');
    if (facts.kind !== 'either') expect(program.kind).toBe(facts.kind);
    expect(program.head).toBe(facts.head);
    if (facts.bound === true) expect(samplers[name]).toHaveProperty('family');
  });

  it('say which samplers need a table', () => {
    expect(samplerNames.filter((name) => samplers[name].facts.needsGamma)).toEqual(['analytic-ddpm', 'analytic-ddim']);
    for (const name of samplerNames.filter((each) => samplers[each].facts.needsGamma)) {
      expect(() => samplers[name](linear, { steps: 4 })).toThrow(/gamma/);
    }
  });

  it('have either kind where an option decides', () => {
    expect(samplers['npr-ddpm'](linear, { steps: 4 }).kind).toBe('step');
    expect(samplers['npr-ddpm'](linear, { steps: 4, avgCov: true }).kind).toBe('host');
    expect(samplers['probability-flow'](linear, { solver: 'rk45' }).kind).toBe('host');
  });
});
