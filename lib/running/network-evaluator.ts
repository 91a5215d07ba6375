import { nativeWork } from '../base/errors.js';
import type { DeviceTensor } from '../engine/device.js';
import type { UNet } from '../engine/unet.js';
import { update } from '../engine/update.js';
import { linear, stepRecord } from '../program/builder.js';
import type { Evaluator } from './evaluator.js';
import type { Guidance } from './guidance.js';

/** A native network as the evaluator of host programs; a learned range becomes the second output. */
export class NetworkEvaluator implements Evaluator {
  readonly #unet: UNet;
  readonly #labels: Int32Array | null;
  readonly #guidance: Guidance | null;
  readonly #splits: boolean;

  constructor(unet: UNet, labels: Int32Array | null, guidance: Guidance | null = null) {
    this.#unet = unet;
    // As in the native loop, a weight of 0 leaves the unconditional evaluation alone, its second output too.
    this.#labels =
      guidance === null || labels === null
        ? labels
        : labels.map((label, i) => (guidance.weights[i] === 0 ? guidance.unconditionalLabel : label));
    this.#guidance = guidance;
    this.#splits = unet.info.outChannels !== unet.info.inChannels;
  }

  async evaluate(
    input: DeviceTensor,
    times: Float32Array,
    output: DeviceTensor,
    head: DeviceTensor | null,
  ): Promise<void> {
    await this.#predict(input, times, this.#labels, output, head);
    if (this.#guidance === null) return;
    const { weights, unconditionalLabel } = this.#guidance;
    const unconditional = this.#unet.device.tensor(output.shape);
    try {
      await this.#predict(input, times, new Int32Array(times.length).fill(unconditionalLabel), unconditional, null);
      const mixes = Array.from(weights, (weight) => stepRecord({ time: 0, x: linear({ x: weight, y: 1 - weight }) }));
      await update(mixes, { x: output, y: unconditional });
    } finally {
      unconditional.free();
    }
  }

  async #predict(
    input: DeviceTensor,
    times: Float32Array,
    labels: Int32Array | null,
    output: DeviceTensor,
    head: DeviceTensor | null,
  ): Promise<void> {
    if (this.#splits) {
      await this.#predictSplit(input, times, labels, output, head);
      return;
    }
    const unused = head === null && this.#unet.hasHead ? this.#unet.device.tensor(output.shape) : null;
    const second = head ?? unused;
    const batch = times.length;
    await nativeWork(() =>
      this.#unet.native.forward(batch, input.native, times, labels, output.native, second?.native ?? null),
    ).finally(() => unused?.free());
  }

  /** Through main memory: the two halves of the channels lie interleaved by sample. */
  async #predictSplit(
    input: DeviceTensor,
    times: Float32Array,
    labels: Int32Array | null,
    output: DeviceTensor,
    head: DeviceTensor | null,
  ): Promise<void> {
    const batch = times.length;
    const half = output.elements / batch;
    const both = new Float32Array(2 * output.elements);
    const x = await input.read();
    await nativeWork(() => this.#unet.native.forward(batch, x, times, labels, both, null));
    const part = (offset: number): Float32Array => {
      const values = new Float32Array(output.elements);
      for (let sample = 0; sample < batch; ++sample) {
        const start = (2 * sample + offset) * half;
        values.set(both.subarray(start, start + half), sample * half);
      }
      return values;
    };
    await output.write(part(0));
    await head?.write(part(1));
  }
}
