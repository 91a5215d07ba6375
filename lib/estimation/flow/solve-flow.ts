import { at, elementCount } from '../../base/arrays.js';
import type { HostContext } from '../../program/host-context.js';
import { AdaptiveFlow, type Slope } from '../../samplers/numerics/adaptive-flow.js';
import { pushNoiseForward } from '../../samplers/numerics/evaluation.js';
import type { ErrorControl } from '../../samplers/options.js';
import type { Prediction } from '../../schedule/defaults.js';
import { noiseLevel, type NoiseLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';

/** Path of the flow, and its tolerances. */
export interface FlowPath {
  schedule: NoiseSchedule;
  /** Meaning of the network's output. Default: the schedule's. */
  prediction?: Prediction | undefined;
  /** Times of the data and of the prior. */
  from: number;
  to: number;
  control: ErrorControl;
}

/** The density of each state of a batch. */
export interface FlowDensities {
  /** Logarithm ln p of each state, in nats. */
  logDensity: Float64Array;
  /** Number of evaluations of the network and its derivative for the batch. */
  evaluations: number;
}

/** A network is not told of less noise than it was trained with. */
function toldLevel(schedule: NoiseSchedule, time: number): NoiseLevel {
  return { ...noiseLevel(schedule, time), networkTime: schedule.networkTime(Math.max(time, schedule.cleanest)) };
}

/**
 * The probability flow and, beside each state, the integral of its divergence: with a probe v, -rate / 2 |v|^2 + diffusion / (2 sigma) v (J v), J the
 * Jacobian of the noise prediction, has the divergence's mean (Hutchinson; Song et al. 2021, equations 39 and 40).
 */
function slopeOf(context: HostContext, { schedule, prediction }: FlowPath, probe: string, count: () => void): Slope {
  return async (state, times, target) => {
    const levels = times.map((time) => toldLevel(schedule, time));
    await pushNoiseForward(context, { schedule, prediction }, levels, state, probe, 'noise', 'noise tangent');
    count();
    const drifts = levels.map(({ time }) => -0.5 * schedule.rate(time));
    const scores = levels.map(({ time, sigma }) => (0.5 * schedule.diffusion(time)) / sigma);
    await context.linearCombination(target, [
      [drifts, state],
      [scores, 'noise'],
    ]);
    const squares = await context.reduce('sum-squares', probe);
    const products = await context.reduce('dot', probe, 'noise tangent');
    return drifts.map((drift, n) => drift * at(squares, n) + at(scores, n) * at(products, n));
  };
}

/**
 * Computes densities of the states in the tensor `x`, which ends as the prior's. `probe` names the tensor of probes, one per
 * sample, the same for the whole path.
 */
export async function solveFlow(context: HostContext, path: FlowPath, probe: string): Promise<FlowDensities> {
  let evaluations = 0;
  const slope = slopeOf(context, path, probe, () => ++evaluations);
  const changes = await new AdaptiveFlow(context, slope, path.control, path.from, path.to).run();
  const squares = await context.reduce('sum-squares', 'x');
  const variance = path.schedule.initialScale(path.to) ** 2;
  const dimensions = elementCount(context.shape) / context.batch;
  const logDensity = Float64Array.from(squares, (square, n) => {
    const prior = -0.5 * (dimensions * Math.log(2 * Math.PI * variance) + square / variance);
    return prior + at(changes ?? [], n);
  });
  return { logDensity, evaluations };
}
