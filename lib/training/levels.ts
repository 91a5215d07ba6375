import type { NativeStepsBack, NativeTrainerLevels } from '../engine/native-trainer.js';
import type { UNetDescription } from '../network/description.js';
import type { Prediction } from '../schedule/defaults.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { parametrisation, type Parametrisation } from '../schedule/prediction.js';

/** Number of levels that stand for those of a continuous schedule, all as likely. */
const CONTINUOUS_LEVELS = 65_536;

/** Least time that networks of score_sde learn. */
const LEAST_TIME = 1e-5;

/** Mean and deviation of ln sigma in the training of EDM networks (Karras et al. 2022, table 1). */
const [EDM_MEAN, EDM_DEVIATION] = [-1.2, 1.2];

/** Coefficients of the rational approximation of the normal quantile by Wichura (1988, AS 241, PPND7). */
const QUANTILE = {
  centre: [3.3871327179, 50.434271938, 159.29113202, 59.10937472],
  centreBelow: [1, 17.895169469, 78.757757664, 67.1875636],
  tail: [1.4234372777, 2.75681539, 1.3067284816, 0.17023821103],
  tailBelow: [1, 0.7370016425, 0.12021132975],
} as const;

function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduceRight((sum, coefficient) => sum * x + coefficient, 0);
}

/**
 * Computes the quantile of the normal distribution, to 1e-6, for a probability from 1e-10 to 1 - 1e-10.
 *
 * @internal
 */
export function normalQuantile(probability: number): number {
  const q = probability - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return (q * polynomial(QUANTILE.centre, r)) / polynomial(QUANTILE.centreBelow, r);
  }
  const r = Math.sqrt(-Math.log(Math.min(probability, 1 - probability))) - 1.6;
  return (Math.sign(q) * polynomial(QUANTILE.tail, r)) / polynomial(QUANTILE.tailBelow, r);
}

/** Gives the time of a share of what is drawn, from 0 to 1, as the authors of each continuous schedule draw it. */
function timeOfShare({ defaults, cleanest, noisiest, preservesVariance }: NoiseSchedule, share: number): number {
  if (defaults.prediction.startsWith('edm')) return Math.exp(EDM_MEAN + EDM_DEVIATION * normalQuantile(share));
  const time = LEAST_TIME + share * (1 - LEAST_TIME);
  return preservesVariance ? time : cleanest * (noisiest / cleanest) ** time;
}

/** Lists the times that are learned, all as likely: of a continuous schedule the middles of equal shares. */
function timesOf(schedule: NoiseSchedule): Float64Array {
  if (schedule.discrete) return Float64Array.from({ length: schedule.steps }, (_, i) => i + 1);
  return Float64Array.from({ length: CONTINUOUS_LEVELS }, (_, i) =>
    timeOfShare(schedule, (i + 0.5) / CONTINUOUS_LEVELS),
  );
}

/**
 * Gives the output that a network of this parametrisation should have, as coefficients of x_0 and of the noise. Each comes
 * from the one of both predictions in which nothing cancels.
 */
function targetOf({ data, noise }: Parametrisation, alpha: number, sigma: number): { data: number; noise: number } {
  return {
    data: noise.output === 0 ? (1 - data.input * alpha) / data.output : (-noise.input * alpha) / noise.output,
    noise: (-data.input * sigma) / data.output,
  };
}

/** What the output of a network is divided by at a network time; 1: it is not. */
export function divisorAt(divisor: UNetDescription['divisor'], networkTime: number): number {
  if (divisor === 'time') return networkTime;
  return (divisor ?? null) === null ? 1 : (divisor?.[Math.trunc(networkTime)] ?? 1);
}

/** The nearest float32, without a negative zero: sums of rounding errors next to 1 and 0 are these. */
function rounded(value: number): number {
  return Math.fround(value) + 0;
}

/**
 * Makes the tables of the steps back of a discrete schedule, between whose variances a network learns its own (Nichol and
 * Dhariwal 2021, equation 15).
 */
