import { at } from '../../base/arrays.js';
import { stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import { lowerOrderFinal, solverOptions, solverType, thirdOrder } from '../common-options.js';
import { evaluation, type SolverForm } from '../numerics/evaluation.js';
import type { NoiseLevel } from '../../schedule/noise-level.js';
import { ringUpdate, solverStep, type ExponentialStep, type SolverType } from '../numerics/flow-steps.js';
import { scalarVariance, solverLevels, solverPlan, solverProgram, type SolverPlan } from '../numerics/solver-plan.js';
import { integerOption } from '../option.js';
import type { SamplerOptions } from '../options.js';
import { defineSampler, solverFacts, type Sampler, type SamplerFacts } from '../sampler.js';

/** Number of steps below which the authors of DPM-Solver lower the order of the last ones. */
const fewSteps = 10;

/** Computes the order of step i = 1..steps: as the history allows, and lower at the end by `lowerOrderFinal`. */
export function orderOfStep(
  i: number,
  { evaluations: steps, toData }: Pick<SolverPlan, 'evaluations' | 'toData'>,
  order: number,
  lowerOrderFinal: SamplerOptions['lowerOrderFinal'],
  publishedBelow = fewSteps,
): number {
  const possible = Math.min(order, i);
  if (i === steps && (toData || lowerOrderFinal === 'last')) return 1;
  const lowers = lowerOrderFinal === 'always' || ((lowerOrderFinal ?? true) === true && steps < publishedBelow);
  return lowers ? Math.min(possible, steps + 1 - i) : possible;
}

/** Coefficients of m_c, m_{c-1}, m_{c-2} in one multistep update. */
type PastWeights = readonly number[];

function secondOrderWeights(step: ExponentialStep, ratio: number, type: SolverType): PastWeights {
  const difference = (type === 'midpoint' ? 0.5 * step.first : step.slope) / ratio;
  return [step.first + difference, -difference];
}

/** Computes weights. `factor`: of the second difference; 2 for order 3, 1 as published. */
function thirdOrderWeights(step: ExponentialStep, [r0, r1]: readonly [number, number], factor: number): PastWeights {
  // Formula x = P1 + slope (D_0 + r_0 Delta) + curvature factor Delta, Delta = (D_0 - D_1) / (r_0 + r_1).
  const delta = (step.slope * r0 + step.curvature * factor) / (r0 + r1);
  const newer = (step.slope + delta) / r0;
  const older = -delta / r1;
  return [step.first + newer, older - newer, -older];
}

/** Computes half log-SNR from level i - back - 1 to i - back in units of the step h. */
function pastRatio(levels: readonly NoiseLevel[], i: number, back: number, h: number): number {
  return (at(levels, i - back).logSnr - at(levels, i - back - 1).logSnr) / h;
}

interface MultistepOptions {
  type: SolverType;
  /** Weight of the second difference. */
  factor: number;
}

function pastWeights(
  levels: readonly NoiseLevel[],
  i: number,
  step: ExponentialStep,
  order: number,
  { type, factor }: MultistepOptions,
): PastWeights {
  if (order === 1) return [step.first];
  const newest = pastRatio(levels, i, 0, step.h);
  if (order === 2) return secondOrderWeights(step, newest, type);
  return thirdOrderWeights(step, [newest, pastRatio(levels, i, 1, step.h)], factor);
}

const secondOrderOptions = {
  ...solverOptions,
  order: integerOption('order, default 2', 1, 2),
  lowerOrderFinal,
  solverType,
};

const thirdOrderOptions = {
  ...secondOrderOptions,
  order: integerOption('order, default 3', 1, 3),
  thirdOrder,
};

/** Kind of a multistep solver: its integrand and weights. */
interface MultistepKind {
  form: SolverForm;
  order: 2 | 3;
  /** True for the reverse SDE instead of the probability flow. */
  stochastic?: boolean;
  /** Default of the solver's `trajectory`. Default `uniform`. */
  trajectory?: 'uniform' | 'logsnr';
}

function multistep<const F extends SamplerFacts>(
  facts: F,
  { form, order: most, stochastic = false, trajectory = 'uniform' }: MultistepKind,
): Sampler<F, StepProgram> {
  return defineSampler(facts, (schedule, options: SamplerOptions) => {
    const plan = solverPlan(schedule, options, { form, trajectory });
    const { order = most, solverType: type = 'midpoint', thirdOrder: third = 'exact' } = options;
    const own: MultistepOptions = { type, factor: third === 'published' ? 1 : 2 };
    const levels = solverLevels(plan, plan.evaluations);
    const records = levels.slice(1).map((to, i) => {
      const from = at(levels, i);
      const step = solverStep(from, to, plan.form, stochastic ? third : 'none');
      const reached = orderOfStep(i + 1, plan, order, options.lowerOrderFinal);
      const weights = pastWeights(levels, i, step, reached, own);
      return stepRecord({
        ...evaluation(plan, from, plan.form, i % order),
        x: ringUpdate(step.scale, weights, i, order),
        variance: scalarVariance(step.deviation),
      });
    });
    return solverProgram(plan, records, at(levels, levels.length - 1));
  });
}

/**
 * The second-order multistep form of DPM-Solver, on the noise prediction; one evaluation a step, by default evenly in time.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolver2M = multistep(
  solverFacts(
    'dpm-solver-2m',
    'DPM-Solver(2M), multistep, of the noise prediction (Lu et al. 2022)',
    secondOrderOptions,
  ),
  { form: 'noise', order: 2 },
);

/**
 * The third-order multistep form of DPM-Solver, on the noise prediction; one evaluation a step, by default evenly in time.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolver3M = multistep(
  solverFacts(
    'dpm-solver-3m',
    'DPM-Solver(3M), multistep, of the noise prediction (Lu et al. 2022)',
    thirdOrderOptions,
  ),
  { form: 'noise', order: 3 },
);

/**
 * DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2), on the data prediction; one evaluation a step, by default evenly in time.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolverPlusPlus2M = multistep(
  solverFacts('dpm-solver++-2m', 'DPM-Solver++(2M), multistep (Lu et al. 2022b)', secondOrderOptions),
  { form: 'data', order: 2 },
);

/**
 * DPM-Solver++(3M), on the data prediction; one evaluation a step, by default evenly in time. Published code halves the
 * second difference and is of order 2 (`thirdOrder: 'published'`).
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolverPlusPlus3M = multistep(
  solverFacts('dpm-solver++-3m', 'DPM-Solver++(3M), multistep (Lu et al. 2022b)', thirdOrderOptions),
  { form: 'data', order: 3 },
);

/**
 * SDE-DPM-Solver++(2M): the second-order multistep solver of the reverse SDE on the data prediction (Lu et al. 2022b,
 * appendix); its first-order steps are DDPM with the posterior variance. By default evenly in time.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolverPlusPlus2MSde = multistep(
  solverFacts('dpm-solver++-2m-sde', 'SDE-DPM-Solver++(2M), with noise (Lu et al. 2022b)', secondOrderOptions),
  { form: 'data', order: 2, stochastic: true },
);

/**
 * SDE-DPM-Solver++(3M): the third-order solver with second differences, of order 2 in distribution as well. Published code
 * has the wrong sign before one half in their weight, and half the difference (`thirdOrder: 'published'`), and is of order 1.
 * By default evenly in log-SNR: evenly in time the last steps are so long that images of 25 steps stay noisy.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolverPlusPlus3MSde = multistep(
  solverFacts('dpm-solver++-3m-sde', 'SDE-DPM-Solver++(3M), with noise (Lu et al. 2022b)', thirdOrderOptions),
  { form: 'data', order: 3, stochastic: true, trajectory: 'logsnr' },
);

/**
 * SDE-DPM-Solver(2M): the second-order multistep solver of the reverse SDE on the noise prediction (Lu et al. 2022b,
 * appendix). By default evenly in log-SNR: evenly in time images of 25 steps are noise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const dpmSolver2MSde = multistep(
  solverFacts('dpm-solver-2m-sde', 'SDE-DPM-Solver(2M), of the noise prediction (Lu et al. 2022b)', secondOrderOptions),
  { form: 'noise', order: 2, stochastic: true, trajectory: 'logsnr' },
);
