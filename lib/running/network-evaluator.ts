import { at, partOfEach } from '../base/arrays.js';
import { DpmError, nativeWork } from '../base/errors.js';
import type { DeviceTensor } from '../engine/device.js';
import { UNet } from '../engine/unet.js';
import type { Evaluator } from './evaluator.js';
import type { Guidance } from './guidance.js';
import type { RunNetwork } from './resolve-run.js';

/** A native network as the evaluator of host programs; a learned range becomes the second output. */
export class NetworkEvaluator implements Evaluator {
  constructor(
    private readonly unet: RunNetwork,
    private readonly labels: Int32Array | null,
    private readonly guidance: Guidance | null = null,
  ) {}

  async evaluate(
    input: DeviceTensor,
    times: Float32Array,
    output: DeviceTensor,
    head: DeviceTensor | null,
  ): Promise<void> {
    const { labels, guidance, unet } = this;
    const unconditional = guidance?.unconditionalLabel ?? -1;
    await nativeWork(() =>
      unet.native.predict(
        input.native,
        times,
        labels,
        guidance?.weights ?? null,
        unconditional,
        output.native,
        head?.native ?? null,
      ),
    );
  }

  async pushForward(
    input: DeviceTensor,
    times: Float32Array,
    tangent: DeviceTensor,
    output: DeviceTensor,
    outputTangent: DeviceTensor,
  ): Promise<void> {
    const unet = this.#differentiable();
    const classLabels = this.labels ?? undefined;
    const { inChannels, outChannels } = unet.info;
    if (inChannels === outChannels) {
      await unet.pushforward(input, times, { classLabels, tangent, out: output, outTangent: outputTangent });
      return;
    }
    // A learned range lies behind the prediction of every sample.
    const wide = await unet.pushforward(input, times, { classLabels, tangent });
    await copyFirstHalves(wide.out, output);
    await copyFirstHalves(wide.tangent, outputTangent);
  }

  async pullBack(
    input: DeviceTensor,
    times: Float32Array,
    cotangent: DeviceTensor,
    output: DeviceTensor,
    inputCotangent: DeviceTensor,
  ): Promise<void> {
    const unet = this.#differentiable();
    const classLabels = this.labels ?? undefined;
    const { inChannels, outChannels } = unet.info;
    if (inChannels === outChannels) {
      await unet.pullback(input, times, { classLabels, cotangent, out: output, gradient: inputCotangent });
      return;
    }
    const wide = await withSecondHalves(cotangent);
    try {
      const { out } = await unet.pullback(input, times, { classLabels, cotangent: wide, gradient: inputCotangent });
      await copyFirstHalves(out, output);
    } finally {
      wide.free();
    }
  }

  #differentiable(): UNet {
    const { unet, guidance } = this;
    if (unet instanceof UNet && guidance === null) return unet;
    throw new DpmError('ERR_DPM_UNSUPPORTED', 'only a network without guidance has a derivative');
  }
}

/** Zeros behind every sample: the cotangent of a learned range, which nothing depends on. */
async function withSecondHalves(tensor: DeviceTensor): Promise<DeviceTensor> {
  const values = await tensor.read();
  const [batch = 1, channels = 1, ...sides] = tensor.shape;
  const elements = values.length / batch;
  const wide = new Float32Array(2 * values.length);
  for (let n = 0; n < batch; ++n) wide.set(values.subarray(n * elements, (n + 1) * elements), 2 * n * elements);
  const result = tensor.device.tensor([batch, 2 * channels, ...sides]);
  await result.write(wide);
  return result;
}

async function copyFirstHalves(from: DeviceTensor, to: DeviceTensor): Promise<void> {
  const values = await from.read();
  from.free();
  const batch = at(to.shape, 0);
  await to.write(partOfEach(values, batch, 0, to.elements / batch));
}
