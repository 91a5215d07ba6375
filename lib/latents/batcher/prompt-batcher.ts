import { elementCount } from '../../base/arrays.js';
import { requireObject } from '../../base/checks.js';
import { DpmError } from '../../base/errors.js';
import { checkOptions, kinds } from '../../base/option-kinds.js';
import type { Admission } from '../../batch/admission.js';
import type { BatcherStats } from '../../batch/batcher.js';
import type { BatchEvent } from '../../batch/events.js';
import { admissionBy, besideBy, type BatcherCapacity } from '../../batch/open-batches.js';
import type { BatchRunOptions } from '../../batch/options.js';
import { eventsOfRequest, requirePreviewed, tellingEvents } from '../../batch/request-events.js';
import { termsOf, type Served, type Watcher } from '../../batch/requests.js';
import { traced } from '../../batch/traced.js';
import type { GivenLora } from '../../checkpoint/pipelines/lora/with-loras.js';
import { ImageBatch } from '../../images/image-batch.js';
import type { SamplerName } from '../../samplers/index.js';
import { splitOptions } from '../../samplers/split-options.js';
import type { BegunProgram } from '../call-program.js';
import type { GenerateOptions } from '../generate-options.js';
import type { Generated } from '../generated.js';
import { checkedLoras } from '../loras.js';
import {
  callDefaults,
  completeCall,
  previewDecoder,
  programOfCall,
  shapeOfImages,
  type CallParts,
} from '../pipeline-call.js';
import { previewOptions, PreviewQueue } from '../preview-queue.js';
import { resolveCall, type GenerateCall } from '../resolve-call.js';
import type { SwappedNetworks } from '../swapped-networks.js';
import { DecodedImages } from './decoded-images.js';
import { Lanes } from './lanes.js';
import {
  promptBatcherDefaults,
  promptBatcherKinds,
  promptRequestKinds,
  type PromptBatcherOptions,
  type PromptRequest,
  type PromptServiceOptions,
} from './options.js';

/** Pipeline in the form that a batcher takes. @internal */
export interface PromptedModel {
  /** Name of the pipeline in traces. */
  readonly name: string;
  readonly networks: SwappedNetworks;
  /** Parts that calls are completed with, those of now. */
  parts(): CallParts;
  /** Releases a batcher that was closed. */
  released(batcher: PromptBatcher): void;
}

const sizeKinds = { height: kinds.positiveInteger, width: kinds.positiveInteger };

/** Counts of a batcher of prompts. */
export interface PromptBatcherStats extends BatcherStats {
  /** Number of batches, one for each size and set of LoRAs. */
  batches: number;
  /** Number of texts that are kept encoded. */
  prompts: number;
  /** Number of samples whose texts are in use. */
  prompted: number;
}

/** A request that no longer depends on its caller's arrays. */
interface Parsed {
  readonly sampler: SamplerName;
  readonly call: GenerateCall;
  readonly begun: BegunProgram;
  readonly loras: readonly GivenLora[] | null;
  readonly service: BatchRunOptions;
}

/** What a request ended with, beside its images. */
interface ServedPrompts extends Served {
  readonly truncated: readonly boolean[];
  readonly tile: number | null;
}

/**
 * Batch of a pipeline that requests of prompts join and leave at every evaluation, whatever their texts, steps and samplers are;
 * those of another size or with other LoRAs have a batch of their own. Results are those of {@link TextToImage.generate}. Close
 * it when done; closing the pipeline ends it, too.
 */
export class PromptBatcher {
  /** Capacity of the batch of the pipeline's own size, in guided samples. */
  readonly capacity: BatcherCapacity;
  readonly #model: PromptedModel;
  readonly #lanes: Lanes;
  readonly #admission: Admission;
  readonly #work = new Set<Promise<unknown>>();
  #closing: Promise<void> | null = null;

  private constructor(model: PromptedModel, lanes: Lanes, admission: Admission, capacity: BatcherCapacity) {
    this.capacity = capacity;
    this.#model = model;
    this.#lanes = lanes;
    this.#admission = admission;
  }

