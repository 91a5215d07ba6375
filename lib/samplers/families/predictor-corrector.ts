import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import type { HostContext } from '../../program/host-context.js';
import { transitions, type Transition } from '../../schedule/trajectory.js';
import { batchNorm, sdeOptions } from '../common-options.js';
import { evaluateNoise } from '../numerics/host-evaluation.js';
import { noiseLevel, type EvaluationOptions, type NoiseLevel } from '../numerics/noise-level.js';
import { sdeEvaluation } from '../numerics/sde.js';
import { positiveOption } from '../option.js';
import { defineSampler, noBound } from '../sampler.js';
import { reverseDiffusionStep } from './reverse-diffusion.js';

/** Draws of a step's noise: the predictor's is the first, as in other samplers. */
const [predictorDraw, correctorDraw] = [0, 1];

interface Langevin {
  snr: number;
  /** Norms over the batch, as in the authors' code, instead of each sample's own. */
  shared: boolean;
}

/** Norms of every sample, or their mean for all. */
function norms(squares: Float64Array, shared: boolean): Float64Array {
  const each = squares.map(Math.sqrt);
  return shared ? each.fill(each.reduce((sum, norm) => sum + norm, 0) / each.length) : each;
}

/** One Langevin step at a noise level (Song et al. 2021, algorithm 5): x <- x + xi score + sqrt(2 xi) z. */
async function correct(
  context: HostContext,
  options: EvaluationOptions,
  level: NoiseLevel,
  kept: number,
  { snr, shared }: Langevin,
  record: number,
): Promise<void> {
  await evaluateNoise(context, options, new Array<NoiseLevel>(context.batch).fill(level), 'x', 'noise');
  await context.noise('z', record, correctorDraw);
  const noise = norms(await context.reduce('sum-squares', 'z'), shared);
  const gradient = norms(await context.reduce('sum-squares', 'noise'), shared).map((norm) => norm / level.sigma);
  // Where there is no gradient there is nothing to correct.
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
  level: NoiseLevel,
  s: number,
  record: number,
): Promise<void> {
  const { state, noise, deviation } = reverseDiffusionStep(options.schedule, level, s);
  await evaluateNoise(context, options, new Array<NoiseLevel>(context.batch).fill(level), 'x', 'noise');
  await context.linearCombination('x', [
    [state, 'x'],
    [noise, 'noise'],
  ]);
  if (s === 0) return;
  await context.noise('z', record, predictorDraw);
  await context.linearCombination('x', [
    [1, 'x'],
    [deviation, 'z'],
  ]);
}

async function run(
  context: HostContext,
  options: EvaluationOptions,
  jumps: readonly Transition[],
  langevin: Langevin,
): Promise<void> {
  const { schedule } = options;
  for (const [record, { s, t }] of jumps.entries()) {
    const level = noiseLevel(schedule, t);
    await correct(context, options, level, schedule.alphaBarBetween(s, t), langevin, record);
    await predict(context, options, level, s, record);
    context.progress(record + 1, jumps.length);
  }
}

/**
 * Predictor-corrector sampling (Song et al. 2021, algorithm 3): a Langevin step of signal-to-noise ratio `snr` (0.16) and a
 * jump of reverse diffusion, two evaluations for each of floor(steps / 2) times. The norms in the Langevin step are each
 * sample's own; `batchNorm: 'reference'` takes their means over the batch, as the authors' code does.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export const predictorCorrector = defineSampler(
  {
    name: 'predictor-corrector',
    summary: 'reverse diffusion with Langevin corrections (Song et al. 2021)',
    kind: 'host',
    options: {
      ...sdeOptions,
      snr: positiveOption('signal-to-noise ratio of the Langevin corrector, default 0.16'),
      batchNorm,
    },
    head: null,
    needsGamma: false,
    bound: noBound.noChain,
  },
  (schedule, options) => {
    const { steps, snr = 0.16 } = options;
    if (steps === undefined || !Number.isInteger(steps) || steps < 2) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `steps is ${steps ?? 'missing'}: predictor-corrector needs at least 2 evaluations`,
      );
    }
    const plan = sdeEvaluation(schedule, options);
    const jumps = transitions(plan.schedule, { ...options, steps: Math.floor(steps / 2) });
    const langevin = { snr, shared: options.batchNorm === 'reference' };
    return {
      kind: 'host',
      initialScale: plan.schedule.initialScale(options.tStart ?? plan.schedule.noisiest),
      head: null,
      run: (context) => run(context, plan, jumps, langevin),
    };
  },
);
