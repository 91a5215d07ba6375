import { at, partOfEach } from '../base/arrays.js';
import { DpmError, nativeWork } from '../base/errors.js';
import type { DeviceTensor } from '../engine/device.js';
import { Network } from '../engine/network.js';
import type { Evaluator } from './evaluator.js';
import type { Guidance } from '../guidance/classifier-free.js';
import type { RunNetwork } from './resolve.js';

/** Evaluator of host programs that uses a native network; a learned range becomes the second output. */
export class NetworkEvaluator implements Evaluator {
  constructor(
    private readonly network: RunNetwork,
    private readonly labels: Int32Array | null,
    private readonly guidance: Guidance | null = null,
  ) {}

  async evaluate(
    input: DeviceTensor,
    times: Float32Array,
    output: DeviceTensor,
    head: DeviceTensor | null,
  ): Promise<void> {
    const { labels, guidance, network } = this;
    const unconditional = guidance?.unconditionalLabel ?? -1;
    await nativeWork(() =>
      network.native.predict(
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
    const network = this.#differentiable();
    const classLabels = this.labels ?? undefined;
    const { inChannels, outChannels } = network.info;
    if (inChannels === outChannels) {
      await network.pushforward(input, times, { classLabels, tangent, out: output, outTangent: outputTangent });
      return;
    }
    // A learned range follows the prediction of every sample.
    const wide = await network.pushforward(input, times, { classLabels, tangent });
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
    const network = this.#differentiable();
    const classLabels = this.labels ?? undefined;
    const { inChannels, outChannels } = network.info;
    if (inChannels === outChannels) {
      await network.pullback(input, times, { classLabels, cotangent, out: output, gradient: inputCotangent });
      return;
    }
    const wide = await withSecondHalves(cotangent);
    try {
      const { out } = await network.pullback(input, times, { classLabels, cotangent: wide, gradient: inputCotangent });
      await copyFirstHalves(out, output);
    } finally {
      wide.free();
    }
  }

  #differentiable(): Network {
    const { network, guidance } = this;
    if (network instanceof Network && guidance === null) return network;
    throw new DpmError('ERR_DPM_UNSUPPORTED', 'only a network without guidance has a derivative');
  }
}

/** Appends zeros to every sample: the cotangent of a learned range, which nothing depends on. */
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
