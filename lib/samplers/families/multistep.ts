import { at } from '../../base/arrays.js';
import { stepRecord } from '../../program/builder.js';
import type { StepProgram } from '../../program/program.js';
import type { LinearUpdate, RecordVariance } from '../../program/record.js';
import { lowerOrderFinal, solverOptions, solverType } from '../common-options.js';
import { combine, exponentialStep, type ExponentialStep } from '../numerics/exponential-step.js';
import { evaluation, type NoiseLevel, type SolverForm } from '../numerics/noise-level.js';
import type { SolverType } from '../numerics/single-step.js';
import { solverFacts } from '../numerics/solver-facts.js';
import { solverLevels, solverPlan, solverProgram } from '../numerics/solver-plan.js';
import { choiceOption } from '../option.js';
import type { SamplerOptions } from '../options.js';
import { defineSampler, type Sampler, type SamplerFacts } from '../sampler.js';

/** Below this many steps the authors of DPM-Solver lower the order of the last ones. */
const fewSteps = 10;

/** The order of step i = 1..steps: what the history allows, and lower at the end where `lowerOrderFinal` says so. */
export function orderOfStep(
  i: number,
  steps: number,
  order: number,
  lowerOrderFinal: SamplerOptions['lowerOrderFinal'],
  publishedBelow = fewSteps,
): number {
  const possible = Math.min(order, i);
  const lowers = lowerOrderFinal === 'always' || ((lowerOrderFinal ?? true) && steps < publishedBelow);
  return lowers ? Math.min(possible, steps + 1 - i) : possible;
}

/** Coefficients of m_c, m_{c-1}, m_{c-2} in one multistep update. */
type PastWeights = readonly number[];

function secondOrderWeights(step: ExponentialStep, ratio: number, type: SolverType): PastWeights {
  const difference = (type === 'midpoint' ? 0.5 * step.first : step.slope) / ratio;
  return [step.first + difference, -difference];
}

/** `factor`: of the second difference; 2 for order 3, 1 as published. */
function thirdOrderWeights(step: ExponentialStep, [r0, r1]: readonly [number, number], factor: number): PastWeights {
  // x = P1 + slope (D_0 + r_0 Delta) + curvature factor Delta, Delta = (D_0 - D_1) / (r_0 + r_1)
  const delta = (step.slope * r0 + step.curvature * factor) / (r0 + r1);
  const newer = (step.slope + delta) / r0;
  const older = -delta / r1;
  return [step.first + newer, older - newer, -older];
}

/** Half log-SNR from level i - back - 1 to i - back in units of the step h. */
function pastRatio(levels: readonly NoiseLevel[], i: number, back: number, h: number): number {
  return (at(levels, i - back).logSnr - at(levels, i - back - 1).logSnr) / h;
}

