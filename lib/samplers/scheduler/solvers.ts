// Solvers of the probability flow in the variance-preserving state: DPM-Solver, UniPC and DEIS.
import { at } from '../../base/arrays.js';
import { roundHalfEven, solverTimes, type Spacing } from '../../schedule/spacing.js';
import type { GivenLevel } from '../../schedule/noise-level.js';
import type { Trajectory } from '../../schedule/trajectory.js';
import { deis } from '../families/deis.js';
import {
  dpmSolver2,
  dpmSolver3,
  dpmSolverPlusPlus2S,
  dpmSolverPlusPlus3S,
  dpmSolverPlusPlus3SSde,
} from '../families/dpm-solver.js';
import {
  dpmSolver2M,
  dpmSolver2MSde,
  dpmSolver3M,
  dpmSolverPlusPlus2M,
  dpmSolverPlusPlus2MSde,
  dpmSolverPlusPlus3M,
  dpmSolverPlusPlus3MSde,
} from '../families/multistep.js';
import { unipc } from '../families/unipc.js';
import type { SamplerOptions } from '../options.js';
import type { Sampler } from '../sampler.js';
import type { SchedulerFields, SigmaSpacing } from './fields.js';
import { evenRatios, levelsTo, spreadRatios, trajectoryOf, type SigmaLevel } from './levels.js';
import { lowerForNoWidth, refuseRises } from './degenerate-steps.js';
import { thresholdOption, type Translate } from './run.js';
import { SigmaTable } from './sigma-table.js';

/** Rules of levels that differ between these classes. */
interface LevelRules {
  spacing: Spacing;
  offset: number;
  sigmas: SigmaSpacing | null;
  /** Rounds the time of a spread level to an integer. */
  whole: (time: number) => number;
  /** Minimum half log-SNR in use; -Infinity: all. */
  leastLogSnr: number;
}

interface SolverLevels {
  trajectory: Trajectory;
  levels: SigmaLevel[];
  table: SigmaTable;
}

/** Makes ratios of a spacing in the noise. Lu's are even in the table's logarithms, float32, without `sigma_max`. */
function solverRatios(fields: SchedulerFields, table: SigmaTable, sigmas: SigmaSpacing, steps: number): number[] {
  const { logarithms } = table;
  if (sigmas === 'lu') return evenRatios(at(logarithms, logarithms.length - 1), at(logarithms, 0), steps);
  const { most, least } = fields.spreadEnds(table);
  return spreadRatios(sigmas, most, least, steps);
}

function levelsOf(fields: SchedulerFields, steps: number, rules: LevelRules): SolverLevels {
  const { schedule } = fields;
  const table = new SigmaTable(schedule);
  const { spacing, offset, sigmas, whole } = rules;
  if (sigmas === null) {
    const used = table.ratios.filter((ratio) => -Math.log(ratio) >= rules.leastLogSnr).length;
    const trained = schedule.steps;
    const times = fields.times(() => solverTimes(spacing, { count: steps, trained, offset }, used));
    return { trajectory: spacing, levels: times.map((time) => ({ ratio: table.ratioAt(time), time })), table };
  }
  const ratios = solverRatios(fields, table, sigmas, steps);
  const trajectory = trajectoryOf(sigmas, spacing);
  return { trajectory, levels: ratios.map((ratio) => ({ ratio, time: whole(table.timeOf(ratio)) })), table };
}

/** Chooses how most classes round the times of spread levels to integers. */
function wholeTime(sigmas: SigmaSpacing | null): (time: number) => number {
  return sigmas === 'karras' ? roundHalfEven : Math.trunc;
}

/** Reads `solver_order` of a class whose orders from 3 on are its third. */
function thirdAtMost({ config }: SchedulerFields): number {
  return Math.min(config.integer('solver_order', 2, { least: 1, most: 1000 }), 3);
}

/** Reads `solver_order`, up to the class's maximum. */
function orderOf({ config }: SchedulerFields, absent: number, most: number): number {
  return config.integer('solver_order', absent, { least: 1, most });
}

/** Number of steps below which diffusers lowers the last orders. */
const fewSteps = 15;

function lowerOrders({ config }: SchedulerFields, steps: number): 'always' | 'last' | false {
  if (config.boolean('lower_order_final', true) && steps < fewSteps) return 'always';
  return config.boolean('euler_at_final', false) ? 'last' : false;
}

const algorithms = ['dpmsolver', 'dpmsolver++', 'sde-dpmsolver', 'sde-dpmsolver++'] as const;
type Algorithm = (typeof algorithms)[number];

