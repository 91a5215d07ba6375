import { unknownName } from '../base/checks.js';
import { analyticDdim } from './families/analytic-ddim.js';
import { analyticDdpm } from './families/analytic-ddpm.js';
import { ancestral } from './families/ancestral.js';
import { ddim } from './families/ddim.js';
import { ddpm } from './families/ddpm.js';
import { deis } from './families/deis.js';
import { dpmSolverAdaptive } from './families/dpm-solver-adaptive.js';
import {
  dpmSolver1,
  dpmSolver2,
  dpmSolver3,
  dpmSolverFast,
  dpmSolverPlusPlus2S,
  dpmSolverPlusPlus3S,
  dpmSolverPlusPlus3SSde,
  dpmSolverPlusPlusFast,
} from './families/dpm-solver.js';
import { euler } from './families/euler.js';
import { eulerMaruyama } from './families/euler-maruyama.js';
import { fullDdpm } from './families/full-ddpm.js';
import { heun } from './families/heun.js';
import { kdpm2 } from './families/kdpm2.js';
import { lcm } from './families/lcm.js';
import { lms } from './families/lms.js';
import {
  dpmSolver2M,
  dpmSolver2MSde,
  dpmSolver3M,
  dpmSolverPlusPlus2M,
  dpmSolverPlusPlus2MSde,
  dpmSolverPlusPlus3M,
  dpmSolverPlusPlus3MSde,
} from './families/multistep.js';
import { nprDdim } from './families/npr-ddim.js';
import { nprDdpm } from './families/npr-ddpm.js';
import { ocmDdim } from './families/ocm-ddim.js';
import { ocmDdpm } from './families/ocm-ddpm.js';
import { plms, pndm } from './families/pndm.js';
import { predictorCorrector } from './families/predictor-corrector.js';
import { probabilityFlow } from './families/probability-flow.js';
import { reverseDiffusion } from './families/reverse-diffusion.js';
import { snDdim } from './families/sn-ddim.js';
import { snDdpm } from './families/sn-ddpm.js';
import { unipc } from './families/unipc.js';
import type { OptionsOf, Sampler } from './sampler.js';
import { scheduler } from './scheduler/scheduler.js';

/**
 * Samplers by their public names.
 *
 * @example
 * ```ts
 * const program = samplers.unipc(NoiseSchedule.linear(), { steps: 10, order: 3 });
 * ```
 */
export const samplers = {
  ddpm,
  ddim,
  'analytic-ddpm': analyticDdpm,
  'analytic-ddim': analyticDdim,
  'npr-ddpm': nprDdpm,
  'npr-ddim': nprDdim,
  'sn-ddpm': snDdpm,
  'sn-ddim': snDdim,
  'ocm-ddpm': ocmDdpm,
  'ocm-ddim': ocmDdim,
  'full-ddpm': fullDdpm,
  'euler-maruyama': eulerMaruyama,
  ancestral,
  'probability-flow': probabilityFlow,
  'reverse-diffusion': reverseDiffusion,
  'predictor-corrector': predictorCorrector,
  'dpm-solver-1': dpmSolver1,
  'dpm-solver-2': dpmSolver2,
  'dpm-solver-3': dpmSolver3,
  'dpm-solver-fast': dpmSolverFast,
  'dpm-solver-adaptive': dpmSolverAdaptive,
  'dpm-solver-2m': dpmSolver2M,
  'dpm-solver-3m': dpmSolver3M,
  'dpm-solver-2m-sde': dpmSolver2MSde,
  'dpm-solver++-2s': dpmSolverPlusPlus2S,
  'dpm-solver++-3s': dpmSolverPlusPlus3S,
  'dpm-solver++-3s-sde': dpmSolverPlusPlus3SSde,
  'dpm-solver++-fast': dpmSolverPlusPlusFast,
  'dpm-solver++-2m': dpmSolverPlusPlus2M,
  'dpm-solver++-3m': dpmSolverPlusPlus3M,
  'dpm-solver++-2m-sde': dpmSolverPlusPlus2MSde,
  'dpm-solver++-3m-sde': dpmSolverPlusPlus3MSde,
  unipc,
  deis,
  heun,
  euler,
  kdpm2,
  lms,
  plms,
  pndm,
  lcm,
  scheduler,
} as const satisfies Readonly<Record<string, Sampler>>;

/** The public name of a sampler, e.g. `ddim`. */
export type SamplerName = keyof typeof samplers;

/** Options of the sampler `N`; of several, those of any one. */
export type OptionsOfSampler<N extends SamplerName = SamplerName> = {
  [K in N]: OptionsOf<(typeof samplers)[K]['facts']>;
}[N];

/** The names of all samplers. */
export const samplerNames = Object.keys(samplers) as SamplerName[];

/**
 * Finds the sampler of this name.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` listing the valid names.
 */
export function samplerByName(name: string): Sampler {
  const found = samplerNames.find((each) => each === name);
  if (found === undefined) {
    throw unknownName('sampler', name, samplerNames);
  }
  return samplers[found];
}
