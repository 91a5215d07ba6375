import { linear, stepRecord } from '../program/builder.js';
import type { Device, DeviceTensor } from './device.js';
import { update, type NoiseStream } from './update.js';

/** Lists the words of one record and draw in the random streams of consecutive samples. */
export function sampleStreams(
  count: number,
  { firstSample = 0, ...draw }: Omit<NoiseStream, 'sampleIndex'> & { firstSample?: number },
): NoiseStream[] {
  return Array.from({ length: count }, (_, i) => ({ ...draw, sampleIndex: firstSample + i }));
}

/** Fills `tensor` [streams, …] with normal numbers of the samples' random streams, the noise that a fused update adds. */
export async function fillWithNoise(
  tensor: DeviceTensor,
  streams: readonly NoiseStream[],
  deviation = 1,
): Promise<void> {
  // Zero times the contents of fresh memory need not be zero.
  await tensor.write(new Float32Array(tensor.elements));
  const record = stepRecord({ time: 0, x: linear({}), variance: { kind: 'scalar', deviation } });
  await update(record, { x: tensor }, streams);
}

/** Computes the same numbers as an array, of `sampleShape` each. */
export async function normals(
  device: Device,
  sampleShape: readonly number[],
  streams: readonly NoiseStream[],
  deviation = 1,
): Promise<Float32Array> {
  using tensor = device.tensor([streams.length, ...sampleShape]);
  await fillWithNoise(tensor, streams, deviation);
  return await tensor.read();
}
