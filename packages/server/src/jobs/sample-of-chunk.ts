import { ImageBatch } from 'dpm-native';
import { decode } from 'fast-png';

import { ServerError } from '../base/problem.js';
import { gridOf } from '../samples/encode.js';
import { chunkFormat, chunkRequest, chunkSize, type Job } from './job.js';

/** A request for an image of a chunk. */
export interface ImageInChunk {
  job: Job;
  /** The index of the sample in the job, from 0. */
  sample: number;
  chunk: Uint8Array;
}

/** Pixels between the images of a grid. */
const GAP = 2;

/** The values in a file of ours, without its header. */
function valuesOf(bytes: Buffer, format: 'npy' | 'safetensors'): Buffer {
  const begin = format === 'npy' ? 10 + bytes.readUInt16LE(8) : 8 + Number(bytes.readBigUInt64LE(0));
  return bytes.subarray(begin);
}

/** Cuts an image out of the grid of a chunk, channel by channel. */
function cutOut(
  bytes: Uint8Array,
  { shape: [channels, height, width] }: Job,
  index: number,
  count: number,
): Uint8Array {
  const picture = decode(bytes);
  const { columns } = gridOf(count);
  const left = (index % columns) * (width + GAP);
  const top = Math.floor(index / columns) * (height + GAP);
  const levels = new Uint8Array(channels * height * width);
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x) {
      for (let channel = 0; channel < channels; ++channel) {
        const from = ((top + y) * picture.width + left + x) * picture.channels + channel;
        levels[(channel * height + y) * width + x] = picture.data[from] ?? 0;
      }
    }
  }
  return levels;
}

/**
 * One image of a chunk.
 *
 * @throws {@link ServerError} `ERR_DPM_INTERNAL` where the chunk is not what was written.
 */
export function imageOfChunk({ job, sample, chunk }: ImageInChunk): ImageBatch {
  const { shape, range, body } = job;
  const [channels, height, width] = shape;
  const elements = channels * height * width;
  const size = chunkSize(body);
  const index = sample % size;
  const format = chunkFormat(job);
  const count = chunkRequest(job, Math.floor(sample / size)).count ?? 1;
  const batchShape = [1, channels, height, width] as const;
  if (format === 'png') return new ImageBatch(cutOut(chunk, job, index, count), batchShape, range);
  const bytesEach = body.dtype === 'f32' ? Float32Array.BYTES_PER_ELEMENT : 1;
  const values = valuesOf(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength), format);
  if (values.length !== count * elements * bytesEach) {
    throw new ServerError('ERR_DPM_INTERNAL', `a chunk of job ${job.id} has ${values.length} bytes of values`);
  }
  const own = Uint8Array.from(values.subarray(index * elements * bytesEach, (index + 1) * elements * bytesEach));
  return new ImageBatch(bytesEach === 1 ? own : new Float32Array(own.buffer), batchShape, range);
}
