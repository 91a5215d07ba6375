import { DpmError, type DpmErrorCode } from '../base/errors.js';
import { kinds, requireKind } from '../base/option-kinds.js';
import type { Program, StepProgram } from '../program/program.js';
import { scheduleOf } from '../schedule/made-again.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { ScheduleRecipe } from '../schedule/recipe.js';
import { discreteTransitions } from '../schedule/trajectory.js';
import type { GammaTable } from '../variance/gamma.js';
import { samplerByName, type SamplerName } from './index.js';
import type { SamplerOptions } from './options.js';
import { refuseNull } from './sampler.js';
import { withTables } from './tables.js';

/** Tables of a model that its samplers are compiled with. */
export interface CompileTables {
  readonly schedule: NoiseSchedule;
  readonly gamma: GammaTable | null;
}

/** A program to make, as it can be sent to another thread. */
export interface CompileTask {
  /** The calls that make the model's schedule again. */
  readonly schedule: ScheduleRecipe;
  /** The model's estimate of its variances; null without one. */
  readonly gamma: GammaTable | null;
  /** The name of the sampler. */
  readonly sampler: SamplerName;
  /** The sampler's options, as they were given. */
  readonly options: SamplerOptions;
}

/** A program that was made, or the reason why not, as it can be sent to another thread. */
export interface Compiled {
  /** The program; null for one of functions, which cannot be sent, and for options that were refused. */
  readonly program: StepProgram | null;
  /** Options that give a program of functions at once, where those of the task would not. */
  readonly options?: SamplerOptions;
  /** Code and message of the error of wrong options. */
  readonly refused?: { readonly code: DpmErrorCode; readonly message: string };
  /** Milliseconds that it took, which its tenant is charged for. */
  readonly milliseconds: number;
}

/** Makes a program elsewhere, e.g. in another thread. */
export type CompileElsewhere = (task: CompileTask) => Promise<Compiled>;

/** Most steps of a program that takes no longer than other work between two events: a tenth of a millisecond each at most. */
const QUICK_STEPS = 50;

/** Compiles a sampler with a model's tables. @throws {@link DpmError} naming the wrong option. */
export function compileSampler({ schedule, gamma }: CompileTables, sampler: SamplerName, own: SamplerOptions): Program {
  const compile = samplerByName(sampler);
  // The model's own tables would replace null.
  refuseNull(sampler, own);
  return compile(schedule, withTables(sampler, own, schedule, gamma));
}

/** Tells whether a program is made so fast that sending it to a thread would take longer, as far as unchecked options tell. */
export function isQuick(sampler: SamplerName, { steps = 0, timesteps, levels, trajectory }: SamplerOptions): boolean {
  if (trajectory === 'optimal') return false;
  // Others of functions are quick, and cannot come from another thread.
  return (
    samplerByName(sampler).facts.kind === 'host' ||
    Math.max(steps, timesteps?.length ?? 0, levels?.length ?? 0) <= QUICK_STEPS
  );
}

/** Makes the task of a program from options as they are now; null if functions are a part of it, which cannot be sent. */
export function taskOf(
  { schedule: { recipe }, gamma }: CompileTables,
  sampler: SamplerName,
  own: SamplerOptions,
): CompileTask | null {
  if (recipe === null) return null;
  try {
    return { schedule: recipe, gamma, sampler, options: structuredClone(own) };
  } catch {
    return null;
  }
}

/** Names the times of an optimal trajectory, the search for which is most of the work of a program. */
function withTimes({ schedule, gamma }: CompileTables, sampler: SamplerName, own: SamplerOptions): SamplerOptions {
  const completed = withTables(sampler, own, schedule, gamma);
  const jumps = discreteTransitions(schedule, completed);
  const { trajectory: _, steps: __, tStart: ___, tEnd: ____, costs: _____, ...rest } = completed;
  return { ...rest, timesteps: jumps.map(({ t }) => t - 1) };
}

function made({ schedule, gamma, sampler, options }: CompileTask): Omit<Compiled, 'milliseconds'> {
  requireKind('options', options, kinds.object);
  const tables = { schedule: scheduleOf(schedule), gamma };
  const isSearched = samplerByName(sampler).facts.kind === 'host' && options.trajectory === 'optimal';
  const quick = isSearched ? withTimes(tables, sampler, options) : null;
  const program = compileSampler(tables, sampler, quick ?? options);
  return { program: program.kind === 'step' ? program : null, ...(quick !== null && { options: quick }) };
}

/**
 * Makes the program of a task: the thread's side of the option `compile` of a batcher.
 *
 * @example
 * ```ts
 * // worker.js, a thread of a pool; beside it: model.batcher({ compile: (task) => pool.run(task) })
 * export default compileTask;
 * ```
 */
export function compileTask(task: CompileTask): Compiled {
  requireKind('the task', task, kinds.object);
  const began = performance.now();
  const answer = ((): Omit<Compiled, 'milliseconds'> => {
    try {
      return made(task);
    } catch (error) {
      if (!(error instanceof DpmError)) throw error;
      return { program: null, refused: { code: error.code, message: error.message } };
    }
  })();
  return { ...answer, milliseconds: performance.now() - began };
}
