import { at } from '../base/arrays.js';
import type { DeviceTensor } from '../engine/device.js';
import type { Network } from '../engine/network.js';
import { sampleStreams } from '../engine/normals.js';
import { update } from '../engine/update.js';
import { linear, stepRecord } from '../program/builder.js';
import type { Evaluator } from '../run/evaluator.js';
import { type ChosenImages } from './chosen-images.js';
import { evaluatorOf, type NoisyModel } from './estimated-model.js';

/** Outputs of a network for noisy versions of a batch of images, in main memory. */
export interface NoisyPredictions {
  /** States x_t, [batch, …]. */
  states: ArrayLike<number>;
  /** The network's prediction, as many elements. */
  out: ArrayLike<number>;
  /** Second output, as many elements, null if not requested. */
  head: ArrayLike<number> | null;
}

export interface NoisyBatchOptions {
  /** Number of the first image in the random stream. */
  firstSample: number;
  seed: number | bigint;
  /** Default: the model's own. */
  network?: Network;
  /** Switch: the second output is kept. Default false. */
  head?: boolean;
  /** Signal that ends the wait for a model written in JavaScript. */
  signal?: AbortSignal | undefined;
}

/**
 * Batch of images on a model's device. Each evaluation makes one noisy version of every image, whose noise depends only on
 * the seed, the image and the time: neither on the batch nor on earlier evaluations.
 */
export class NoisyBatch {
  readonly images: DeviceTensor;
  /** The last evaluation's states, times its `inputScale`. */
  readonly noisy: DeviceTensor;
  readonly out: DeviceTensor;
  readonly head: DeviceTensor | null;
  readonly #model: NoisyModel;
  readonly #evaluator: Evaluator;
  readonly #options: NoisyBatchOptions;

  private constructor(model: NoisyModel, { indices, labels }: ChosenImages, options: NoisyBatchOptions) {
    const { network, signal } = options;
    const shape = [indices.length, ...model.sampleShape];
    this.#evaluator = evaluatorOf(model, { labels, batch: indices.length, network, signal });
    this.#model = model;
    this.#options = options;
    this.images = model.device.tensor(shape);
    this.noisy = model.device.tensor(shape);
    this.out = model.device.tensor(shape);
    this.head = options.head === true ? model.device.tensor(shape) : null;
  }

  /** @param images - Images, all of which make the batch. */
  static async open(model: NoisyModel, images: ChosenImages, options: NoisyBatchOptions): Promise<NoisyBatch> {
    const batch = new NoisyBatch(model, images, options);
    await batch.images.write(images.data);
    return batch;
  }

  /** Number of images. */
  get size(): number {
    return at(this.images.shape, 0);
  }

  /** Evaluates the network for `inputScale` times x_t, x_t = sqrt(A_t) x_0 + sqrt(B_t) eps. */
  async evaluate(time: number, inputScale = 1): Promise<void> {
    const { schedule } = this.#model;
    const { seed, firstSample } = this.#options;
    const record = schedule.discrete ? time : Math.round(time * schedule.steps);
    const streams = sampleStreams(this.size, { seed, firstSample, record, draw: 0 });
    const perturb = stepRecord({
      time: 0,
      x: linear({ y: inputScale * Math.sqrt(schedule.alphaBar(time)) }),
      variance: { kind: 'scalar', deviation: inputScale * Math.sqrt(schedule.betaBar(time)) },
    });
    await update(perturb, { x: this.noisy, y: this.images }, streams);
    const times = new Float32Array(this.size).fill(schedule.networkTime(time));
    await this.#evaluator.evaluate(this.noisy, times, this.out, this.head);
  }

  /** Evaluates as {@link NoisyBatch.evaluate}, and copies states and outputs to main memory. */
  async predict(time: number, inputScale = 1): Promise<NoisyPredictions> {
    await this.evaluate(time, inputScale);
    const states = await this.noisy.read();
    return {
      states: inputScale === 1 ? states : states.map((value) => value / inputScale),
      out: await this.out.read(),
      head: (await this.head?.read()) ?? null,
    };
  }

  free(): void {
    for (const tensor of [this.images, this.noisy, this.out, this.head]) tensor?.free();
  }
}
