import { DpmError } from '../base/errors.js';
import { cosineBetas, linearBetas, logAlphaBarOfBetas, rescaledToZeroSnr, scaledLinearBetas } from './betas.js';
import { explodingCurve, interpolatedCurve, linearRateCurve, type SignalCurve } from './curve.js';
import type { Prediction } from './defaults.js';
import type { TimeAxis } from './network-time.js';
import type {
  BetaScheduleOptions,
  CosineScheduleOptions,
  EdmScheduleOptions,
  NoiseOnlyScheduleOptions,
  RateScheduleOptions,
  ScheduleOptions,
  SdeScheduleOptions,
} from './schedule-options.js';
import { parseSchedulerConfig, type BetaScheduler } from './scheduler-config.js';

/** Configuration file of a scheduler as it is. */
export interface SchedulerFile {
  /** Fields of the file. */
  config: Readonly<Record<string, unknown>>;
  /** Name of the file in messages, e.g. its path. */
  source: string;
}

/** Parts of a noise schedule. */
export interface ScheduleParts extends ScheduleOptions {
  /** Name for tables on disk and messages, a short description, e.g. `linear`. */
  name: string;
  steps: number;
  /** Table ln A_0 … ln A_N, absent for a continuous schedule. */
  table?: Float64Array;
  curve: SignalCurve;
  /** SDE that a discrete schedule was derived from, if known. */
  sde?: SignalCurve | undefined;
  axis: TimeAxis;
  noisiest: number;
  cleanest: number;
  /** Maximum time of a solver. Default: `noisiest`. */
  greatestTime?: number;
  scheduler?: SchedulerFile | null;
}

function checkedSteps(steps: number): number {
  if (!Number.isInteger(steps) || steps < 2 || steps > 1_000_000) {
    throw new DpmError('ERR_DPM_CONFIG', `a noise schedule needs 2..1000000 steps, got ${steps}`);
  }
  return steps;
}

function tableParts(name: string, table: Float64Array, options: ScheduleOptions, sde?: SignalCurve): ScheduleParts {
  const { networkTime, defaults } = options;
  return {
    ...(networkTime !== undefined && { networkTime }),
    ...(defaults !== undefined && { defaults }),
    name,
    steps: table.length - 1,
    table,
    curve: interpolatedCurve(table),
    sde,
    axis: 'index',
    noisiest: table.length - 1,
    cleanest: 1,
  };
}

/** Makes the parts of a table of betas. */
export function betaParts(
  name: string,
  betas: ArrayLike<number>,
  { rescaleBetasZeroSnr = false, ...options }: BetaScheduleOptions,
  sde?: SignalCurve,
): ScheduleParts {
  const table = logAlphaBarOfBetas(betas);
  if (!rescaleBetasZeroSnr) return tableParts(name, table, options, sde);
  // An SDE of a finite rate never ends in noise alone.
  return tableParts(`${name}-zero-snr`, rescaledToZeroSnr(table), options);
}

/** Makes the parts of evenly spaced betas, which discretise the VP-SDE whose rate goes from N start to N end. */
function evenParts(steps: number, start: number, end: number, options: BetaScheduleOptions): ScheduleParts {
  const curve = linearRateCurve(steps * start, steps * end);
  return betaParts('linear', linearBetas(steps, start, end), options, curve);
}

export function linearParts(options: RateScheduleOptions): ScheduleParts {
  const steps = checkedSteps(options.steps ?? 1000);
  const scale = 1000 / steps;
  return evenParts(steps, options.start ?? scale * 1e-4, options.end ?? scale * 0.02, options);
}

export function scaledLinearParts(options: RateScheduleOptions): ScheduleParts {
  const steps = checkedSteps(options.steps ?? 1000);
  const betas = scaledLinearBetas(steps, options.start ?? 0.00085, options.end ?? 0.012);
  return betaParts('scaled_linear', betas, options);
}

export function cosineParts(options: CosineScheduleOptions): ScheduleParts {
  return betaParts('squaredcos_cap_v2', cosineBetas(checkedSteps(options.steps ?? 1000)), options);
}

