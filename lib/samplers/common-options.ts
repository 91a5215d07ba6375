import { requireObject, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { isList } from '../base/option-kinds.js';
import { predictionNames } from '../schedule/defaults.js';
import { trajectoryNames } from '../schedule/trajectory.js';
import { choiceOption, numberOption, positiveOption, switchOption, tableOption, type Option } from './option.js';
import type { ClipOption, SamplerOptions } from './options.js';
import type { OptionTable } from './sampler.js';

type Value<Name extends keyof SamplerOptions> = Exclude<SamplerOptions[Name], undefined>;

/** Refuses a value that is no array, which plain JavaScript can give. */
function checkList(name: string, list: unknown, expected: string): void {
  if (!isList(list)) throw wrongValue(name, list, expected);
}

/** Maximum number of evaluations, more than any schedule has times. */
const MOST_STEPS = 1_000_000;

/**
 * Default number of network evaluations per sample: of `steps` in `dpm`, in requests to a server and on its page. Calls of
 * this package have to give `steps`.
 */
export const DEFAULT_STEPS = 25;

/** Option `steps`; the trajectory, on which the bounds depend, too, checks them. */
export const steps: Option<Value<'steps'>> = {
  value: 'K',
  type: 'integer',
  help: 'number of network evaluations',
  check(name, count) {
    if (Number.isInteger(count) && count <= MOST_STEPS) return;
    throw wrongValue(name, count, `an integer up to ${MOST_STEPS}, the number of network evaluations`);
  },
  read: (texts, flag) => texts.integer(flag),
};

export const trajectory = choiceOption('spacing of the times', trajectoryNames);

export const timesteps: Option<Value<'timesteps'>> = {
  value: 'LIST',
  help: 'decreasing 0-based times, separated by commas; overrides --steps',
  check: (name, times) => {
    checkList(name, times, 'an array of decreasing 0-based times');
  },
  read: (texts, flag) => texts.numbers(flag),
};

export const tStart = numberOption('noisiest time', { value: 'T' });
export const tEnd = numberOption('cleanest time evaluated', { value: 'T' });
export const end = choiceOption(
  'where the last step ends: at the data or at the first time; default data, of solvers of the probability flow first',
  ['data', 'first'],
  'WHERE',
);

/** Option `clip`; `clipOf` checks it with the schedule's range. */
export const clip: Option<Value<'clip'>> = {
  value: 'HOW',
  help: 'none, static or dynamic:QUANTILE[,FLOOR[,CEILING]]; default as the scheduler says, none for SDEs and noise solvers',
  check: () => undefined,
  read(texts, flag): ClipOption | undefined {
    const text = texts.string(flag);
    if (text === undefined || text === 'none' || text === 'static') return text;
    const match = /^dynamic:([\d.]+)(?:,([\d.]+)(?:,([\d.]+))?)?$/.exec(text);
    if (match === null) {
      throw new DpmError(
        'ERR_DPM_USAGE',
        `--${flag} is '${text}', it has to be none, static or dynamic:QUANTILE[,FLOOR[,CEILING]]`,
      );
    }
    const [, quantile, floor, ceiling] = match;
    return {
      dynamic: Number(quantile),
      ...(floor !== undefined && { floor: Number(floor) }),
      ...(ceiling !== undefined && { ceiling: Number(ceiling) }),
    };
  },
};

export const prediction = choiceOption("what the network's output means", predictionNames, 'KIND');

export const costs = tableOption<Value<'costs'>>(
  'table of the optimal trajectory of beta or beta-tilde (dpm costs); default: from gamma',
);

export const lastNoiseClip: Option<Value<'lastNoiseClip'>> = {
  value: 'Y',
  help: 'grey levels the last noise may change a pixel by, or none',
  check(name, levels) {
    if (levels === null || (typeof levels === 'number' && levels >= 0)) return;
    throw wrongValue(name, levels, 'a number of grey levels not below 0, or null');
  },
  read: (texts, flag) => (texts.string(flag) === 'none' ? null : texts.number(flag)),
};

/** Option `eta` of samplers in DDIM form: the share of the Markov process's noise. */
export const eta = numberOption('share of the Markov noise, 0 (default) to 1', {
  within: { words: 'from 0 to 1', holds: (share) => share >= 0 && share <= 1 },
});

export const clippedNoise = switchOption('the direction takes the noise that belongs to the clipped data prediction');

export const gamma: Option<Value<'gamma'>> = {
  ...tableOption<Value<'gamma'>>("table of second moments; default the model's gamma.json"),
  check: requireObject,
};

export const finalNoise = switchOption('noise in the step to the data, too');

export const avgCov = switchOption('one variance a sample, the mean over its elements');

export const solverType = choiceOption(
  'weights of second-order steps, default midpoint',
  ['midpoint', 'taylor'],
  'TYPE',
);

export const lowerOrderFinal: Option<Value<'lowerOrderFinal'>> = {
  value: 'WHEN',
  help: 'lower order in the last steps: true (as published), always, last (order 1 in the last alone) or false',
  check(name, when) {
    if ([true, false, 'always', 'last'].includes(when)) return;
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} has to be true, false, 'always' or 'last'`);
  },
  read(texts, flag) {
    const text = texts.choice(flag, ['true', 'always', 'last', 'false']);
    return text === 'true' || text === 'false' ? text === 'true' : text;
  },
};

export const thirdOrder = choiceOption('second differences, default exact', ['exact', 'published']);

/** Option `levels`; they are checked where they are used. */
export const levels: Option<Value<'levels'>> = {
  ...tableOption<Value<'levels'>>('noise levels one by one, in place of --steps and --trajectory'),
  check(name, given) {
    checkList(name, given, 'an array of noise levels');
    for (const level of given) requireObject(`an entry of ${name}`, level);
  },
};

export const initialScale = positiveOption('standard deviation of the initial noise');

export const rho = positiveOption('exponent of the karras spacing, default 7');

export const stepsOffset: Option<Value<'stepsOffset'>> = {
  value: 'N',
  type: 'integer',
  help: 'added to the times of the leading spacing, default 0',
  check(name, offset) {
    if (Number.isInteger(offset) && offset >= 0) return;
    throw wrongValue(name, offset, 'an integer from 0');
  },
  read: (texts, flag) => texts.integer(flag),
};

const notNegative = { words: 'a number from 0', holds: (number: number): boolean => number >= 0 };

export const disableCorrector: Option<Value<'disableCorrector'>> = {
  value: 'LIST',
  help: 'steps, from 0, whose result is not corrected, separated by commas; default none',
  check(name, steps) {
    checkList(name, steps, 'a list of steps, integers from 0');
    if (steps.every((step) => Number.isInteger(step) && step >= 0)) return;
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} has to be a list of steps, integers from 0`);
  },
  read: (texts, flag) => texts.numbers(flag),
};

