import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import type { HostContext } from '../../program/host-context.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { levelJump } from '../../schedule/jump.js';
import { transitions, type Transition } from '../../schedule/trajectory.js';
import { batchNorm, levelOptions, sdeOptions } from '../common-options.js';
import { evaluateNoise, type EvaluationOptions } from '../numerics/evaluation.js';
import { levelSteps, noiseLevel, type NoiseLevel } from '../../schedule/noise-level.js';
import { sdeEvaluation, type SdeStep } from '../numerics/sde.js';
import { givenLevels, initialScaleOf } from '../numerics/solver-plan.js';
import { integerOption, positiveOption } from '../option.js';
import type { SamplerOptions } from '../options.js';
import { defineSampler, noBound } from '../sampler.js';
import { reverseDiffusionStep } from './reverse-diffusion.js';

/** Draws of a step's noise: the predictor's is the first, as in other samplers, then the correctors'. */
const [predictorDraw, correctorDraw] = [0, 1];

interface Langevin {
  snr: number;
  /** True for norms over the batch, as in the authors' code, instead of each sample's own. */
  shared: boolean;
  /** Number of corrections before every prediction. */
  steps: number;
}

/** Computes the norms of every sample, or their mean for all. */
function norms(squares: Float64Array, shared: boolean): Float64Array {
  const each = squares.map(Math.sqrt);
  return shared ? each.fill(each.reduce((sum, norm) => sum + norm, 0) / each.length) : each;
}

/** Makes one Langevin step at a noise level (Song et al. 2021, algorithm 5): x <- x + xi score + sqrt(2 xi) z. */
async function correct(
  context: HostContext,
  options: EvaluationOptions,
  { level, kept }: Stride,
  { snr, shared }: Langevin,
  { record, draw }: { record: number; draw: number },
): Promise<void> {
  await evaluateNoise(context, options, new Array<NoiseLevel>(context.batch).fill(level), 'x', 'noise');
  await context.noise('z', record, draw);
  const noise = norms(await context.reduce('sum-squares', 'z'), shared);
  const gradient = norms(await context.reduce('sum-squares', 'noise'), shared).map((norm) => norm / level.sigma);
  // Correction needs a gradient.
  const sizes = noise.map((norm, sample) =>
    at(gradient, sample) === 0 ? 0 : 2 * kept * ((snr * norm) / at(gradient, sample)) ** 2,
  );
  await context.linearCombination('x', [
    [1, 'x'],
    [sizes.map((size) => -size / level.sigma), 'noise'],
    [sizes.map((size) => Math.sqrt(2 * size)), 'z'],
  ]);
}

async function predict(
  context: HostContext,
  options: EvaluationOptions,
  { level, step: { state, noise, deviation }, isLast }: Stride,
  record: number,
): Promise<void> {
  await evaluateNoise(context, options, new Array<NoiseLevel>(context.batch).fill(level), 'x', 'noise');
  await context.linearCombination('x', [
    [state, 'x'],
    [noise, 'noise'],
  ]);
  if (isLast) return;
  await context.noise('z', record, predictorDraw);
  await context.linearCombination('x', [
    [1, 'x'],
    [deviation, 'z'],
  ]);
}

/** Level, and the predictor's jump from it; the last adds no noise. */
interface Stride {
  level: NoiseLevel;
  step: SdeStep;
  /** Kept power A_{t|s} of the jump. */
  kept: number;
  isLast: boolean;
}

/** Lists the jumps between the times of a trajectory. */
function timedStrides(schedule: NoiseSchedule, jumps: readonly Transition[]): Stride[] {
  return jumps.map(({ s, t }) => {
    const level = noiseLevel(schedule, t);
    const kept = schedule.alphaBarBetween(s, t);
    return { level, step: reverseDiffusionStep(schedule, level, s), kept, isLast: s === 0 };
  });
}

/** Lists the jumps between given levels. */
function givenStrides(schedule: NoiseSchedule, options: SamplerOptions): Stride[] {
  const steps = levelSteps(givenLevels(schedule, options), options.levels);
  return steps.map(({ from: level, to }, i) => {
    const { forwardVariance: variance } = levelJump(schedule, level, to, 1);
    const step = { state: 2 - level.alpha / to.alpha, noise: -variance / level.sigma, deviation: Math.sqrt(variance) };
    return { level, step, kept: (level.alpha / to.alpha) ** 2, isLast: i === steps.length - 1 };
  });
}

async function run(
  context: HostContext,
  options: EvaluationOptions,
  strides: readonly Stride[],
  langevin: Langevin,
): Promise<void> {
  for (const [record, stride] of strides.entries()) {
    for (let corrected = 0; corrected < langevin.steps; ++corrected) {
      await correct(context, options, stride, langevin, { record, draw: correctorDraw + corrected });
    }
    await predict(context, options, stride, record);
    context.progress(record + 1, strides.length);
  }
}

/**
 * Predictor-corrector sampling (Song et al. 2021, algorithm 3): a Langevin step of signal-to-noise ratio `snr` (0.16) and a
 * jump of reverse diffusion, two evaluations for each of floor(steps / 2) times (more with `correctorSteps` above 1). The
 * norms in the Langevin step are each sample's own; `batchNorm: 'reference'` takes their means over the batch, as the
 * authors' code does.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const predictorCorrector = defineSampler(
  {
    name: 'predictor-corrector',
    summary: 'reverse diffusion with Langevin corrections, for 100 steps or more (Song et al. 2021)',
    fewestSteps: 100,
    kind: 'host',
    options: {
      ...sdeOptions,
      ...levelOptions,
      snr: positiveOption('signal-to-noise ratio of the Langevin corrector, default 0.16'),
      correctorSteps: integerOption('corrections before every prediction, default 1', 0, 1000),
      batchNorm,
    },
    head: null,
    needsGamma: false,
    bound: noBound.noChain,
  },
  (schedule, options) => {
    const { snr = 0.16, correctorSteps: corrections = 1 } = options;
    const plan = sdeEvaluation(schedule, options);
    const strides =
      options.levels === undefined
        ? timedStrides(
            plan.schedule,
            transitions(plan.schedule, { ...options, steps: jumpCount(options, corrections) }),
          )
        : givenStrides(plan.schedule, options);
    const langevin = { snr, shared: options.batchNorm === 'reference', steps: corrections };
    return {
      kind: 'host',
      initialScale: initialScaleOf(plan.schedule, options),
      head: null,
      run: (context) => run(context, plan, strides, langevin),
    };
  },
);

/** Counts the jumps that fit into the evaluations. */
function jumpCount({ steps }: SamplerOptions, corrections: number): number {
  const each = corrections + 1;
  if (steps !== undefined && Number.isInteger(steps) && steps >= each) return Math.floor(steps / each);
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `steps is ${steps ?? 'missing'}: predictor-corrector needs at least ${each} evaluations`,
  );
}
