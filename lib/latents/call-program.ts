import { samplerByName } from '../samplers/index.js';
import { laterRun } from '../samplers/later-run.js';
import { earlierSteps, ratioAfter } from '../samplers/part-of-run.js';
import { refuseNull } from '../samplers/sampler.js';
import { withTables } from '../samplers/tables.js';
import { DpmError } from '../base/errors.js';
import type { Program } from '../program/program.js';
import type { Amplitudes } from '../schedule/noise-level.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { GammaTable } from '../variance/gamma.js';
import type { GenerateCall } from './resolve-call.js';

/** Program of a call. */
export interface BegunProgram {
  readonly program: Program;
  /** Amplitudes of pictures and noise in the states that it begins with; null: noise alone. */
  readonly start: Amplitudes | null;
  /** The program without a hand-over, by whose evaluations shares of the run are counted, as in diffusers. */
  readonly whole: Program;
}

/** Takes the steps of a program that are before a hand-over. */
function beforeHandOver(schedule: NoiseSchedule, program: Program, share: number): Program {
  if (program.kind === 'step') return earlierSteps(schedule, program, ratioAfter(schedule, share));
  throw new DpmError('ERR_DPM_UNSUPPORTED', 'denoisingEnd is for samplers of fixed steps, this one chooses its own');
}

/**
 * Makes the program that a call says: the steps of its sampler, or the part of them that lies behind its picture's level and
 * before a hand-over.
 *
 * @param gamma - Table of the pipeline, where the call has none.
 * @throws {@link DpmError} The errors of the sampler; `ERR_DPM_ARGUMENT` if no step is left, `ERR_DPM_UNSUPPORTED` for samplers and
 * schedules that have no such part.
 */
export function callProgram(
  { sampler, steps, own: given, gamma: table, picture, denoisingStart, denoisingEnd }: GenerateCall,
  schedule: NoiseSchedule,
  gamma: GammaTable | null,
): BegunProgram {
  const { facts } = samplerByName(sampler);
  refuseNull(sampler, given);
  // Latents have no interval that a prediction could be clipped to, and no grey levels that a noise could be limited by.
  const own = {
    clip: 'none',
    ...('lastNoiseClip' in facts.options && { lastNoiseClip: null }),
    ...(table !== undefined && { gamma: table }),
    ...given,
  } as const;
  const tables = withTables(sampler, own, schedule, gamma);
  const options = steps === undefined ? tables : { ...tables, steps };
  // Times that are given are all of the steps.
  const isSpaced = given.timesteps !== undefined || given.levels !== undefined;
  const begun = ((): Omit<BegunProgram, 'whole'> => {
    if (picture === null) {
      return { program: samplerByName(sampler)(schedule, isSpaced ? tables : options), start: null };
    }
    const { strength } = picture;
    const beginning = strength === null ? { below: ratioAfter(schedule, denoisingStart ?? 1) } : { strength };
    return laterRun(schedule, sampler, options, beginning);
  })();
  const whole = begun.program;
  if (denoisingEnd === undefined) return { ...begun, whole };
  return { ...begun, whole, program: beforeHandOver(schedule, whole, denoisingEnd) };
}
