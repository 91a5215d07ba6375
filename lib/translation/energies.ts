import { at, elementCount } from '../base/arrays.js';
import type { Network } from '../engine/network.js';
import type { DiffusionModel } from '../model.js';
import type { Guide } from '../guidance/guide.js';
import { amplitudesOfNetworkTime } from '../schedule/network-level.js';
import { noised } from '../schedule/noise-level.js';
import { LowPass } from './low-pass.js';
import type { CheckedOptions } from './options.js';
import { similarityGradient, type Similarity } from './similarity.js';

/** Energies of EGSDE: the noised source is compared with the state at every step. */
export class Energies {
  readonly #lowPass: LowPass;

  constructor(
    private readonly model: DiffusionModel,
    private readonly features: Network,
    private readonly sources: Float32Array,
    private readonly options: CheckedOptions,
  ) {
    const [, height, width] = model.sampleShape;
    this.#lowPass = new LowPass(height, width, options.factor, 'triangle');
  }

  /** Computes minus the gradient of the weighted energies; the source's noise is the same for all steps. */
  guide(noise: Float32Array): Guide {
    const elements = elementCount(this.model.sampleShape);
    return async (y, times, first) => {
      const level = amplitudesOfNetworkTime(this.model.schedule, at(times, 0));
      const [from, to] = [first * elements, first * elements + y.length];
      const x = noised(this.sources.subarray(from, to), noise.subarray(from, to), level);
      const { lambdaS, lambdaI, similarity } = this.options;
      const faithfulness = this.#lowPass.gradient(y, x);
      const result = Float32Array.from(faithfulness, (value) => -lambdaI * value);
      if (lambdaS === 0) return result;
      const realism = await this.#realism(similarity, y, x, times);
      return result.map((value, i) => value - lambdaS * at(realism, i));
    };
  }

  async #realism(similarity: Similarity, y: Float32Array, x: Float32Array, times: Float32Array): Promise<Float32Array> {
    const { features } = this;
    const [ofY, ofX] = [await features.forward(y, times), await features.forward(x, times)];
    const rows = times.length;
    const places = ofY.out.length / rows / features.info.outChannels;
    const cotangent = similarityGradient(similarity, ofY.out, ofX.out, rows, places);
    return (await features.pullback(y, times, { cotangent })).gradient;
  }
}