  /** Measures the pipeline at its own size and allocates the memory of that batch. @internal */
  static async open(model: PromptedModel, given: PromptBatcherOptions = {}): Promise<PromptBatcher> {
    checkOptions('batcher', given, promptBatcherKinds);
    const { batches = promptBatcherDefaults.batches, promptSlots = promptBatcherDefaults.promptSlots } = given;
    const { batches: _batches, promptSlots: _slots, ...options } = given;
    const admission = admissionBy(options);
    const beside = besideBy(options, admission);
    const { unet, ...parts } = model.parts();
    const { networks } = model;
    const lanes = new Lanes({ parts, networks, admission, beside, options, most: batches, promptSlots });
    const side = unet.sampleSize;
    try {
      const { capacity } = await lanes.using(null, { height: side, width: side }, ({ pace }) => Promise.resolve(pace));
      return new PromptBatcher(model, lanes, admission, capacity);
    } catch (error) {
      await lanes.close(new DpmError('ERR_DPM_CLOSED', 'the batcher could not be opened'));
      throw error;
    }
  }

  /** Number of bytes that its batches have allocated. */
  get memory(): number {
    return this.#lanes.bytes;
  }

  /**
   * Draws images of texts as `pipeline.generate` does, with the same result.
   *
   * @throws {@link DpmError} `ERR_DPM_OVERLOADED` or `ERR_DPM_DEADLINE` with `retryAfterMs` if the request cannot be
   * finished in time, `ERR_DPM_CLOSED` if the batcher takes no more requests; and the errors of `pipeline.generate`.
   *
   * @example
   * ```ts
   * await using batcher = await pipeline.batcher();
   * const { images } = await batcher.generate({ prompt: 'a red fox', sampler: 'unipc', steps: 10, seed: 7 });
   * ```
   */
  async generate(request: PromptRequest): Promise<Generated> {
    const parsed = this.#parsed('generate', request, true);
    const { call } = parsed;
    const { vae } = this.#model.parts();
    const shape = shapeOfImages(vae, call, call.count);
    const isDecoded = call.output === 'images';
    // Nothing is allocated for what is refused.
    let data = new Float32Array();
    const watcher: Watcher = {
      image(sample, image) {
        if (isDecoded && data.length === 0) data = new Float32Array(elementCount(shape));
        if (isDecoded) data.set(image.data, (sample * data.length) / call.count);
      },
    };
    const { result, truncated, tile } = await this.#serve(parsed, watcher, new PreviewQueue());
    const images = isDecoded ? new ImageBatch(data, shape) : null;
    return { images, latents: result.images.data, truncated, tile };
  }

  /**
   * Draws images and yields events meanwhile; leaving the loop ends the request. Previews come with `previewEvery`, by the small
   * autoencoder: at most 20 of an image, of at most 4 images. With `output: 'latents'` events carry latents for images.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for wrong options at the call; then the errors of {@link PromptBatcher.generate}.
   *
   * @example
   * ```ts
   * for await (const event of batcher.stream({ prompt: 'a red fox', count: 4 })) {
   *   if (event.type === 'image') await event.image.save(`fox-${event.sample}.png`);
   * }
   * ```
   */
  stream(request: PromptRequest): AsyncGenerator<BatchEvent, void, void> {
    requireObject('the request', request);
    const { previewEvery, ...rest } = request;
    if (previewEvery !== undefined) checkOptions('stream', { previewEvery }, promptRequestKinds);
    const parsed = this.#parsed('stream', rest, false);
    requirePreviewed(previewEvery, parsed.call.count);
    if (previewEvery !== undefined) previewDecoder(this.#model.parts());
    return eventsOfRequest(parsed.call.signal, (queue, signal) =>
      this.#serve(
        { ...parsed, call: { ...parsed.call, signal } },
        tellingEvents(queue, previewEvery),
        new PreviewQueue(),
      ),
    );
  }

