import { requireObject } from '../base/checks.js';
import { untilAborted } from '../base/abort.js';
import { DpmError } from '../base/errors.js';
import { checkOptions, kinds, requireKind, type OptionKinds } from '../base/option-kinds.js';
import type { BatchCounts } from '../engine/binding.js';
import { checkedBatch, checkedTimes, networkTimes } from '../engine/inputs.js';
import { linear, stepProgram, stepRecord } from '../program/builder.js';
import type { Program } from '../program/program.js';
import type { RunResult } from '../run/network-run.js';
import type { RunModel } from '../run/resolve.js';
import type { OptionsOfSampler, SamplerName } from '../samplers/index.js';
import { splitOptions } from '../samplers/split-options.js';
import type { Admission, Refusals } from './admission.js';
import type { Asker } from './compile-queue.js';
import { Pace } from './pace.js';
import { leastEvaluations } from './demand.js';
import type { BatchEvent } from './events.js';
import type { Batches, RowSizes } from './batches.js';
import {
  batcherOptionKinds,
  batchRunKinds,
  type BatcherOptions,
  type BatchRequest,
  type BatchRunOptions,
  type SchedulerBatchRequest,
} from './options.js';
import { admissionBy, besideBy, openBatches, type BatcherCapacity } from './open-batches.js';
import { ProgramCache } from './program-cache.js';
import { Programs, type Compiler } from './programs.js';
import { eventsOfRequest, requirePreviewed, tellingEvents } from './request-events.js';
import { termsOf, Requests, type Served, type Watcher } from './requests.js';
import { traced } from './traced.js';

/** Model in the form that a batch takes. @internal */
export interface BatchedModel extends Compiler {
  /** Name of the model in traces. */
  readonly name: string;
  readonly run: RunModel;
  /** Sizes of the network without a second output. */
  readonly sizes: RowSizes;
  /** True if samples can be guided, which needs two rows in a step. */
  readonly isConditional: boolean;
  /** Releases a batcher that was closed. */
  released(batcher: Batcher): Promise<void> | void;
  /** Runs one evaluation outside of sampling, if the network gives more channels than it takes. */
  forward(x: Float32Array, t: number | ArrayLike<number>, labels: ArrayLike<number> | undefined): Promise<Float32Array>;
}

/** Counts of a batch's finished and pending work. */
export interface BatcherStats extends BatchCounts {
  /** Number of unfinished requests, those of adaptive samplers included. */
  unfinished: number;
  /** Number of refused requests. */
  refused: Refusals;
  /** Amount of accepted and unfinished work, in milliseconds of the full batch as fast as it is now. */
  backlog: number;
  /** Time that steps take now, over that which was measured when the batcher was opened: about 1, 3 on a machine three times as slow. */
  slowdown: number;
}

type ParsedRequest = ReturnType<typeof splitOptions<BatchRunOptions>>;

/** Separates the options of a request and checks those of its run. */
function parsedRequest(call: string, request: { sampler?: SamplerName | undefined }): ParsedRequest {
  const parsed = splitOptions<BatchRunOptions>(request, batchRunKinds);
  checkOptions(call, parsed.run, batchRunKinds);
  return parsed;
}

/** Options of {@link Batcher.forward}. */
export type BatchForwardOptions = Pick<BatchRunOptions, 'tenant' | 'weight' | 'priority' | 'deadline' | 'signal'> & {
  /** Class labels, one per sample. */
  classLabels?: ArrayLike<number> | undefined;
};

const forwardKinds: OptionKinds<BatchForwardOptions> = {
  tenant: batchRunKinds.tenant,
  weight: batchRunKinds.weight,
  priority: batchRunKinds.priority,
  deadline: batchRunKinds.deadline,
  signal: batchRunKinds.signal,
  classLabels: kinds.numbers,
};

/**
 * Batch of a model that requests join and leave at every evaluation. Each of their samples has a state of its own; the
 * samples that come first run. Close it when done; closing the model ends it, too.
 */
export class Batcher {
  /** Capacity of the batch. */
  readonly capacity: BatcherCapacity;
  readonly #model: BatchedModel;
  readonly #batches: Batches;
  readonly #admission: Admission;
  readonly #programs: Programs;
  readonly #requests: Requests;
  #closing: Promise<void> | null = null;