function stepsBackOf(schedule: NoiseSchedule): NativeStepsBack {
  const [lows, highs, variances, means] = Array.from({ length: 4 }, () => new Float64Array(schedule.steps)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (let n = 1; n <= schedule.steps; ++n) {
    const beta = schedule.betaBarBetween(n - 1, n);
    const betaBar = schedule.betaBar(n);
    // The posterior of the first step has no variance, whose logarithm is then that of the second.
    lows[n - 1] = Math.log(schedule.posteriorVariance(Math.max(n, 2) - 1, Math.max(n, 2)));
    highs[n - 1] = Math.log(beta);
    variances[n - 1] = n === 1 ? 0 : schedule.posteriorVariance(n - 1, n);
    const ofData = (Math.sqrt(schedule.alphaBar(n - 1)) * beta) / betaBar;
    means[n - 1] = ofData * Math.sqrt(betaBar / schedule.alphaBar(n));
  }
  return { lows, highs, variances, means };
}

/** Makes the table of the one level of an autoencoder: it sees the image, and is to give it back. */
export function imagesAsTheyAre(): NativeTrainerLevels {
  const [zero, one] = [Float64Array.of(0), Float64Array.of(1)];
  return {
    images: one,
    noises: zero,
    dataTargets: one,
    noiseTargets: zero,
    weights: one,
    times: Float32Array.of(0),
  };
}

/** Options of {@link trainingLevels}. */
export interface LevelOptions {
  /** What the network predicts. */
  readonly prediction: Prediction;
  /** Gamma of min-SNR weights (Hang et al. 2023); 0: all weights are 1. */
  readonly snrGamma: number;
  /** True: the steps back are made, too, for a network that learns its variance. */
  readonly learnsRange?: boolean;
}

/**
 * Makes the tables of the noise levels that a network learns: what it sees of image and noise, the output that it should
 * have, and the weight of the loss. A network whose output is divided by the noise level learns it undivided, as score_sde's
 * loss has it; the loss of EDM is one of the output with weight 1 (Karras et al. 2022, equation 8).
 *
 * min-SNR weights are min(SNR, gamma) for the loss of the data prediction, carried over to that of the output.
 *
 * @param divisor - How the network's output is divided.
 */
export function trainingLevels(
  schedule: NoiseSchedule,
  divisor: UNetDescription['divisor'],
  options: LevelOptions,
): NativeTrainerLevels {
  return levelsAt(timesOf(schedule), schedule, divisor, options);
}

/** Makes the tables of {@link trainingLevels} for times of your own. @internal */
export function levelsAt(
  times: Float64Array,
  schedule: NoiseSchedule,
  divisor: UNetDescription['divisor'],
  { prediction, snrGamma, learnsRange = false }: LevelOptions,
): NativeTrainerLevels {
  const [images, noises, dataTargets, noiseTargets, weights] = Array.from({ length: 5 }, () => times.slice()) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const networkTimes = new Float32Array(times.length);
  times.forEach((time, i) => {
    const [alphaBar, betaBar] = [schedule.alphaBar(time), schedule.betaBar(time)];
    const [alpha, sigma] = [Math.sqrt(alphaBar), Math.sqrt(betaBar)];
    const form = parametrisation(prediction, alpha, sigma, schedule.defaults.sigmaData);
    const target = targetOf(form, alpha, sigma);
    const networkTime = schedule.networkTime(time);
    const undivided = divisorAt(divisor, networkTime);
    images[i] = form.inputScale * alpha;
    noises[i] = form.inputScale * sigma;
    dataTargets[i] = rounded(undivided * target.data);
    noiseTargets[i] = rounded(undivided * target.noise);
    networkTimes[i] = networkTime;
    weights[i] = snrGamma === 0 ? 1 : Math.min(alphaBar / betaBar, snrGamma) * (form.data.output / undivided) ** 2;
  });
  return {
    images,
    noises,
    dataTargets,
    noiseTargets,
    weights,
    times: networkTimes,
    ...(learnsRange && { stepsBack: stepsBackOf(schedule) }),
  };
}