export function vpParts(options: SdeScheduleOptions): ScheduleParts {
  const { start = 0.1, end = 20 } = options;
  if (!(start > 0 && end > start && Number.isFinite(end))) {
    throw new DpmError('ERR_DPM_CONFIG', `the VP schedule needs 0 < start < end, got ${start} and ${end}`);
  }
  const steps = checkedSteps(options.steps ?? 1000);
  return {
    networkTime: 'vp999',
    ...options,
    name: 'vp',
    steps,
    curve: linearRateCurve(start, end),
    axis: 'unit',
    noisiest: 1,
    cleanest: 1e-3,
  };
}

export function vpDiscreteParts(options: SdeScheduleOptions): ScheduleParts {
  const { steps, curve } = vpParts(options);
  const table = Float64Array.from({ length: steps + 1 }, (_, n) => (n === 0 ? 0 : curve.logAlphaBar(n / steps)));
  return tableParts('vpsde', table, { networkTime: 'vp999', ...options }, curve);
}

function explodingParts(
  name: string,
  options: ScheduleOptions & { sigmaMin: number; sigmaMax: number },
  prediction: Prediction,
): ScheduleParts {
  const { sigmaMin, sigmaMax, networkTime, defaults } = options;
  if (!(sigmaMin > 0 && sigmaMax > sigmaMin && Number.isFinite(sigmaMax))) {
    throw new DpmError(
      'ERR_DPM_CONFIG',
      `the schedule ${name} needs 0 < sigmaMin < sigmaMax, got ${sigmaMin} and ${sigmaMax}`,
    );
  }
  return {
    ...(networkTime !== undefined && { networkTime }),
    name,
    steps: 1000,
    curve: explodingCurve(),
    axis: 'sigma',
    noisiest: sigmaMax,
    cleanest: sigmaMin,
    defaults: { prediction, ...defaults },
  };
}

export function veParts(options: NoiseOnlyScheduleOptions): ScheduleParts {
  return explodingParts('ve', { sigmaMin: 0.01, sigmaMax: 50, networkTime: 'sigma', ...options }, 'score');
}

export function edmParts({ sigmaData = 0.5, defaults, ...rest }: EdmScheduleOptions): ScheduleParts {
  if (!(sigmaData > 0 && Number.isFinite(sigmaData))) {
    throw new DpmError('ERR_DPM_CONFIG', `sigmaData is ${sigmaData}, it has to be a positive number`);
  }
  const all = { sigmaMin: 0.002, sigmaMax: 80, networkTime: 'edm' as const, ...rest };
  return explodingParts('edm', { ...all, defaults: { sigmaData, ...defaults } }, 'edm');
}

/** Makes the parts of a scheduler file's betas; if its network sees the noise, n may be a fraction. */
function betaSchedulerParts(parsed: BetaScheduler, options: ScheduleOptions): ScheduleParts {
  const { rescaleBetasZeroSnr, name, betas, ends, seesNoise } = parsed;
  const all = { rescaleBetasZeroSnr, ...options };
  const isEven = name === 'linear' && ends !== null;
  const parts = isEven ? evenParts(betas.length, ends.start, ends.end, all) : betaParts(name, betas, all);
  if (!seesNoise || options.networkTime !== undefined) return parts;
  const { curve, steps } = parts;
  const logarithm = (time: number): number => 0.5 * (Math.log(curve.betaBar(time)) - curve.logAlphaBar(time));
  return { ...parts, networkTime: (n) => logarithm(n / steps) / 4 };
}

/** Makes the parts of a scheduler file, from its facts about the network's training. */
export function schedulerParts(file: SchedulerFile, options: ScheduleOptions): ScheduleParts {
  const parsed = parseSchedulerConfig(file.config, file.source);
  const merged = { ...options, defaults: { ...parsed.defaults, ...options.defaults } };
  switch (parsed.kind) {
    case 'betas':
      return { ...betaSchedulerParts(parsed, merged), scheduler: file };
    case 've':
    case 'edm': {
      const { kind, defaults: _, ...sigmas } = parsed;
      return { ...(kind === 've' ? veParts : edmParts)({ ...sigmas, ...merged }), scheduler: file };
    }
  }
}
