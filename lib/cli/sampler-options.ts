import { DpmError } from '../base/errors.js';
import { ConfigReader, isJsonObject } from '../files/config-reader.js';
import { readJson } from '../files/files.js';
import { DEFAULT_STEPS, steps } from '../samplers/common-options.js';
import { samplerByName, samplerNames, samplers, type SamplerName } from '../samplers/index.js';
import type { Option } from '../samplers/option.js';
import type { SamplerOptionName, SamplerOptions } from '../samplers/options.js';
import type { OptionTable } from '../samplers/sampler.js';
import type { Amplitudes, GivenLevel } from '../schedule/noise-level.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { JumpCosts } from '../schedule/optimal-trajectory.js';
import { fixedVarianceCosts } from '../variance/costs.js';
import { readErrorTable } from '../variance/error-table.js';
import { readGammaTable } from '../variance/gamma.js';
import { flagOf, type OptionSpec, type OptionSpecs } from './command.js';
import { usageError } from './usage-error.js';
import { type OptionValues } from './option-values.js';

function reader(json: unknown, source: string): ConfigReader {
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${source} has to be an object with alpha and sigma`);
  return new ConfigReader(json, source);
}

function amplitudes(config: ConfigReader): Amplitudes {
  return { alpha: config.number('alpha'), sigma: config.number('sigma') };
}

function level(json: unknown, source: string): GivenLevel {
  const config = reader(json, source);
  config.onlyFields(['alpha', 'sigma', 'time', 'to', 'rises']);
  return {
    ...amplitudes(config),
    ...(config.has('time') && { time: config.number('time') }),
    ...(config.has('rises') && { rises: config.boolean('rises', false) }),
    ...(config.has('to') && { to: amplitudes(reader(config.raw('to'), `${source}: to`)) }),
  };
}

/**
 * Reads noise levels: a JSON array of objects with `alpha`, `sigma` and, but for the last, `time`, as `dpm inspect --json` shows them.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the file, the entry and the field.
 */
async function readLevels(path: string): Promise<GivenLevel[]> {
  const json = await readJson(path);
  if (!Array.isArray(json)) throw new DpmError('ERR_DPM_CONFIG', `${path} has to be an array of noise levels`);
  return json.map((each: unknown, index) => level(each, `${path}: entry ${index}`));
}

/** An option as one or more samplers take it. */
interface Taken {
  option: Option<unknown>;
  by: string[];
}

/** Number of samplers above which an option is general, and its help does not list them. */
const mostListed = 9;

/** Lists every option of some samplers by name; ranges differ from sampler to sampler. */
function takenOptions(tables: ReadonlyMap<string, OptionTable>): Map<SamplerOptionName, Taken[]> {
  const all = new Map<SamplerOptionName, Taken[]>();
  for (const [sampler, table] of tables) {
    for (const [name, option] of Object.entries(table) as [SamplerOptionName, Option<unknown>][]) {
      const ways = all.get(name) ?? [];
      const same = ways.find((way) => way.option === option);
      if (same === undefined) ways.push({ option, by: [sampler] });
      else same.by.push(sampler);
      all.set(name, ways);
    }
  }
  return all;
}

/** Headings of the help text for options that most samplers take, and for those of few. */
const [generalGroup, ownGroup] = ['Steps and times', 'Options of some samplers'];

/** Describes an option; where its ranges or defaults differ, those of most samplers come first and the others are named. */
function helpOf(ways: readonly Taken[]): string {
  const [most, ...others] = ways.toSorted((a, b) => b.by.length - a.by.length);
  const shown = ({ option, by }: Taken): string => `${option.help} (${by.join(', ')})`;
  if (most === undefined || most.by.length <= mostListed) return ways.map(shown).join('; ');
  return [most.option.help, ...others.map(shown)].join('; ');
}

/** The options of samplers on the command line, made of the samplers' facts. */
export function optionSpecs(tables: ReadonlyMap<string, OptionTable>): OptionSpecs {
  return Object.fromEntries(
    [...takenOptions(tables)].map(([name, ways]) => {
      const { value, choices } = ways[0]?.option ?? {};
      const group = ways.some(({ by }) => by.length > mostListed) ? generalGroup : ownGroup;
      const spec: OptionSpec = {
        ...(value !== undefined && { value }),
        ...(choices !== undefined && { choices: choices.map(String) }),
        group,
        help: helpOf(ways),
      };
      return [flagOf(name), spec];
    }),
  );
}

const allTables: ReadonlyMap<SamplerName, OptionTable> = new Map(
  samplerNames.map((name) => [name, samplers[name].facts.options]),
);

/** The options of all samplers on the command line. */
export const samplerOptionSpecs: OptionSpecs = optionSpecs(allTables);

/** Tells whether options of samplers are given that `scheduler` does not take, such as `--eta`. */
function givesOthers(options: OptionValues): boolean {
  const own = Object.keys(samplers.scheduler.facts.options).map(flagOf);
  return Object.keys(samplerOptionSpecs).some((flag) => options.has(flag) && !own.includes(flag));
}

/** Chooses the requested sampler, or that of the model's folder; `ddim` if the model or the options exclude that. */
export function samplerOf(options: OptionValues, { scheduler }: NoiseSchedule): SamplerName {
  const asked = options.choice('sampler', samplerNames);
  return asked ?? (scheduler === null || givesOthers(options) ? 'ddim' : 'scheduler');
}

/** The option `--sampler` of commands that take every sampler. */
export const samplerSpec: OptionSpec = {
  value: 'NAME',
  choices: samplerNames,
  help: `one of those that dpm samplers lists; default scheduler where the model has a scheduler file and no option of other samplers is given, else ddim`,
};

/** The option `--steps` of commands that have a default for it, which calls of the library have not. */
export function stepsSpec(standard = DEFAULT_STEPS): OptionSpec {
  return { value: 'K', group: generalGroup, help: `${steps.help}; default ${standard}` };
}

/** Tells whether the number of steps can be chosen; adaptive samplers refuse it. */
function takesSteps(sampler: SamplerName, options: OptionValues): boolean {
  const adaptive = !('steps' in samplers[sampler].facts.options) || options.string('solver') === 'rk45';
  return !adaptive && !options.has('timesteps') && !options.has('levels');
}

/** The default number of steps, for samplers and options that leave something to choose. */
export function stepsUnlessGiven(sampler: SamplerName, options: OptionValues): { steps?: number } {
  return takesSteps(sampler, options) ? { steps: DEFAULT_STEPS } : {};
}

/** Sampler as far as the costs of an optimal trajectory depend on it. */
export interface CostedSampler {
  sampler: string | undefined;
  /** Default: the scheduler's. */
  variance: string | undefined;
}

/** The one fixed variance a sampler always has. */
function ownVariance(sampler: string | undefined): string | undefined {
  const known = samplerNames.find((name) => name === sampler);
  return known === undefined ? undefined : samplerByName(known).facts.fixedVariance;
}

/** Computes costs of the jumps of DDPM with the sampler's fixed variance, from a table of errors. */
async function costsFrom(path: string, schedule: NoiseSchedule, costed: CostedSampler): Promise<JumpCosts> {
  const variance = ownVariance(costed.sampler) ?? costed.variance ?? schedule.defaults.variance;
  if (variance !== 'beta' && variance !== 'beta-tilde') {
    throw usageError(`--costs is for the fixed variances beta and beta-tilde, the variance is ${variance}`);
  }
  return fixedVarianceCosts(schedule, await readErrorTable(path), variance);
}

/**
 * Makes the library's sampler options from the command line's, for a model with this schedule; only the given ones.
 *
 * @param costed - Sampler of the costs in `--costs`. Default: that of `--sampler` and `--variance`.
 */
export async function samplerOptions(
  options: OptionValues,
  schedule: NoiseSchedule,
  costed: CostedSampler = { sampler: options.string('sampler'), variance: options.string('variance') },
): Promise<SamplerOptions> {
  const costs = options.string('costs');
  const gamma = options.string('gamma');
  const levels = options.string('levels');
  const given: Record<string, unknown> = {};
  for (const [name, ways] of takenOptions(allTables)) {
    const value = ways[0]?.option.read?.(options, flagOf(name));
    if (value !== undefined) given[name] = value;
  }
  return {
    ...given,
    ...(costs !== undefined && { costs: await costsFrom(costs, schedule, costed) }),
    ...(gamma !== undefined && { gamma: await readGammaTable(gamma) }),
    ...(levels !== undefined && { levels: await readLevels(levels) }),
  };
}