  /**
   * Opens the batch of a size, if there is none, which is measured then: so the first request of that size does not wait for it.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for sides that no images have, and the errors of {@link TextToImage.batcher};
   * `ERR_DPM_OVERLOADED` if there are as many batches as may be and none is idle.
   *
   * @example
   * ```ts
   * await batcher.prepare({ height: 512, width: 768 });
   * ```
   */
  async prepare(size: Pick<GenerateOptions, 'height' | 'width'>): Promise<void> {
    checkOptions('prepare', size, sizeKinds);
    const { height, width } = resolveCall({ ...size, prompt: '' }, callDefaults(this.#model.parts()), false);
    await this.#lanes.using(null, { height, width }, () => Promise.resolve());
  }

  /** Estimates the milliseconds until a request would begin. */
  expectedWait(request: Pick<PromptServiceOptions, 'tenant' | 'priority'> = {}): number {
    requireObject('the request', request);
    this.#lanes.observe();
    return this.#admission.expectedWait(termsOf(request));
  }

  /** Works as {@link Batcher.requireRoom}. */
  requireRoom(request: Pick<PromptServiceOptions, 'tenant' | 'priority'> = {}): number {
    requireObject('the request', request);
    this.#lanes.observe();
    return this.#admission.requireRoom(termsOf(request));
  }

  /** Counts of the finished and pending work, and of what is kept for requests. */
  stats(): PromptBatcherStats {
    const counts = this.#lanes.observe();
    const { refused, backlog, slowdown } = this.#admission;
    const { count: batches, held } = this.#lanes;
    const work = { unfinished: this.#work.size, refused: { ...refused }, backlog, slowdown };
    return { ...counts, ...work, batches, ...held };
  }

  /** Refuses new requests with `ERR_DPM_CLOSED`, and waits for the accepted ones. */
  async drain(): Promise<void> {
    this.#lanes.refuse('the batcher takes no more requests');
    await Promise.allSettled(this.#work);
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
    this.#lanes.refuse('the batcher is closed');
    await this.#lanes.close(new DpmError('ERR_DPM_CLOSED', 'the batcher was closed'));
    await Promise.allSettled(this.#work);
    this.#model.released(this);
  }

  /** Checks and completes a request, whose program is compiled. */
  #parsed(who: string, request: PromptRequest, isKept: boolean): Parsed {
    const { sampler, own, run } = splitOptions<PromptServiceOptions & GenerateOptions>(request, promptRequestKinds);
    checkOptions(who, run, promptRequestKinds);
    this.#lanes.requireOpen();
    const { loras, tenant, weight, priority, deadline, previewOf, ...options } = run;
    const parts = this.#model.parts();
    const call = { ...completeCall(parts, { ...options, sampler }, { who, isKept }), own };
    const service = { tenant, weight, priority, deadline, previewOf };
    const begun = this.#admission.clock.charging(termsOf(service), () => programOfCall(parts, call));
    return {
      sampler,
      call,
      begun,
      loras: loras === undefined ? null : checkedLoras(loras),
      service,
    };
  }

  async #serve(parsed: Parsed, watcher: Watcher, previews: PreviewQueue): Promise<ServedPrompts> {
    const served = this.#served(parsed, watcher, previews);
    this.#work.add(served);
    try {
      return await served;
    } finally {
      this.#work.delete(served);
    }
  }

  async #served({ sampler, call, begun, loras, service }: Parsed, watcher: Watcher, previews: PreviewQueue) {
    // What is refused at once takes no lane from others.
    this.#admission.requireRoom(termsOf(service));
    const images = new DecodedImages(this.#model.parts().vae, call);
    let cut: readonly boolean[] = [];
    const told = {
      ...watcher,
      ...this.#decoding(call, watcher, { images, previews }),
      begun: (signal: AbortSignal, samples: readonly boolean[]): void => {
        images.endWith(signal);
        cut = samples;
      },
      done: async (): Promise<void> => {
        await Promise.all([images.done(), previews.shown()]);
      },
    };
    const options = { ...service, ...this.#runOptions(call, previews) };
    const served = await this.#lanes.using(loras, call, (lane) =>
      traced(this.#model.name, { sampler, tenant: service.tenant }, () => lane.perform(call, begun, options, told)),
    );
    return { ...served, truncated: cut, tile: images.tile };
  }

  /** Decodes what the batch shows before the watcher sees it. */
  #decoding(
    call: GenerateCall,
    watcher: Watcher,
    { images, previews }: { images: DecodedImages; previews: PreviewQueue },
  ): Watcher {
    const { previewEvery } = watcher;
    const image = (sample: number, latents: ImageBatch): void => {
      images.add(latents, async (decoded) => {
        // Its previews come before.
        await previews.shown();
        watcher.image?.(sample, decoded);
      });
    };
    if (previewEvery === undefined) return { image };
    const decoder = previewDecoder(this.#model.parts());
    const shown = previewOptions(
      decoder,
      call,
      (decoded, { record, first }) => watcher.preview?.(first, record, decoded),
      previews,
    );
    return {
      image,
      preview(sample, record, latents) {
        shown.onPreview?.(latents, { record, first: sample });
      },
    };
  }

  /** Options of the run that are known before the request is accepted. */
  #runOptions(call: GenerateCall, previews: PreviewQueue): BatchRunOptions {
    const { count, seed, first, noise, signal, onProgress, onPreview } = call;
    return {
      ...{ count, seed, first, noise, signal, onProgress },
      ...(onPreview && previewOptions(previewDecoder(this.#model.parts()), call, onPreview, previews)),
    };
  }
}