/** Reads `algorithm_type`; DEIS's stands for the default. */
function algorithmOf(fields: SchedulerFields, supported: readonly Algorithm[]): Algorithm {
  return fields.choiceOr('algorithm_type', 'dpmsolver++', supported, ['deis']);
}

/** Reads `solver_type` in names of this package; UniPC's and DEIS's stand for the default. */
export function solverTypeOf(fields: SchedulerFields): 'midpoint' | 'taylor' {
  const type = fields.choiceOr('solver_type', 'midpoint', ['midpoint', 'heun'], ['logrho', 'bh1', 'bh2']);
  return type === 'heun' ? 'taylor' : 'midpoint';
}

/** Finds the multistep sampler of an algorithm, of third order or of the lower ones. */
export function multistepOf({ config }: SchedulerFields, algorithm: Algorithm, order: number): Sampler {
  const isThird = order === 3;
  switch (algorithm) {
    case 'dpmsolver':
      return isThird ? dpmSolver3M : dpmSolver2M;
    case 'dpmsolver++':
      return isThird ? dpmSolverPlusPlus3M : dpmSolverPlusPlus2M;
    case 'sde-dpmsolver++':
      return isThird ? dpmSolverPlusPlus3MSde : dpmSolverPlusPlus2MSde;
    case 'sde-dpmsolver':
      if (isThird) throw config.unsupported('solver_order', '1 and 2 with algorithm_type sde-dpmsolver');
      return dpmSolver2MSde;
  }
}

/** Makes the options that DPM-Solver's multistep classes share. */
export function multistepOptions(
  fields: SchedulerFields,
  levels: readonly GivenLevel[],
  order: number,
  sigmas: SigmaSpacing | null,
): SamplerOptions {
  const solverType = solverTypeOf(fields);
  const asked = lowerOrders(fields, levels.length - 1);
  const mostWithoutWidth = solverType === 'midpoint' ? 2 : 1;
  return {
    order,
    solverType,
    ...(order === 3 && { thirdOrder: 'published' as const }),
    lowerOrderFinal: lowerForNoWidth(fields, { levels, sigmas, order, lowerOrderFinal: asked, mostWithoutWidth }),
    clip: thresholdOption(fields),
  };
}

/** Finds the ratio after the last level. The noise form cannot go to the data. */
function finalRatio(fields: SchedulerFields, least: number, isNoiseForm: boolean): number {
  const last = fields.finalSigma();
  if (last === 'zero' && isNoiseForm) {
    throw fields.config.error('final_sigmas_type', 'sigma_min for a solver of the noise prediction');
  }
  return last === 'zero' ? 0 : least;
}

export const translateMultistep: Translate = (fields, steps) => {
  const { config } = fields;
  fields.refuseFlow();
  const sigmas = fields.sigmaOrLuSpacing();
  const cosine = config.raw('beta_schedule') === 'squaredcos_cap_v2';
  const rounds = (sigmas === 'karras' || sigmas === 'lu') && !cosine;
  const { trajectory, levels, table } = levelsOf(fields, steps, {
    ...fields.spacing('linspace'),
    sigmas,
    whole: rounds ? roundHalfEven : Math.trunc,
    leastLogSnr: config.numberOrInfinite('lambda_min_clipped', -Infinity),
  });
  const algorithm = algorithmOf(fields, algorithms);
  const order = thirdAtMost(fields);
  const last = finalRatio(fields, table.least, !algorithm.endsWith('++'));
  const given = levelsTo(fields.schedule, levels, last);
  if (algorithm.startsWith('sde')) refuseRises(fields, given);
  return {
    sampler: multistepOf(fields, algorithm, order),
    trajectory,
    // Fewer levels than requested may remain without the noisiest times.
    options: { levels: given, ...multistepOptions(fields, given, order, sigmas) },
  };
};

/** Finds the single-step sampler of an algorithm and an order; for order 1 it is the multistep one. */
function singleStepOf(algorithm: Algorithm, order: number): Sampler {
  if (algorithm === 'sde-dpmsolver++') return dpmSolverPlusPlus3SSde;
  if (algorithm === 'dpmsolver') return order === 1 ? dpmSolver2M : order === 2 ? dpmSolver2 : dpmSolver3;
  return order === 1 ? dpmSolverPlusPlus2M : order === 2 ? dpmSolverPlusPlus2S : dpmSolverPlusPlus3S;
}

