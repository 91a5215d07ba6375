import { either, integerBetween, integerFrom, kinds, type Kind, type OptionKinds } from '../base/option-kinds.js';
import { MOST_AT_ONCE } from '../engine/binding.js';
import type { RunOptions } from '../run/options.js';
import { runOptionKinds } from '../run/options.js';
import type { OptionsOfSampler, SamplerName } from '../samplers/index.js';

/** Every {@link BatcherOptions.order}. */
export const serviceOrders = ['share', 'arrival', 'shortest'] as const;

/** In which order samples run where there are more than a step takes. */
export type ServiceOrder = (typeof serviceOrders)[number];

/** Every {@link ServiceOptions.priority}, the highest first. */
export const priorities = ['high', 'normal', 'low'] as const;

/** Samples of a higher one run first, whatever else is said of them. */
export type Priority = (typeof priorities)[number];

/** What a preview shows: the state as it is, noise included, or the data prediction. */
export type PreviewOf = 'state' | 'prediction';

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
  holds: (value) => typeof value === 'number' && value >= 1e-6 && value <= 1e6,
};
const positive: Kind = { expected: 'a positive number', holds: (value) => Number.isFinite(value) && Number(value) > 0 };
const fromZero: Kind = { expected: 'a number from 0', holds: (value) => Number.isFinite(value) && Number(value) >= 0 };
const limit: Kind = { expected: 'a number from 0', holds: (value) => typeof value === 'number' && value >= 0 };

function oneOf(names: readonly string[]): Kind {
  const expected = `one of ${names.join(', ')}`;
  return { expected, holds: (value) => typeof value === 'string' && names.includes(value) };
}

const slotCount = integerBetween(1, MOST_AT_ONCE);

/** What {@link BatcherOptions} may be. */
export const batcherOptionKinds: OptionKinds<BatcherOptions> = {
  rows: either(slotCount, oneOf(['auto'])),
  stepTarget: positive,
  slots: slotCount,
  order: oneOf(serviceOrders),
  stretch: fromZero,
  maxWait: limit,
  maxWork: limit,
  maxWaitingBytes: limit,
  memoryBudget: limit,
  weight: share,
  sizes: oneOf(['fit', 'pad', 'one']),
  hostPrograms: integerFrom(0),
};

const serviceOptionKinds: OptionKinds<ServiceOptions> = {
  tenant: kinds.string,
  weight: share,
  priority: oneOf(priorities),
  deadline: positive,
  previewOf: oneOf(['state', 'prediction']),
};

const { batch: _, guides: __, guideForm: ___, constrain: ____, ...runKinds } = runOptionKinds;

/** What {@link BatchRunOptions} may be. */
export const batchRunKinds: OptionKinds<BatchRunOptions> = { ...runKinds, ...serviceOptionKinds };
