import type { HostContext, Term } from '../../program/host-context.js';
import type { HostProgram } from '../../program/program.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { lastNoiseDeviation } from '../../variance/reverse-variance.js';
import { finalNoise, levelOptions, reverseOptions } from '../common-options.js';
import { lanczosRoot } from '../numerics/lanczos.js';
import { jumpsOf } from '../numerics/reverse-step.js';
import { initialScaleOf, refuseBoth } from '../numerics/solver-plan.js';
import {
  covarianceOperator,
  covarianceStep,
  moveToMean,
  scaleByDiagonal,
  scaleInput,
  type CovarianceStep,
} from '../numerics/step-covariance.js';
import { integerOption, switchOption } from '../option.js';
import { clipOf, type SamplerOptions } from '../options.js';
import { defineSampler } from '../sampler.js';

const standardSteps = 3;
const standardLastNoise = 2;
const mostLanczosSteps = 20;
const mostProbes = 1000;

/** Method that gives the noise of a step its covariance. */
type Root = { kind: 'lanczos'; steps: number; symmetric: boolean } | { kind: 'diagonal'; probes: number };

/** Checks the options. @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming options that contradict each other. */
function rootOf({ lanczosSteps, symmetric, diagonal }: SamplerOptions): Root {
  if (diagonal === undefined) {
    return { kind: 'lanczos', steps: lanczosSteps ?? standardSteps, symmetric: symmetric ?? false };
  }
  if (lanczosSteps !== undefined) throw refuseBoth('diagonal', 'lanczosSteps');
  if (symmetric !== undefined) throw refuseBoth('diagonal', 'symmetric');
  return { kind: 'diagonal', probes: diagonal };
}

/** Makes the steps of a trajectory or of given levels: without `finalNoise` none has noise into the data; that of the last noisy step is limited. */
function stepsOf(schedule: NoiseSchedule, options: SamplerOptions): CovarianceStep[] {
  const clip = clipOf(schedule, options.clip);
  const jumps = jumpsOf(schedule, options, 1);
  const isNoisy = jumps.map(({ s }) => s !== 0 || options.finalNoise === true);
  const levels = options.lastNoiseClip === undefined ? standardLastNoise : options.lastNoiseClip;
  const limit = levels === null ? Infinity : lastNoiseDeviation(levels, schedule.dataWidth) ** 2;
  const last = isNoisy.lastIndexOf(true);
  return jumps.map((jump, i) =>
    covarianceStep(schedule, options, {
      jump,
      clip,
      isNoisy: isNoisy[i] === true,
      most: i === last ? limit : Infinity,
    }),
  );
}

/** Makes terms that add up to the noise of a step; leaves the network's output in `out`. */
async function noiseTerms(context: HostContext, step: CovarianceStep, root: Root, record: number): Promise<Term[]> {
  await context.noise('z', record);
  if (root.kind === 'diagonal') {
    await scaleByDiagonal(context, step, root.probes, record);
    return [[1, 'z']];
  }
  return lanczosRoot(context, covarianceOperator(context, step, root.symmetric), 'z', root.steps, step.limits);
}

async function take(context: HostContext, step: CovarianceStep, root: Root, record: number): Promise<void> {
  await scaleInput(context, step);
  if (!step.isNoisy) {
    await context.evaluate('input', step.jump.networkTime, 'out');
    await moveToMean(context, step);
    return;
  }
  const noise = await noiseTerms(context, step, root, record);
  await moveToMean(context, step);
  await context.linearCombination('x', [[1, 'x'], ...noise]);
}

/**
 * DDPM whose every step has the full covariance V I + gamma^2 Cov[x_0 | x_t] instead of a scalar or a diagonal (Bao et al.
 * 2022 derive but do not use it), without a matrix: Cov is the derivative of the data prediction, and the root of the
 * covariance times noise comes from `lanczosSteps` (3) derivatives along a direction. No head and no table is needed. A step
 * costs that many derivatives, each about two evaluations, or twice as many with `symmetric`, which averages the derivative
 * with its transpose. `diagonal` takes the diagonal alone instead, as that many random probes estimate it: a reference for
 * heads. The last noise is limited to 2 grey levels in every direction unless `lastNoiseClip` says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option. A run throws `ERR_DPM_UNSUPPORTED` if the model has no
 * derivative: with guidance, of models in JavaScript, on a device without derivatives.
 */
export const fullDdpm = defineSampler(
  {
    name: 'full-ddpm',
    summary: 'DDPM with the full covariance of every step, from derivatives of the network',
    kind: 'host',
    options: {
      ...reverseOptions,
      ...levelOptions,
      finalNoise,
      lanczosSteps: integerOption('derivatives a step, each about two evaluations, default 3', 1, mostLanczosSteps),
      symmetric: switchOption('the derivative is averaged with its transpose, for twice the derivatives'),
      diagonal: integerOption('the diagonal of the covariance alone, from so many probes a step', 1, mostProbes),
    },
    head: null,
    needsGamma: false,
    bound: 'the determinants of its covariances are not computed',
  },
  (schedule, options): HostProgram => {
    const root = rootOf(options);
    const steps = stepsOf(schedule, options);
    return {
      kind: 'host',
      initialScale: initialScaleOf(schedule, options),
      head: null,
      async run(context) {
        for (const [record, step] of steps.entries()) {
          await take(context, step, root, record);
          context.progress(record + 1, steps.length);
        }
      },
    };
  },
);