interface MultistepOptions {
  order: number;
  type: SolverType;
  /** Weight of the second difference. */
  factor: number;
  lowerOrderFinal: SamplerOptions['lowerOrderFinal'];
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

/** The weights of m_i, m_{i-1}, … as an update that finds them in a ring of `size` slots. */
export function ringUpdate(scale: number, weights: PastWeights, i: number, size: number): LinearUpdate {
  return combine(
    scale,
    weights.map((weight, back) => [(i - back) % size, weight] as const),
  );
}

const secondOrderOptions = { ...solverOptions, lowerOrderFinal, solverType };

const thirdOrderOptions = {
  ...secondOrderOptions,
  thirdOrder: choiceOption('second differences, default exact', ['exact', 'published']),
};

function multistep<const F extends SamplerFacts>(facts: F, form: SolverForm, order: number): Sampler<F, StepProgram> {
  return defineSampler(facts, (schedule, options: SamplerOptions) => {
    const plan = solverPlan(schedule, options, { form, trajectory: 'uniform' });
    const own: MultistepOptions = {
      order,
      type: options.solverType ?? 'midpoint',
      factor: options.thirdOrder === 'published' ? 1 : 2,
      lowerOrderFinal: options.lowerOrderFinal,
    };
    const levels = solverLevels(plan, plan.evaluations);
    const records = levels.slice(1).map((to, i) => {
      const from = at(levels, i);
      const step = exponentialStep(from, to, plan.form);
      const reached = orderOfStep(i + 1, plan.evaluations, order, own.lowerOrderFinal);
      const weights = pastWeights(levels, i, step, reached, own);
      return stepRecord({
        ...evaluation(plan, from, plan.form, i % order),
        x: ringUpdate(step.scale, weights, i, order),
      });
    });
    return solverProgram(plan, records, at(levels, levels.length - 1));
  });
}

/**
 * The second-order multistep form of DPM-Solver, on the noise prediction; one evaluation a step, by default evenly in time.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolver2M = multistep(
  solverFacts(
    'dpm-solver-2m',
    'DPM-Solver(2M), multistep, of the noise prediction (Lu et al. 2022)',
    secondOrderOptions,
  ),
  'noise',
  2,
);

/**
 * The third-order multistep form of DPM-Solver, on the noise prediction; one evaluation a step, by default evenly in time.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolver3M = multistep(
  solverFacts(
    'dpm-solver-3m',
    'DPM-Solver(3M), multistep, of the noise prediction (Lu et al. 2022)',
    thirdOrderOptions,
  ),
  'noise',
  3,
);

/**
 * DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2), on the data prediction; one evaluation a step, by default evenly in time.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolverPlusPlus2M = multistep(
  solverFacts('dpm-solver++-2m', 'DPM-Solver++(2M), multistep (Lu et al. 2022b)', secondOrderOptions),
  'data',
  2,
);

/**
 * DPM-Solver++(3M), on the data prediction; one evaluation a step, by default evenly in time. Published code halves the
 * second difference and is of order 2 (`thirdOrder: 'published'`).
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolverPlusPlus3M = multistep(
  solverFacts('dpm-solver++-3m', 'DPM-Solver++(3M), multistep (Lu et al. 2022b)', thirdOrderOptions),
  'data',
  3,
);

/** x = (sigma_e / sigma_c) e^-h x + alpha_e (kept m_c + weight D_0) + sigma_e sqrt(kept) z, kept = 1 - e^-2h. */
function stochasticStep(
  levels: readonly NoiseLevel[],
  i: number,
  order: number,
  type: SolverType,
): { scale: number; weights: PastWeights; variance: RecordVariance } {
  const [from, to] = [at(levels, i), at(levels, i + 1)];
  const h = to.logSnr - from.logSnr;
  const kept = -Math.expm1(-2 * h);
  const scale = (to.sigma / from.sigma) * Math.exp(-h);
  const variance: RecordVariance = { kind: 'scalar', deviation: to.sigma * Math.sqrt(kept) };
  if (order === 1) return { scale, weights: [to.alpha * kept], variance };
  const weight = type === 'midpoint' ? 0.5 * kept : 1 - kept / (2 * h);
  const difference = (to.alpha * weight) / pastRatio(levels, i, 0, h);
  return { scale, weights: [to.alpha * kept + difference, -difference], variance };
}

/**
 * SDE-DPM-Solver++(2M): the second-order multistep solver of the reverse SDE on the data prediction (Lu et al. 2022b,
 * appendix); its first-order steps are DDPM with the posterior variance. By default evenly in time.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const dpmSolverPlusPlus2MSde = defineSampler(
  solverFacts('dpm-solver++-2m-sde', 'SDE-DPM-Solver++(2M), with noise (Lu et al. 2022b)', secondOrderOptions),
  (schedule, options) => {
    const { solverType: type = 'midpoint', lowerOrderFinal: lowers } = options;
    const plan = solverPlan(schedule, options, { form: 'data', trajectory: 'uniform' });
    const levels = solverLevels(plan, plan.evaluations);
    const records = levels.slice(1).map((_, i) => {
      const order = orderOfStep(i + 1, plan.evaluations, 2, lowers);
      const { scale, weights, variance } = stochasticStep(levels, i, order, type);
      return stepRecord({
        ...evaluation(plan, at(levels, i), 'data', i % 2),
        x: ringUpdate(scale, weights, i, 2),
        variance,
      });
    });
    return solverProgram(plan, records, at(levels, levels.length - 1));
  },
);
