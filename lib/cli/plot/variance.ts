import { at } from '../../base/arrays.js';
import { samplerNames, samplers, type SamplerName } from '../../samplers/index.js';
import { jump } from '../../schedule/jump.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { transitions, type TrajectoryOptions } from '../../schedule/trajectory.js';
import { analyticCosts } from '../../variance/costs.js';
import { gammaLookup, readGammaTable, widthOfData, type GammaTable } from '../../variance/gamma.js';
import { analyticVariance, analyticVarianceBounds } from '../../variance/reverse-variance.js';
import { type Command, type OptionSpecs } from '../command.js';
import { usageError } from '../usage-error.js';
import { modelOptions, withModel } from '../model-options.js';
import { samplerOptions, samplerOptionSpecs, stepsSpec } from '../sampler-options.js';
import type { Series } from './drawn.js';
import { requiredGamma, requireTableTimes } from './gamma.js';
import { chartTarget, targetPath, writeChart } from './write.js';

export const quantityNames = ['deviation', 'variance'] as const;

type AnalyticSampler = {
  [N in SamplerName]: (typeof samplers)[N]['facts']['needsGamma'] extends true ? N : never;
}[SamplerName];

/** The samplers whose facts ask for a table of second moments. */
export const analyticSamplerNames = samplerNames.filter(
  (name): name is AnalyticSampler => samplers[name].facts.needsGamma,
);

export interface VarianceSeriesOptions extends TrajectoryOptions {
  gamma: GammaTable;
  /** Sampler of the analytic variance and bounds. Default `analytic-ddpm`. */
  sampler?: AnalyticSampler | undefined;
  /** Default `deviation`. */
  quantity?: (typeof quantityNames)[number] | undefined;
}

/**
 * Computes reverse variances of the jumps of a trajectory between noisy states, against the time they start from: the fixed
 * ones of DDPM, the analytic one and its bounds.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` naming a schedule of noise alone, `ERR_DPM_ARGUMENT` naming the wrong
 * option.
 */
export function varianceSeries(schedule: NoiseSchedule, options: VarianceSeriesOptions): Series[] {
  const { gamma, sampler = 'analytic-ddpm', quantity = 'deviation', ...trajectory } = options;
  requireTableTimes(schedule);
  const { eta } = samplers[sampler].family(schedule, { gamma });
  const momentAt = gammaLookup(sampler, gamma, schedule);
  const width = widthOfData(gamma);
  if (trajectory.trajectory === 'optimal') trajectory.costs ??= analyticCosts(schedule, gamma);
  const pairs = transitions(schedule, trajectory).filter(({ s }) => s > 0);
  if (pairs.length === 0) throw usageError('a trajectory of one step has no jump between noisy states; raise --steps');
  const series = (label: string, variance: (index: number) => number, dashed: boolean): Series => ({
    label,
    points: pairs.map(({ t }, i) => [t, quantity === 'variance' ? variance(i) : Math.sqrt(variance(i))]),
    dashed,
    reference: dashed,
    markers: !dashed && pairs.length <= 60,
  });
  const steps = pairs.map((pair) => ({ own: jump(schedule, pair, eta), markov: jump(schedule, pair, 1) }));
  const step = (i: number): (typeof steps)[number] => at(steps, i);
  return [
    series(sampler, (i) => analyticVariance(step(i).own, momentAt(step(i).own.t), width), false),
    series('beta', (i) => step(i).markov.forwardVariance, false),
    series('beta-tilde', (i) => step(i).markov.posteriorVariance, false),
    series('upper bound', (i) => analyticVarianceBounds(step(i).own, width).high, true),
    series('lower bound', (i) => analyticVarianceBounds(step(i).own, width).low, true),
  ];
}

/** Network evaluations, unless the command says otherwise. */
const STEPS = 50;

const trajectoryOptionNames = ['steps', 'trajectory', 'timesteps', 'costs', 't-start', 't-end'];

/** The options of a trajectory on the command line. */
const trajectorySpecs: OptionSpecs = Object.fromEntries(
  Object.entries(samplerOptionSpecs).filter(([name]) => trajectoryOptionNames.includes(name)),
);

export const plotVarianceCommand: Command = {
  name: 'plot variance',
  summary: 'Reverse deviations along a trajectory: the analytic one, its bounds, beta and beta-tilde.',
  arguments: ['MODEL'],
  options: {
    ...chartTarget,
    sampler: { value: 'NAME', help: `whose variance and bounds: ${analyticSamplerNames.join(' (default), ')}` },
    gamma: { value: 'FILE', help: "table of the analytic variance; default the model's gamma.json" },
    quantity: { value: 'NAME', help: quantityNames.join(' (default) or ') },
    ...trajectorySpecs,
    ...modelOptions,
    steps: stepsSpec(STEPS),
  },
  async run(call) {
    const { options } = call;
    const path = await targetPath(call, 'variance', '.svg');
    const quantity = options.choice('quantity', quantityNames) ?? at(quantityNames, 0);
    const sampler = options.choice('sampler', analyticSamplerNames) ?? at(analyticSamplerNames, 0);
    const file = options.string('gamma');
    await withModel(call, async (model) => {
      const { schedule } = model;
      const gamma = requiredGamma(model, file === undefined ? null : await readGammaTable(file));
      const { gamma: _, ...trajectory } = await samplerOptions(options, schedule);
      const series = varianceSeries(schedule, { steps: STEPS, ...trajectory, gamma, sampler, quantity });
      const steps = at(series, 0).points.length + 1;
      await writeChart(call, path, {
        title: `Reverse ${quantity === 'variance' ? 'variances' : 'standard deviations'}, ${steps} steps`,
        x: { label: `time ${schedule.discrete ? 'n' : 't'} the jump starts from`, scale: 'linear' },
        y: { label: quantity === 'variance' ? 'variance' : 'standard deviation', scale: 'log' },
        series,
        between: ['lower bound', 'upper bound'],
      });
    });
  },
};
