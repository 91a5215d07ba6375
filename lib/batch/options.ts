import { described, kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import {
  either,
  integerBetween,
  integerFrom,
  kinds,
  type Kind,
  oneOf,
  type OptionKinds,
} from '../base/option-kinds.js';
import { MOST_AT_ONCE } from '../engine/binding.js';
import { deviceOptionFacts } from '../engine/device.js';
import type { RunOptions } from '../run/options.js';
import { runOptionFacts, runOptionKinds } from '../run/options.js';
import type { OptionsOfSampler, SamplerName } from '../samplers/index.js';

/** Every {@link BatcherOptions.order}. */
export const serviceOrders = ['share', 'arrival', 'shortest'] as const;

/** In which order samples run where there are more than a step takes. */
export type ServiceOrder = (typeof serviceOrders)[number];

/** Every {@link ServiceOptions.priority}, the highest first. */
export const priorities = ['high', 'normal', 'low'] as const;

/** Samples of a higher one run first, whatever else is said of them. */
export type Priority = (typeof priorities)[number];

/** Every {@link PreviewOf}. */
export const previewKinds = ['state', 'prediction'] as const;

/** What a preview shows: the state as it is, noise included, or the data prediction. */
export type PreviewOf = (typeof previewKinds)[number];

/** How a batch is opened, whoever predicts. */
export interface BatcherOptions {
  /**
   * Rows that the network sees in a step at most, two of a guided sample. `auto`, the default: the smallest number that reaches 97 %
   * of the best throughput measured when it is opened, but none whose evaluation takes longer than `stepTarget`.
   */
  rows?: number | 'auto' | undefined;
  /** For `rows: 'auto'`, in milliseconds. A step is also the grain of joining and cancelling. Default 250. */
  stepTarget?: number | undefined;
  /** Samples that have a state on the device. Default four for each row, at least 16. */
  slots?: number | undefined;
  /**
   * `share`: fair between tenants, and of one tenant's the short before the long, without starving anybody. `arrival`: first come, first
   * served. `shortest`: the best mean, and long samples wait. Default `share`.
   */
  order?: ServiceOrder | undefined;
  /** How much `share` favours short samples, from 0 (not at all). Default 1. */
  stretch?: number | undefined;
  /** Expected milliseconds of waiting from which on requests are refused. Default 30,000. */
  maxWait?: number | undefined;
  /** Most work of one request, in milliseconds of the full batch. Default 600,000. */
  maxWork?: number | undefined;
  /** Most bytes of `init`, `noise` and states of `snapshotEvery` that requests hold. Default 64 MiB. */
  maxWaitingBytes?: number | undefined;
  /** Bytes that the batch may take: it has fewer slots, then fewer rows. Default: no limit. */
  memoryBudget?: number | undefined;
  /** Share of the device's time among the batches on it that have work. Default 1. */
  weight?: number | undefined;
  /**
   * What happens to steps whose number of rows a card makes no plans for. `fit`: rows are left out where that gives more of them a second;
   * `pad`: others are computed beside them; `one`: every step is computed at its full size, so that no sample's bits depend on the others.
   * The cpu has no such sizes, and bits never depend. Default `fit`.
   */
  sizes?: 'fit' | 'pad' | 'one' | undefined;
  /** Adaptive samplers that run beside the batch at once; 0: they are refused. Default 1. */
  hostPrograms?: number | undefined;
}

/** What a request says beside what is to be sampled. */
export interface ServiceOptions {
  /** Whose request it is: `share` is fair between tenants. Default ''. */
  tenant?: string | undefined;
  /** Share of the tenant among the others. Default 1. */
  weight?: number | undefined;
  /** Default `normal`. */
  priority?: Priority | undefined;
  /** Milliseconds from now after which the result is of no use: what cannot be done by then is refused or ended. */
  deadline?: number | undefined;
  /** Default `state`. */
  previewOf?: PreviewOf | undefined;
}

/** Options of a run in a batch, which decides itself how many samples it evaluates at once. */
export type BatchRunOptions = Omit<RunOptions, 'batch' | 'guides' | 'guideForm' | 'constrain'> & ServiceOptions;

/** A request: a sampler by its name, its own options, those of a run and of the service. */
export type BatchRequest<N extends SamplerName = SamplerName> =
  { [K in N]: { sampler: K } & OptionsOfSampler<K> & BatchRunOptions }[N] | SchedulerBatchRequest;

/** A request that is sampled as the model's scheduler file says. */
export type SchedulerBatchRequest = { sampler?: undefined } & OptionsOfSampler<'scheduler'> & BatchRunOptions;

/** Shares of time or of tenants. */
const share: Kind = {
  expected: 'a number from 1e-6 to 1e6',
  schema: { type: 'number', minimum: 1e-6, maximum: 1e6 },
  holds: (value) => typeof value === 'number' && value >= 1e-6 && value <= 1e6,
};
const positive: Kind = {
  expected: 'a positive number',
  schema: { type: 'number', exclusiveMinimum: 0 },
  holds: (value) => Number.isFinite(value) && Number(value) > 0,
};
const fromZero: Kind = {
  expected: 'a number from 0',
  schema: { type: 'number', minimum: 0 },
  holds: (value) => Number.isFinite(value) && Number(value) >= 0,
};
/** The same, or without end. */
const limit: Kind = { ...fromZero, holds: (value) => typeof value === 'number' && value >= 0 };

const slotCount = integerBetween(1, MOST_AT_ONCE);

/** The facts of {@link BatcherOptions}. */
export const batcherOptionFacts = {
  rows: {
    kind: either(slotCount, oneOf(['auto'])),
    help: 'rows of a step at most, two of a guided sample; auto: measured when the batch is opened',
    standard: 'auto',
    value: 'N',
  },
  stepTarget: {
    kind: positive,
    help: 'for auto: milliseconds that a step may take, the grain of joining and cancelling',
    standard: 250,
    value: 'MS',
  },
  slots: {
    kind: slotCount,
    help: 'samples that have a state on the device',
    otherwise: 'four for each row, at least 16',
    value: 'N',
  },
  order: {
    kind: oneOf(serviceOrders),
    help: 'share: fair between tenants, the short before the long; arrival; shortest: the best mean',
    standard: 'share',
    value: 'NAME',
  },
  stretch: { kind: fromZero, help: 'how much share favours short samples, 0: not at all', standard: 1, value: 'X' },
  maxWait: {
    kind: limit,
    help: 'milliseconds of expected waiting from which on requests are refused',
    standard: 30_000,
    value: 'MS',
  },
  maxWork: {
    kind: limit,
    help: 'most work of one request, in milliseconds of the full batch',
    standard: 600_000,
    value: 'MS',
  },
  maxWaitingBytes: {
    kind: limit,
    help: 'most bytes of init, noise and snapshots that requests hold',
    standard: 64 * 2 ** 20,
    otherwise: '64 MiB',
    value: 'BYTES',
  },
  memoryBudget: {
    kind: limit,
    help: 'bytes that the batch may take: it has fewer slots, then fewer rows',
    otherwise: 'no limit',
    value: 'BYTES',
  },
  weight: { kind: share, help: "share of the device's time among batches that have work", standard: 1, value: 'X' },
  sizes: {
    kind: oneOf(['fit', 'pad', 'one']),
    help: 'numbers of rows that a card makes no plans for: fit leaves rows out, pad adds some, one has full steps alone',
    standard: 'fit',
    value: 'NAME',
  },
  hostPrograms: {
    kind: integerFrom(0),
    help: 'adaptive samplers that run beside the batch at once, 0: they are refused',
    standard: 1,
    value: 'N',
  },
} as const satisfies OptionFacts<BatcherOptions>;

/** What {@link BatcherOptions} may be. */
export const batcherOptionKinds: OptionKinds<BatcherOptions> = kindsOf<BatcherOptions>(batcherOptionFacts);

/** The defaults of {@link BatcherOptions}. */
export const batcherDefaults = standardsOf(batcherOptionFacts);

/** The facts of {@link ServiceOptions}. */
export const serviceOptionFacts = {
  tenant: {
    kind: kinds.string,
    help: 'whose request it is: share is fair between tenants',
    standard: '',
    value: 'NAME',
  },
  weight: { kind: share, help: 'share of the tenant among the others', standard: 1, value: 'X' },
  priority: {
    kind: oneOf(priorities),
    help: 'samples of a higher one run first, whatever else is said of them',
    standard: 'normal',
    value: 'NAME',
  },
  deadline: {
    kind: positive,
    help: 'milliseconds from now after which the result is of no use: what is late is refused or ended',
    otherwise: 'none',
    value: 'MS',
  },
  previewOf: {
    kind: oneOf(previewKinds),
    help: 'what a preview shows: the state, noise included, or the data prediction',
    standard: 'state',
    value: 'NAME',
  },
} as const satisfies OptionFacts<ServiceOptions>;

/** The defaults of {@link ServiceOptions}. */
export const serviceDefaults = standardsOf(serviceOptionFacts);

const { batch: _, guides: __, guideForm: ___, constrain: ____, ...runKinds } = runOptionKinds;

/** What {@link BatchRunOptions} may be. */
export const batchRunKinds: OptionKinds<BatchRunOptions> = {
  ...runKinds,
  ...kindsOf<ServiceOptions>(serviceOptionFacts),
};

/**
 * What the options of devices, runs, batchers and requests are, for whoever offers them in another form: what each does, its default, and
 * what it may be in JSON.
 *
 * @example
 * ```ts
 * optionFacts.run.batch; // { help: 'most samples evaluated at once', standard: '16', value: 16, schema: { type: 'integer', … } }
 * ```
 */
export const optionFacts = {
  device: described(deviceOptionFacts),
  run: described(runOptionFacts),
  batcher: described(batcherOptionFacts),
  service: described(serviceOptionFacts),
} as const;