  private constructor(model: BatchedModel, batches: Batches, capacity: BatcherCapacity, options: BatcherOptions) {
    this.capacity = capacity;
    this.#model = model;
    this.#batches = batches;
    this.#admission = admissionBy(options);
    const cache = new ProgramCache();
    this.#programs = new Programs(model, { cache, admission: this.#admission }, options.compile);
    this.#requests = new Requests({
      model: model.run,
      batches,
      admission: this.#admission,
      programs: cache,
      pace: new Pace(capacity.curve, capacity.rows),
      beside: besideBy(options, this.#admission),
    });
  }

  /** Measures the network and allocates the memory of the batch. @internal */
  static async open(model: BatchedModel, given: BatcherOptions = {}): Promise<Batcher> {
    checkOptions('batcher', given, batcherOptionKinds);
    const options = { ...given };
    const network = await model.run.network(null);
    const { sizes, isConditional } = model;
    const { batches, capacity } = await openBatches({ network, sizes, least: isConditional ? 2 : 1 }, options);
    return new Batcher(model, batches, capacity, options);
  }

  /** Number of bytes that it has allocated. */
  get memory(): number {
    return this.#batches.bytes;
  }

  /**
   * Draws samples as `model.sample` does, with the same result.
   *
   * @throws {@link DpmError} `ERR_DPM_OVERLOADED` or `ERR_DPM_DEADLINE` with `retryAfterMs` if the request cannot be
   * finished in time, `ERR_DPM_CLOSED` if the batcher takes no more requests; and the errors of `model.sample`.
   *
   * @example
   * ```ts
   * await using batcher = await model.batcher();
   * const { images } = await batcher.sample({ sampler: 'unipc', steps: 10, seed: 7 });
   * ```
   */
  async sample<N extends SamplerName>(
    request: ({ sampler: N } & OptionsOfSampler<N> & BatchRunOptions) | SchedulerBatchRequest,
  ): Promise<RunResult> {
    return (await this.#serve(parsedRequest('sample', request), {})).result;
  }

  /**
   * Runs a program, or one per sample, as `model.run` does.
   *
   * @throws {@link DpmError} The errors of {@link Batcher.sample}.
   */
  async run(program: Program | readonly Program[], options: BatchRunOptions = {}): Promise<RunResult> {
    checkOptions('run', options, batchRunKinds);
    const work = (): Promise<Served> => this.#requests.perform({ find: () => ({ made: program }) }, options);
    return (await traced(this.#model.name, { sampler: null, tenant: options.tenant }, work)).result;
  }

  /**
   * Draws samples and yields events meanwhile. Leaving the loop ends the request. Previews come with `previewEvery`: at
   * most 20 of a sample, of at most 4 samples.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for wrong options at the call; then the errors of
   * {@link Batcher.sample}.
   *
   * @example
   * ```ts
   * for await (const event of batcher.stream({ sampler: 'ddim', steps: 25, previewEvery: 5 })) {
   *   if (event.type === 'image') await event.image.save('digit.png');
   * }
   * ```
   */
  stream<N extends SamplerName>(
    request: ({ sampler: N } & OptionsOfSampler<N> & BatchRunOptions) | SchedulerBatchRequest,
  ): AsyncGenerator<BatchEvent, void, void> {
    const parsed = parsedRequest('stream', request);
    const { run } = parsed;
    if (run.snapshotEvery !== undefined && run.snapshotEvery !== 0) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        'snapshotEvery is for requests that end with a result; a stream takes previewEvery',
      );
    }
    requirePreviewed(run.previewEvery, run.count ?? 1);
    return eventsOfRequest(run.signal, (queue, signal) =>
      this.#serve({ ...parsed, run: { ...run, signal } }, tellingEvents(queue, run.previewEvery)),
    );
  }

  /**
   * Runs one evaluation, which joins the batch.
   *
   * @param x - States [batch, C, H, W], row-major.
   * @param t - Number that enters the time embedding, one for all samples or one per sample.
   * @returns The prediction, [batch, output channels, H, W]: the result of `unet.forward`.
   * @throws {@link DpmError} The errors of {@link Batcher.sample}; `ERR_DPM_TENSOR_SHAPE` if `x` holds no whole
   * samples.
   */
  async forward(
    x: Float32Array,
    t: number | ArrayLike<number>,
    options: BatchForwardOptions = {},
  ): Promise<Float32Array> {
    checkOptions('forward', options, forwardKinds);
    requireKind('x', x, kinds.floats);
    requireKind('t', t, networkTimes);
    const { image, out } = this.#model.sizes;
    if (out !== image) {
      return this.#requests.other(options, (signal) =>
        untilAborted(signal, () => this.#model.forward(x, t, options.classLabels)),
      );
    }
    const count = checkedBatch(x.length, image);
    const times = checkedTimes(t, count);
    // One program serves all samples of one time.
    const distinct = typeof t === 'number' ? times.subarray(0, 1) : times;
    const programs = Array.from(distinct, (time) => stepProgram([stepRecord({ time, x: linear({ out: 1 }) })]));
    const { result } = await this.#requests.perform(
      { find: () => ({ made: programs }) },
      { ...options, count, init: x },
    );
    return result.images.data;
  }

  /** Estimates the milliseconds until a request would begin. */
  expectedWait(request: Pick<BatchRequest, 'tenant' | 'priority'> = {}): number {
    requireObject('the request', request);
    this.#requests.observe();
    return this.#admission.expectedWait(termsOf(request));
  }

  /**
   * Refuses a request for which there is no room now, and counts the refusal: a server that is full asks before it makes anything of
   * a request.
   *
   * @returns The milliseconds of {@link Batcher.expectedWait}.
   * @throws {@link DpmError} `ERR_DPM_OVERLOADED` with `retryAfterMs`.
   */
  requireRoom(request: Pick<BatchRequest, 'tenant' | 'priority'> = {}): number {
    requireObject('the request', request);
    return this.#requests.requireRoom(termsOf(request));
  }

  /** Counts of the finished and pending work. */
  stats(): BatcherStats {
    const { unfinished } = this.#requests;
    const counts = this.#requests.observe();
    const { refused, backlog, slowdown } = this.#admission;
    return { ...counts, unfinished, refused: { ...refused }, backlog, slowdown };
  }

  /** Refuses new requests with `ERR_DPM_CLOSED`, and waits for the accepted ones. */
  async drain(): Promise<void> {
    this.#requests.refuse('the batcher takes no more requests');
    await this.#requests.settled();
  }

  /** Ends all requests with `ERR_DPM_CLOSED` and releases everything. Can be called again. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#requests.refuse('the batcher is closed');
    this.#requests.end(new DpmError('ERR_DPM_CLOSED', 'the batcher was closed'));
    await this.#batches.close();
    await this.#requests.settled();
    await this.#model.released(this);
  }

  #serve({ sampler, own, run }: ParsedRequest, watcher: Watcher): Promise<Served> {
    const program = {
      find: (asker: Asker) => this.#programs.find(sampler, own, asker),
      evaluations: leastEvaluations(own),
    };
    return traced(this.#model.name, { sampler, tenant: run.tenant }, () =>
      this.#requests.perform(program, run, watcher),
    );
  }
}
