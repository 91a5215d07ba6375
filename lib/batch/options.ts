import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
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
import type { RunOptions } from '../run/options.js';
import { runOptionKinds } from '../run/options.js';
import type { CompileElsewhere } from '../samplers/compile.js';
import type { OptionsOfSampler, SamplerName } from '../samplers/index.js';

/** Every {@link BatcherOptions.order}. */
export const serviceOrders = ['share', 'arrival', 'shortest'] as const;

/** Order in which samples run if there are more than a step takes. */
export type ServiceOrder = (typeof serviceOrders)[number];

/** Every {@link ServiceOptions.priority}, the highest first. */
export const priorities = ['high', 'normal', 'low'] as const;

/** Priority of samples: those of a higher one run first, regardless of other options. */
export type Priority = (typeof priorities)[number];

/** Every {@link PreviewOf}. */
export const previewKinds = ['state', 'prediction'] as const;

/** Content of a preview: the state as it is, noise included, or the data prediction. */
export type PreviewOf = (typeof previewKinds)[number];

/** Options of a batch, of a network or of a function. */
export interface BatcherOptions {
  /**
   * Maximum number of rows in a step; a guided sample takes two. `auto`, the default: the smallest number that reaches
   * 97 % of the best throughput measured when it is opened, but none whose evaluation takes longer than `stepTarget`.
   */
  rows?: number | 'auto' | undefined;
  /**
   * Maximum time of an evaluation for `rows: 'auto'`, in milliseconds; requests join only between steps. Default 250.
   */
  stepTarget?: number | undefined;
  /** Number of samples that have a state on the device. Default: four for each row, at least 16. */
  slots?: number | undefined;
  /**
   * Order of samples. `share`: fair between tenants; within a tenant short samples before long ones, without starving
   * any. `arrival`: first come, first served. `shortest`: the best mean, but long samples wait. Default `share`.
   */
  order?: ServiceOrder | undefined;
  /** Factor, from 0 (not at all), by which `share` favours short samples. Default 1. */
  stretch?: number | undefined;
  /**
   * Maximum expected wait in milliseconds, above which requests are refused. A request that was accepted and has waited a tenth
   * longer, as the device has become slower, is refused then. Default 30,000.
   */
  maxWait?: number | undefined;
  /** Maximum work of one request, in milliseconds of the full batch. Default 600,000. */
  maxWork?: number | undefined;
  /** Maximum number of bytes of `init`, `noise` and states of `snapshotEvery` that requests hold. Default 64 MiB. */
  maxWaitingBytes?: number | undefined;
  /** Maximum number of bytes of the batch: to fit, it takes fewer slots, then fewer rows. Default: no limit. */
  memoryBudget?: number | undefined;
  /** Share of the device's time among the batches on it that have work. Default 1. */
  weight?: number | undefined;
  /**
   * Treatment of steps whose number of rows a card makes no plans for. `fit`: rows are left out if that gives more rows
   * per second; `pad`: padding rows are added; `one`: every step is computed at its full size, so that no sample's bits
   * depend on the others. On the cpu there are no such sizes, and bits never depend on other samples. Default `fit`.
   */
  sizes?: 'fit' | 'pad' | 'one' | undefined;
  /** Number of adaptive samplers that run at once beside the batch; 0: they are refused. Default 1. */
  hostPrograms?: number | undefined;
  /**
   * Function that makes long programs elsewhere, e.g. by `compileTask` in a thread, so that they do not block the event loop.
   * Default: they are made here.
   */
  compile?: CompileElsewhere | undefined;
}

/** Options of a request beside those of sampling. */
export interface ServiceOptions {
  /** Tenant of the request; `share` is fair between tenants. Default ''. */
  tenant?: string | undefined;
  /** Share of the tenant among the others. Default 1. */
  weight?: number | undefined;
  /** Priority of the request. Default `normal`. */
  priority?: Priority | undefined;
  /** Deadline in milliseconds from now. A request that cannot be done by then is refused or ended. */
  deadline?: number | undefined;
  /** Content of previews. Default `state`. */
  previewOf?: PreviewOf | undefined;
}

/** Options of a run in a batch, which chooses the number of samples evaluated at once. */
export type BatchRunOptions = Omit<RunOptions, 'batch' | 'guides' | 'guideForm' | 'constrain'> & ServiceOptions;

/** A request: a sampler by its name, its own options, those of a run and of the service. */
export type BatchRequest<N extends SamplerName = SamplerName> =
  { [K in N]: { sampler: K } & OptionsOfSampler<K> & BatchRunOptions }[N] | SchedulerBatchRequest;

/** Request that is sampled by the model's scheduler file. */
export type SchedulerBatchRequest = { sampler?: undefined } & OptionsOfSampler<'scheduler'> & BatchRunOptions;

/** Kind of shares of time or of tenants. */
const share: Kind = {
  expected: 'a number from 1e-6 to 1e6',
  schema: { type: 'number', minimum: 1e-6, maximum: 1e6 },
  holds: (value) => typeof value === 'number' && value >= 1e-6 && value <= 1e6,
};
const fromZero: Kind = {
  expected: 'a number from 0',
  schema: { type: 'number', minimum: 0 },
  holds: (value) => Number.isFinite(value) && Number(value) >= 0,
};
/** Kind of limits, which may be infinite. */
const limit: Kind = { ...fromZero, holds: (value) => typeof value === 'number' && value >= 0 };

const slotCount = integerBetween(1, MOST_AT_ONCE);

/** Facts about each option of {@link BatcherOptions}. */
export const batcherOptionFacts = {
  rows: {
    kind: either(slotCount, oneOf(['auto'])),
    help: 'rows of a step at most, two of a guided sample; auto: measured when the batch is opened',
    standard: 'auto',
    value: 'N',
  },
  stepTarget: {
    kind: kinds.positive,
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
    help: 'milliseconds of expected waiting from which on requests are refused; who has waited a tenth longer is refused, too',
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
  compile: { kind: kinds.function, help: 'makes long programs elsewhere, e.g. by compileTask in a thread' },
} as const satisfies OptionFacts<BatcherOptions>;

/** Kind of each option of {@link BatcherOptions}. */
export const batcherOptionKinds: OptionKinds<BatcherOptions> = kindsOf<BatcherOptions>(batcherOptionFacts);

/** Defaults of {@link BatcherOptions}. */
export const batcherDefaults = standardsOf(batcherOptionFacts);

/** Facts about each option of {@link ServiceOptions}. */
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
    kind: kinds.positive,
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

/** Defaults of {@link ServiceOptions}. */
export const serviceDefaults = standardsOf(serviceOptionFacts);

const { batch: _, guides: __, guideForm: ___, constrain: ____, ...runKinds } = runOptionKinds;

/** Kind of each option of {@link BatchRunOptions}. */
export const batchRunKinds: OptionKinds<BatchRunOptions> = {
  ...runKinds,
  ...kindsOf<ServiceOptions>(serviceOptionFacts),
};
