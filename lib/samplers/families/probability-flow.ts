import type { HostContext } from '../../program/host-context.js';
import type { HostProgram } from '../../program/program.js';
import { noiseLevel } from '../../schedule/noise-level.js';
import { continuousInterval } from '../../schedule/trajectory.js';
import { batchNorm, sdeOptions } from '../common-options.js';
import { AdaptiveFlow, type Slope } from '../numerics/adaptive-flow.js';
import { evaluateNoise, type EvaluationOptions } from '../numerics/evaluation.js';
import { sdeEvaluation, sdeProgram } from '../numerics/sde.js';
import { choiceOption, positiveOption } from '../option.js';
import { errorControl, type SamplerOptions } from '../options.js';
import { checkOptions, defineSampler, noBound } from '../sampler.js';

/** Makes the slope of the probability flow, -rate / 2 x + diffusion / (2 sigma) eps (Song et al. 2021, equation 13). */
function flowSlope(context: HostContext, options: EvaluationOptions): Slope {
  const { schedule } = options;
  return async (state, times, target) => {
    const levels = times.map((time) => noiseLevel(schedule, time));
    await evaluateNoise(context, options, levels, state, 'noise');
    await context.linearCombination(target, [
      [levels.map(({ time }) => -0.5 * schedule.rate(time)), state],
      [levels.map(({ time, sigma }) => (0.5 * schedule.diffusion(time)) / sigma), 'noise'],
    ]);
    return null;
  };
}

/** Makes the program of Dormand and Prince's method on the probability flow, from the noisiest time to the cleanest. */
function runge45Program(options: EvaluationOptions, request: SamplerOptions): HostProgram {
  const { schedule } = options;
  const control = errorControl(request, { atol: 1e-5, rtol: 1e-5 });
  const { start, end } = continuousInterval(schedule, request);
  return {
    kind: 'host',
    initialScale: schedule.initialScale(start),
    head: null,
    run: async (context) => {
      await new AdaptiveFlow(context, flowSlope(context, options), control, start, end).run();
    },
  };
}

const { steps: _, trajectory: __, ...spacingless } = sdeOptions;

/** Options of an adaptive method, which chooses its times itself. */
const adaptiveOptions = {
  ...spacingless,
  atol: positiveOption('absolute tolerance, default 1e-5'),
  rtol: positiveOption('relative tolerance, default 1e-5'),
  batchNorm,
};

const flowOptions = {
  ...sdeOptions,
  ...adaptiveOptions,
  solver: choiceOption('how the flow is integrated, default euler', ['euler', 'rk45']),
};

/**
 * The probability flow ODE (Song et al. 2021, equation 13).
 *
 * - `solver: 'euler'`, the default: `steps` times as those of Euler-Maruyama and a step to the data
 * - `solver: 'rk45'`: Dormand and Prince's adaptive method, every sample with steps of its own (`batchNorm:
 *   'reference'`: one step for all, as in the authors' code); `atol` and `rtol` are 1e-5 by default, and no `steps` are
 *   given
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const probabilityFlow = defineSampler(
  {
    name: 'probability-flow',
    summary: 'the probability flow ODE by Euler or adaptive Runge-Kutta steps (Song et al. 2021)',
    kind: 'either',
    options: flowOptions,
    head: null,
    needsGamma: false,
    bound: noBound.noChain,
  },
  (schedule, options) => {
    const { solver = 'euler', ...rest } = options;
    switch (solver) {
      case 'euler':
        checkOptions('probability-flow with euler', rest, sdeOptions);
        return sdeProgram(schedule, rest, (sde, { time, sigma }, s) => {
          const step = s - time;
          return {
            state: 1 - 0.5 * sde.rate(time) * step,
            noise: ((0.5 * sde.diffusion(time)) / sigma) * step,
            deviation: 0,
          };
        });
      case 'rk45': {
        checkOptions('probability-flow with rk45', rest, adaptiveOptions);
        return runge45Program(sdeEvaluation(schedule, rest), rest);
      }
    }
  },
);