export const translateSinglestep: Translate = (fields, steps) => {
  const { config } = fields;
  fields.refuseFlow();
  const sigmas = fields.sigmaSpacing();
  const { trajectory, levels, table } = levelsOf(fields, steps, {
    spacing: 'linspace',
    offset: 0,
    sigmas,
    whole: wholeTime(sigmas),
    leastLogSnr: config.numberOrInfinite('lambda_min_clipped', -Infinity),
  });
  const algorithm = algorithmOf(fields, ['dpmsolver', 'dpmsolver++', 'sde-dpmsolver++']);
  const order = orderOf(fields, 2, 3);
  const isNoiseForm = algorithm === 'dpmsolver';
  if (isNoiseForm && config.boolean('thresholding', false)) {
    throw config.unsupported('thresholding', 'false with algorithm_type dpmsolver');
  }
  const isStochastic = algorithm === 'sde-dpmsolver++';
  const given = levelsTo(fields.schedule, levels, finalRatio(fields, table.least, isNoiseForm));
  if (isStochastic) refuseRises(fields, given);
  return {
    sampler: singleStepOf(algorithm, order),
    trajectory,
    options: {
      levels: given,
      ...((isStochastic || order === 1) && { order }),
      ...(isStochastic && order === 3 && { thirdOrder: 'published' as const }),
      solverType: solverTypeOf(fields),
      lowerOrderFinal: order > 1 && config.boolean('lower_order_final', false),
      clip: thresholdOption(fields),
    },
  };
};

/** Makes levels of UniPC and DEIS, and the ratio they end at: spread levels end at their own least, not at the table's. */
function levelsAndLeast(
  fields: SchedulerFields,
  steps: number,
): { trajectory: Trajectory; levels: SigmaLevel[]; least: number; sigmas: SigmaSpacing | null } {
  const sigmas = fields.sigmaSpacing();
  const whole = wholeTime(sigmas);
  const rules = { ...fields.spacing('linspace'), sigmas, whole, leastLogSnr: -Infinity };
  const { trajectory, levels, table } = levelsOf(fields, steps, rules);
  return { trajectory, levels, least: sigmas === null ? table.least : at(levels, levels.length - 1).ratio, sigmas };
}

export const translateUniPc: Translate = (fields, steps) => {
  const { config } = fields;
  fields.refuseFlow();
  fields.only('use_dynamic_shifting', false);
  fields.only('shift_terminal', null);
  fields.only('solver_p', null);
  const { trajectory, levels, least, sigmas } = levelsAndLeast(fields, steps);
  const isNoiseForm = !config.boolean('predict_x0', true);
  const disabled = config.integers('disable_corrector', [], { least: 0, most: 1_000_000 });
  const given = levelsTo(fields.schedule, levels, finalRatio(fields, least, isNoiseForm));
  const order = orderOf(fields, 2, 4);
  const lowerOrderFinal = lowerForNoWidth(fields, {
    levels: given,
    sigmas,
    order,
    lowerOrderFinal: config.boolean('lower_order_final', true) && 'always',
    mostWithoutWidth: 2,
  });
  return {
    sampler: unipc,
    trajectory,
    options: {
      levels: given,
      order,
      variant: fields.choiceOr('solver_type', 'bh2', ['bh1', 'bh2'], ['midpoint', 'heun', 'logrho']),
      form: isNoiseForm ? 'noise' : 'data',
      lowerOrderFinal,
      // Diffusers has no thresholds on the noise.
      clip: isNoiseForm ? 'none' : thresholdOption(fields),
      ...(disabled.length > 0 && { disableCorrector: disabled }),
    },
  };
};

export const translateDeis: Translate = (fields, steps) => {
  fields.refuseFlow();
  fields.choiceOr('algorithm_type', 'deis', ['deis'], ['dpmsolver', 'dpmsolver++']);
  fields.choiceOr('solver_type', 'logrho', ['logrho'], ['midpoint', 'heun', 'bh1', 'bh2']);
  const { trajectory, levels, least, sigmas } = levelsAndLeast(fields, steps);
  const given = levelsTo(fields.schedule, levels, least);
  const order = thirdAtMost(fields);
  const lowerOrderFinal = lowerForNoWidth(fields, {
    levels: given,
    sigmas,
    order,
    lowerOrderFinal: lowerOrders(fields, levels.length),
    mostWithoutWidth: 3,
  });
  return {
    sampler: deis,
    trajectory,
    options: {
      levels: given,
      order,
      basis: 'log-ratio',
      lowerOrderFinal,
      clip: thresholdOption(fields),
    },
  };
};
