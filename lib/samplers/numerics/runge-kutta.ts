import { noiseLevel } from '../../schedule/noise-level.js';
import type { HostContext } from '../../program/host-context.js';
import type { HostProgram } from '../../program/program.js';
import { continuousInterval } from '../../schedule/trajectory.js';
import type { SamplerOptions } from '../options.js';
import { AdaptiveFlow, type Slope } from './adaptive-flow.js';
import { errorControl } from './error-control.js';
import { evaluateNoise } from './host-evaluation.js';
import type { EvaluationOptions } from './evaluation.js';

/** The probability flow, dx/dt = -rate / 2 x + diffusion / (2 sigma) eps (Song et al. 2021, equation 13). */
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

/** Dormand and Prince's method on the probability flow, from the noisiest time to the cleanest. */
export function runge45Program(options: EvaluationOptions, request: SamplerOptions): HostProgram {
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
