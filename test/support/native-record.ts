import type { DiffusionModel } from '../../lib/model.js';
import type { StepRecord } from '../../lib/program/record.js';
import { applyUpdate, type Registers } from './interpreter.js';
import { normals } from './philox.js';

/** One record in float64; the network is the model's own. Its noise is that of the sample's stream. */
export async function interpretRecord(
  model: DiffusionModel,
  record: StepRecord,
  state: Registers,
  stream: { seed: number; sampleIndex: number; record: number },
): Promise<void> {
  if (record.evaluate) {
    const input = record.read === 'y' ? state.y : state.x;
    const { out, head } = await model.unet.forward(
      Float32Array.from(input, (value) => record.inputScale * value),
      record.time,
    );
    state.out = Float64Array.from(out);
    if (head !== null) state.head = Float64Array.from(head);
  }
  const noise =
    record.variance.kind === 'none' ? null : normals({ ...stream, seed: [stream.seed, 0], draw: 0 }, state.x.length);
  applyUpdate(record, state, noise);
}

/** Largest difference, relative to the largest value where that exceeds 1. */
export function largestError(actual: Float32Array, expected: Float64Array): number {
  let error = 0;
  let scale = 1;
  expected.forEach((value, i) => {
    error = Math.max(error, Math.abs((actual[i] ?? Number.NaN) - value));
    scale = Math.max(scale, Math.abs(value));
  });
  return error / scale;
}
