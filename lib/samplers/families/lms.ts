import { at } from '../../base/arrays.js';
import { noiseRatio, type NoiseLevel } from '../../schedule/noise-level.js';
import { dataSolverOptions, timesteps } from '../common-options.js';
import { adamsBashforthProgram, lagrangeIntegrals } from '../numerics/adams-bashforth.js';
import { solverPlan } from '../numerics/solver-plan.js';
import { integerOption } from '../option.js';
import { defineSampler, solverFacts } from '../sampler.js';

/** Integrates the polynomials in sigma / alpha through past levels, newest first, over the step to the next. */
function integrals(past: readonly NoiseLevel[], to: NoiseLevel): number[] {
  const nodes = past.map(noiseRatio);
  const [start, end] = [at(nodes, 0), noiseRatio(to)];
  const [middle, half] = [(start + end) / 2, (end - start) / 2];
  return lagrangeIntegrals(nodes, (node) => ({ point: middle + half * node, density: half }));
}

/**
 * The linear multistep method of k-diffusion and diffusers: Adams-Bashforth steps of `order` 1 to 4, 4 by default, on the
 * probability flow in sigma / alpha, down to the data, lower orders in the first steps. By default Karras' spacing.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const lms = defineSampler(
  solverFacts('lms', 'linear multistep on the probability flow (Crowson 2022)', {
    ...dataSolverOptions,
    timesteps,
    order: integerOption('order, default 4', 1, 4),
  }),
  (schedule, options) => {
    const { order = 4 } = options;
    const plan = solverPlan(schedule, options, { form: 'noise', trajectory: 'karras', toData: true });
    return adamsBashforthProgram(plan, { order, orderOfStep: (i) => Math.min(order, i), integrals });
  },
);
