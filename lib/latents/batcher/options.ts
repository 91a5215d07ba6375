import { kindsOf, standardsOf, type OptionFacts } from '../../base/option-facts.js';
import { integerFrom, kinds, type OptionKinds } from '../../base/option-kinds.js';
import {
  batcherOptionFacts,
  serviceOptionFacts,
  type BatcherOptions,
  type ServiceOptions,
} from '../../batch/options.js';
import type { OptionsOfSampler, SamplerName } from '../../samplers/index.js';
import { generateOptionFacts, type GenerateOptions } from '../generate-options.js';
import { loraList, type LoraOptions } from '../loras.js';

/** Options of a batcher of prompts; rows and slots are those of samples of one size, a guided one counts as one row. */
export interface PromptBatcherOptions extends Omit<BatcherOptions, 'compile'> {
  /**
   * Most sizes and sets of LoRAs that have a batch at once. A batch without requests goes for another; while there is none,
   * requests of others are refused. Default 4.
   */
  batches?: number | undefined;
  /** Most texts that are kept encoded while no request uses them. Default 16. */
  promptSlots?: number | undefined;
}

const { compile: _compile, ...batcherFacts } = batcherOptionFacts;

/** Facts about each option of {@link PromptBatcherOptions}. @internal */
export const promptBatcherFacts = {
  ...batcherFacts,
  batches: {
    kind: kinds.positiveInteger,
    help: 'sizes and sets of LoRAs that have a batch at once; idle ones go for others',
    standard: 4,
    value: 'N',
  },
  promptSlots: {
    kind: integerFrom(0),
    help: 'texts that are kept encoded while no request uses them',
    standard: 16,
    value: 'N',
  },
} as const satisfies OptionFacts<PromptBatcherOptions>;

/** @internal */
export const promptBatcherKinds: OptionKinds<PromptBatcherOptions> = kindsOf<PromptBatcherOptions>(promptBatcherFacts);

/** Defaults of {@link PromptBatcherOptions}. @internal */
export const promptBatcherDefaults = standardsOf(promptBatcherFacts);

/** Options of a request of prompts beside its sampler and that sampler's own. */
export interface PromptServiceOptions
  extends Omit<GenerateOptions, 'batch' | 'guides' | 'controls' | 'sampler' | 'steps' | 'gamma'>, ServiceOptions {
  /**
   * Low-rank additions (LoRA) in place of those that the pipeline has now. Requests with the same share a batch; the weights
   * that they change are loaded for the first of them.
   */
  loras?: readonly LoraOptions[] | undefined;
}

/** A request of prompts: a sampler by its name, its own options, and those of the images and of the service. */
export type PromptRequest<N extends SamplerName = SamplerName> =
  | { [K in N]: { sampler: K } & OptionsOfSampler<K> & PromptServiceOptions }[N]
  | ({ sampler?: undefined } & OptionsOfSampler<'scheduler'> & PromptServiceOptions);

const { batch: _, guides: __, controls: ___, sampler: ____, ...generating } = generateOptionFacts;

/** Facts about each option of a request of prompts, `steps` and `gamma` of its sampler included. @internal */
export const promptRequestFacts = {
  ...generating,
  ...serviceOptionFacts,
  loras: { kind: loraList, help: 'low-rank additions (LoRA) of the request', otherwise: "the pipeline's" },
} as const;

/** @internal */
export const promptRequestKinds = kindsOf<PromptServiceOptions & Pick<GenerateOptions, 'steps' | 'gamma'>>(
  promptRequestFacts,
);
