import { refuseUnknownOptions } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import type { Program, ProgramHead } from '../program/program.js';
import { requireSchedule, type NoiseSchedule } from '../schedule/noise-schedule.js';
import type { Option } from './option.js';
import type { SamplerOptionName, SamplerOptions } from './options.js';

/** Options by name, each of the type that {@link SamplerOptions} gives it. */
export type OptionTable = { readonly [Name in SamplerOptionName]?: Option<Exclude<SamplerOptions[Name], undefined>> };

/** Facts about a sampler, stated in its own file for all other code. */
export interface SamplerFacts {
  /** Name in public. */
  readonly name: string;
  /** Summary, one line for lists of samplers. */
  readonly summary: string;
  /** Minimum number of network evaluations for images without visible noise, if more than 25; in `summary`, too. */
  readonly fewestSteps?: number;
  /** Kind of its program: a table of records, a program that decides while it runs, or either, by its options. */
  readonly kind: 'step' | 'host' | 'either';
  /** Options by name. */
  readonly options: OptionTable;
  /** Second output of the network that it always reads. */
  readonly head: Exclude<ProgramHead, 'learned'> | null;
  /** True if it needs the table of second moments `gamma`. */
  readonly needsGamma: boolean;
  /** Variance that is always fixed, whose costs an optimal trajectory uses; absent if an option chooses. */
  readonly fixedVariance?: 'beta' | 'beta-tilde';
  /** True if its chain gives the likelihood a variational bound; else the reason why not, after `sampler NAME: `. */
  readonly bound: true | string;
}

/** Options that a sampler of these facts takes. */
export type OptionsOf<F extends SamplerFacts> = Pick<SamplerOptions, keyof F['options'] & SamplerOptionName>;

/** Sampler: a pure function from a schedule and options to a program, and its facts. */
export interface Sampler<F extends SamplerFacts = SamplerFacts, P extends Program = Program> {
  (schedule: NoiseSchedule, options?: OptionsOf<F>): P;
  /** Facts about the sampler. */
  readonly facts: F;
}

/** Reasons why samplers have no bound. */
export const noBound = {
  notMarkov: 'its forward process is not Markov and the bound on the likelihood is infinite',
  noChain: 'it is no chain of Gaussian reverse steps, so that there is no such bound on the likelihood',
} as const;

/**
 * Refuses null, which plain JavaScript can give, for the options and for each except those where it has a meaning.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option.
 */
export function refuseNull(sampler: string, options: object | null): void {
  if (options === null) throw new DpmError('ERR_DPM_ARGUMENT', `sampler ${sampler}: options is null, leave it out`);
  for (const [name, value] of Object.entries(options)) {
    if (value === null && name !== 'lastNoiseClip') {
      throw new DpmError('ERR_DPM_ARGUMENT', `sampler ${sampler}: ${name} is null, leave it out for its default`);
    }
  }
}

/** Checks options that another one makes meaningless. */
function checkTogether({ trajectory, timesteps, costs, tStart, tEnd }: SamplerOptions): void {
  if (costs !== undefined && trajectory !== 'optimal') {
    throw new DpmError('ERR_DPM_ARGUMENT', "costs are for trajectory 'optimal'");
  }
  if (timesteps !== undefined && (tStart !== undefined || tEnd !== undefined)) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'timesteps say where sampling starts and ends: leave tStart and tEnd out');
  }
}

/**
 * Refuses options that are not in the table, values outside their ranges, and options that contradict each other.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option and the allowed values.
 */
export function checkOptions(sampler: string, options: SamplerOptions, table: OptionTable): void {
  refuseNull(sampler, options);
  refuseUnknownOptions(`sampler ${sampler}`, options, Object.keys(table));
  for (const [name, option] of Object.entries(table) as [SamplerOptionName, Option<unknown>][]) {
    const value = options[name];
    if (value !== undefined) option.check(name, value);
  }
  checkTogether(options);
}

/**
 * Makes a sampler from its facts and a function that compiles checked options.
 *
 * @param compile - Compiles options that are in the facts' table and in their ranges.
 */
export function defineSampler<const F extends SamplerFacts, P extends Program>(
  facts: F,
  compile: (schedule: NoiseSchedule, options: OptionsOf<F>) => P,
): Sampler<F, P> {
  // A type that depends on the facts cannot express that no option is required.
  const sampler = (schedule: NoiseSchedule, options: OptionsOf<F> = {} as OptionsOf<F>): P => {
    requireSchedule(schedule);
    checkOptions(facts.name, options, facts.options);
    const program = compile(schedule, options);
    const { prediction }: SamplerOptions = options;
    return prediction === undefined || program.kind === 'host' ? program : { ...program, prediction };
  };
  return Object.assign(sampler, { facts });
}

/** Facts about a solver of the probability flow. */
export interface SolverFacts<N extends string, T extends OptionTable> extends SamplerFacts {
  readonly name: N;
  readonly summary: string;
  readonly kind: 'step';
  readonly options: T;
  readonly head: null;
  readonly needsGamma: false;
  readonly bound: typeof noBound.noChain;
}

/** Makes the facts that all solvers which compile to records share, with the solver's name and options. */
export function solverFacts<const N extends string, T extends OptionTable>(
  name: N,
  summary: string,
  options: T,
): SolverFacts<N, T> {
  return { name, summary, kind: 'step', options, head: null, needsGamma: false, bound: noBound.noChain };
}
