import { predictionNames } from '../schedule/prediction.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { JumpCosts } from '../schedule/optimal-trajectory.js';
import { readErrorTable } from '../variance/error-table.js';
import { fixedVarianceCosts } from '../variance/fixed-costs.js';
import type { ClipOption, SamplerOptions } from '../samplers/options.js';
import { trajectoryNames } from '../schedule/trajectory.js';
import { readGammaTable } from '../variance/gamma.js';
import { usageError, type OptionSpecs, type OptionValues } from './command.js';

/** The samplers' options on the command line. */
export const samplerOptionSpecs: OptionSpecs = {
  steps: { value: 'K', help: 'number of network evaluations' },
  trajectory: { value: 'NAME', help: `spacing of the times: ${trajectoryNames.join(', ')}` },
  timesteps: { value: 'LIST', help: 'decreasing 0-based times, separated by commas; overrides --steps' },
  't-start': { value: 'T', help: 'noisiest time' },
  't-end': { value: 'T', help: 'cleanest time evaluated' },
  end: { value: 'WHERE', help: 'data (default) or first: the state after the last record' },
  eta: { value: 'X', help: 'noise of DDIM, 0 (default) to 1' },
  clip: { value: 'HOW', help: 'none, static or dynamic:QUANTILE[,FLOOR]; default as the scheduler says' },
  variance: { value: 'KIND', help: 'of ddpm: beta, beta-tilde or learned' },
  gamma: { value: 'FILE', help: "table of the analytic samplers; default the model's gamma.json" },
  'last-noise-clip': { value: 'Y', help: 'grey levels the last noise may change a pixel by, or none' },
  prediction: { value: 'KIND', help: `what the network's output means: ${predictionNames.join(', ')}` },
  costs: {
    value: 'FILE',
    help: 'table of the optimal trajectory of beta or beta-tilde (dpm costs); default: from gamma',
  },
  'avg-cov': { help: 'of npr and sn: one variance a sample, the mean over its elements' },
  order: { value: 'P', help: 'order of dpm-solver-adaptive, unipc or deis' },
  'solver-type': { value: 'TYPE', help: 'weights of second-order steps: midpoint (default) or taylor' },
  'lower-order-final': { value: 'WHEN', help: 'lower order in the last steps: true (as published), always or false' },
  'denoise-to-zero': { help: 'the last evaluation replaces the state by the data prediction' },
  variant: { value: 'NAME', help: 'of unipc: bh1 or bh2 (default)' },
  form: { value: 'NAME', help: 'what unipc extrapolates: data (default) or noise' },
  'third-order': { value: 'NAME', help: 'second differences of third-order solvers: exact (default) or published' },
  basis: { value: 'NAME', help: 'variable of the polynomials of deis: time (default) or log-ratio' },
  solver: { value: 'NAME', help: 'of probability-flow: euler (default) or rk45' },
  atol: { value: 'X', help: 'absolute tolerance of an adaptive solver' },
  rtol: { value: 'X', help: 'relative tolerance of an adaptive solver' },
  snr: { value: 'X', help: 'signal-to-noise ratio of the Langevin corrector; default 0.16' },
  'batch-norm': { value: 'KIND', help: "norms of adaptive steps: each sample's (default) or reference, the batch's" },
};

function parseLowerOrder(text: 'true' | 'always' | 'false' | undefined): SamplerOptions['lowerOrderFinal'] {
  if (text === undefined || text === 'always') return text;
  return text === 'true';
}

function parseClip(text: string | undefined): ClipOption | undefined {
  if (text === undefined || text === 'none' || text === 'static') return text;
  const match = /^dynamic:([\d.]+)(?:,([\d.]+))?$/.exec(text);
  if (match === null) throw usageError(`--clip is '${text}', it has to be none, static or dynamic:QUANTILE[,FLOOR]`);
  const floor = match[2];
  return { dynamic: Number(match[1]), ...(floor !== undefined && { floor: Number(floor) }) };
}

/** Drops the options that were not given, so that samplers see only what was. */
function given<T extends object>(options: { [K in keyof T]: T[K] | undefined }): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** What the costs of an optimal trajectory depend on. */
export interface CostedSampler {
  sampler: string | undefined;
  /** Default: the scheduler's. */
  variance: string | undefined;
}

/** Costs of the jumps of DDPM with the fixed variance that is sampled with, from a table of errors. */
async function costsFrom(path: string, schedule: NoiseSchedule, costed: CostedSampler): Promise<JumpCosts> {
  const variance = costed.sampler === 'ancestral' ? 'beta' : (costed.variance ?? schedule.defaults.variance);
  if (variance !== 'beta' && variance !== 'beta-tilde') {
    throw usageError(`--costs is for the fixed variances beta and beta-tilde, the variance is ${variance}`);
  }
  return fixedVarianceCosts(schedule, await readErrorTable(path), variance);
}

/**
 * The library's sampler options from the command line's, for a model with this schedule.
 *
 * @param costed - Whose costs `--costs` is for; by default what `--sampler` and `--variance` say.
 */
export async function samplerOptions(
  options: OptionValues,
  schedule: NoiseSchedule,
  costed: CostedSampler = { sampler: options.string('sampler'), variance: options.string('variance') },
): Promise<SamplerOptions> {
  const costs = options.string('costs');
  const gamma = options.string('gamma');
  const lastNoise = options.string('last-noise-clip');
  return given<Required<SamplerOptions>>({
    costs: costs === undefined ? undefined : await costsFrom(costs, schedule, costed),
    steps: options.integer('steps'),
    trajectory: options.choice('trajectory', trajectoryNames),
    timesteps: options.numbers('timesteps'),
    tStart: options.number('t-start'),
    tEnd: options.number('t-end'),
    end: options.choice('end', ['data', 'first']),
    eta: options.number('eta'),
    clip: parseClip(options.string('clip')),
    variance: options.choice('variance', ['beta', 'beta-tilde', 'learned']),
    gamma: gamma === undefined ? undefined : await readGammaTable(gamma),
    lastNoiseClip: lastNoise === 'none' ? null : options.number('last-noise-clip'),
    prediction: options.choice('prediction', predictionNames),
    avgCov: options.flag('avg-cov') || undefined,
    order: options.integer('order'),
    solverType: options.choice('solver-type', ['midpoint', 'taylor']),
    lowerOrderFinal: parseLowerOrder(options.choice('lower-order-final', ['true', 'always', 'false'])),
    denoiseToZero: options.flag('denoise-to-zero') || undefined,
    variant: options.choice('variant', ['bh1', 'bh2']),
    form: options.choice('form', ['data', 'noise']),
    thirdOrder: options.choice('third-order', ['exact', 'published']),
    basis: options.choice('basis', ['time', 'log-ratio']),
    solver: options.choice('solver', ['euler', 'rk45']),
    atol: options.number('atol'),
    rtol: options.number('rtol'),
    snr: options.number('snr'),
    batchNorm: options.choice('batch-norm', ['sample', 'reference']),
  });
}
