import { standardsOf, type OptionFacts } from '../base/option-facts.js';
import { belowOne, fromZero, integerFrom, kinds, oneOf } from '../base/option-kinds.js';

/** Every {@link RateSchedule}. */
export const rateSchedules = ['constant', 'cosine', 'linear'] as const;

/** Course of the learning rate after the warm-up: as it is, or down to 0 by a cosine or a line. */
export type RateSchedule = (typeof rateSchedules)[number];

/** Every {@link AverageSchedule}. */
export const averageSchedules = ['constant', 'warm', 'power'] as const;

/** Course of the average's decay: one value, or one that grows to it with the number of updates. */
export type AverageSchedule = (typeof averageSchedules)[number];

/** Options of the learning rate. */
export interface RateOptions {
  /** Learning rate after the warm-up. A number from 0. Default 2e-4, that of DDPM for CIFAR-10. */
  rate?: number | undefined;
  /** Course after the warm-up. Default `constant`. */
  rateSchedule?: RateSchedule | undefined;
  /** Number of steps in which the rate grows from 0. Default: 5 % of the steps, at most 5000. */
  warmup?: number | undefined;
}

/** Options of the average of the weights. */
export interface AverageOptions {
  /** Largest decay. A number from 0 to below 1. Default 0.9999. */
  averageDecay?: number | undefined;
  /** Course of the decay. Default `warm` below 50,000 steps, so that a short run shows its own weights, else `constant`. */
  averageSchedule?: AverageSchedule | undefined;
  /** Number of updates that the unit of `power` is. A positive number. Default 1. */
  averageGamma?: number | undefined;
  /** Exponent of `power`. A positive number. Default 0.75. */
  averagePower?: number | undefined;
}

/** Facts about each option of {@link RateOptions}. */
export const rateOptionFacts = {
  rate: { kind: fromZero, help: 'learning rate after the warm-up', standard: 2e-4, value: 'R' },
  rateSchedule: {
    kind: oneOf(rateSchedules),
    help: 'course of the rate after the warm-up',
    standard: 'constant',
    value: 'NAME',
  },
  warmup: {
    kind: integerFrom(0),
    help: 'steps in which the rate grows from 0',
    otherwise: '5 % of the steps, at most 5,000',
    value: 'N',
  },
} as const satisfies OptionFacts<RateOptions>;

/** Facts about each option of {@link AverageOptions}. */
export const averageOptionFacts = {
  averageDecay: { kind: belowOne, help: "largest decay of the weights' average", standard: 0.9999, value: 'D' },
  averageSchedule: {
    kind: oneOf(averageSchedules),
    help: "course of the average's decay",
    otherwise: 'warm below 50,000 steps, else constant',
    value: 'NAME',
  },
  averageGamma: {
    kind: kinds.positive,
    help: "updates in the unit of the decay's course `power`",
    standard: 1,
    value: 'G',
  },
  averagePower: { kind: kinds.positive, help: "exponent of the decay's course `power`", standard: 0.75, value: 'P' },
} as const satisfies OptionFacts<AverageOptions>;

const rateDefaults = standardsOf(rateOptionFacts);
const averageDefaults = standardsOf(averageOptionFacts);

/** Number of steps of a run from which on its average has one decay. */
const LONG_RUN = 50_000;

/** Options of a run with what is meant where they are absent. */
export type Settled<T extends object> = { readonly [Name in keyof T]-?: Exclude<T[Name], undefined> };

/** Fills in what absent options of a run of so many steps mean. */
export function settledRates(options: RateOptions, steps: number): Settled<RateOptions> {
  return {
    rate: options.rate ?? rateDefaults.rate,
    rateSchedule: options.rateSchedule ?? rateDefaults.rateSchedule,
    warmup: options.warmup ?? Math.min(5000, Math.floor(steps / 20)),
  };
}

/** Fills in what absent options of the average of a run of so many steps mean. */
export function settledAverage(options: AverageOptions, steps: number): Settled<AverageOptions> {
  return {
    averageDecay: options.averageDecay ?? averageDefaults.averageDecay,
    averageSchedule: options.averageSchedule ?? (steps < LONG_RUN ? 'warm' : 'constant'),
    averageGamma: options.averageGamma ?? averageDefaults.averageGamma,
    averagePower: options.averagePower ?? averageDefaults.averagePower,
  };
}

/** Share of the rate that is left at a part, 0 to 1, of the steps after the warm-up. */
function shareLeft(schedule: RateSchedule, part: number): number {
  switch (schedule) {
    case 'constant':
      return 1;
    case 'cosine':
      return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * part)));
    case 'linear':
      return Math.max(0, 1 - part);
  }
}

/**
 * Computes the learning rate of a step. As in the code of DDPM and its successors, and in the schedulers of diffusers, the
 * first step of a warm-up has rate 0; cosine and line count from the warm-up's end and reach 0 at step `steps`.
 *
 * @param step - Index of the step, from 0.
 * @param steps - Number of steps of the run.
 */
export function rateOfStep(step: number, steps: number, options: Settled<RateOptions>): number {
  const { rate, rateSchedule, warmup } = options;
  if (step < warmup) return rate * (step / warmup);
  return rate * shareLeft(rateSchedule, Math.min(1, (step - warmup) / Math.max(1, steps - warmup)));
}

/**
 * Computes what the average keeps of itself in an update: `warm` is min(d, (1 + k) / (10 + k)) of score_sde, `power`
 * min(d, 1 - (1 + (k - 1) / gamma)^-power) of diffusers, 0 at the first.
 *
 * @param update - Number k of the update, from 1.
 */
export function averageDecayOfUpdate(update: number, options: Settled<AverageOptions>): number {
  const { averageDecay, averageSchedule, averageGamma, averagePower } = options;
  switch (averageSchedule) {
    case 'constant':
      return averageDecay;
    case 'warm':
      return Math.min(averageDecay, (1 + update) / (10 + update));
    case 'power':
      return Math.min(averageDecay, 1 - (1 + (update - 1) / averageGamma) ** -averagePower);
  }
}

/** Rates and decays of consecutive steps. */
export interface StepRates {
  /** Learning rate of each step. */
  readonly rates: Float64Array;
  /** Decay of the average in each step's update. */
  readonly averageDecays: Float64Array;
}

/** Computes rates and decays of `count` steps from step `first`, 0 for the first of the run, on. */
export function ratesOfSteps(
  first: number,
  count: number,
  steps: number,
  options: Settled<RateOptions & AverageOptions>,
): StepRates {
  const each = (value: (step: number) => number): Float64Array =>
    Float64Array.from({ length: count }, (_, i) => value(first + i));
  return {
    rates: each((step) => rateOfStep(step, steps, options)),
    averageDecays: each((step) => averageDecayOfUpdate(step + 1, options)),
  };
}
