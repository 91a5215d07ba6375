import { nativeWork } from '../base/errors.js';
import type { DeviceTensor } from '../engine/device.js';
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
}
