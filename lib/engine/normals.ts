import { linear, stepRecord } from '../program/builder.js';
import type { Device } from './device.js';
import { update, type NoiseStream } from './update.js';

/** Standard normal numbers of the random streams of samples, [streams, …] of `sampleShape` each: what a fused update adds as noise. */
export async function normals(
  device: Device,
  sampleShape: readonly number[],
  streams: readonly NoiseStream[],
): Promise<Float32Array> {
  using tensor = device.tensor([streams.length, ...sampleShape]);
  await tensor.write(new Float32Array(tensor.elements));
  const record = stepRecord({ time: 0, x: linear({}), variance: { kind: 'scalar', deviation: 1 } });
  await update(
    streams.map(() => record),
    { x: tensor },
    streams,
  );
  return await tensor.read();
}