/** Options of noise that is added and removed again in every step (Karras et al. 2022, algorithm 2). */
export const churnOptions = {
  sChurn: numberOption('noise added in all steps together, default 0', { within: notNegative }),
  sTmin: numberOption('least sigma / alpha at which noise is added, default 0', { within: notNegative }),
  sTmax: numberOption('greatest sigma / alpha at which noise is added, default no limit', { within: notNegative }),
  sNoise: positiveOption('standard deviation of the noise added, default 1'),
} as const satisfies OptionTable;

export const denoiseToZero = switchOption('the last evaluation replaces the state by the data prediction');

export const batchNorm = choiceOption(
  "norms of adaptive steps and correctors, each sample's (default) or the batch's",
  ['sample', 'reference'],
  'KIND',
);

/** Options of every sampler of the reverse process. */
export const reverseOptions = {
  steps,
  trajectory,
  rho,
  stepsOffset,
  timesteps,
  costs,
  tStart,
  tEnd,
  end,
  clip,
  prediction,
  lastNoiseClip,
} as const satisfies OptionTable;

/** Options of the samplers of the reverse SDE and of its probability flow. */
export const sdeOptions = { steps, trajectory, tStart, tEnd, clip, prediction } as const satisfies OptionTable;

/** Options of samplers whose levels can be given one by one. */
export const levelOptions = { levels, initialScale } as const satisfies OptionTable;

/** Options of every solver of the probability flow. */
export const solverOptions = {
  steps,
  trajectory,
  rho,
  stepsOffset,
  timesteps,
  ...levelOptions,
  tStart,
  tEnd,
  end,
  clip,
  prediction,
  denoiseToZero,
} as const satisfies OptionTable;

/** Options of solvers that always go to the data, and that evaluate more than the given levels. */
export const dataSolverOptions = {
  steps,
  trajectory,
  rho,
  stepsOffset,
  ...levelOptions,
  tStart,
  tEnd,
  clip,
  prediction,
} as const satisfies OptionTable;
