import { linear, stepRecord } from '../program/builder.js';
import type { Device, DeviceTensor } from './device.js';
import { update, type NoiseStream } from './update.js';

/** The same record and draw of the random streams of consecutive samples. */
export function sampleStreams(
  count: number,
  { firstSample = 0, ...draw }: Omit<NoiseStream, 'sampleIndex'> & { firstSample?: number },
): NoiseStream[] {
  return Array.from({ length: count }, (_, i) => ({ ...draw, sampleIndex: firstSample + i }));
}

/** Fills `tensor` [streams, …] with normal numbers of the random streams of samples: what a fused update adds as noise. */
export async function fillWithNoise(
  tensor: DeviceTensor,
  streams: readonly NoiseStream[],
  deviation = 1,
): Promise<void> {
  // Zero times what fresh memory holds need not be zero.
  await tensor.write(new Float32Array(tensor.elements));
  const record = stepRecord({ time: 0, x: linear({}), variance: { kind: 'scalar', deviation } });
  await update(record, { x: tensor }, streams);
}

/** The same as numbers, of `sampleShape` each. */
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
