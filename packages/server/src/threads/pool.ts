import { fileURLToPath } from 'node:url';

import type { ImageBatch } from 'dpm-native';
import { Piscina } from 'piscina';

import { type Encoder, type Encoding, sentImages } from '../samples/encode.js';
import type { ImageInChunk } from '../jobs/sample-of-chunk.js';
import type { Inference, InferenceBody } from '../apis/kserve/bodies/inference.js';
import type { Outputs } from '../apis/kserve/bodies/outputs.js';
import { type InLine, limits } from '../config/limits.js';
import { done, type Outcome, resultOf, type Results, type Task } from './tasks.js';

/** How many bytes of binary data take as long as one of JSON. */
const BINARY_BYTES = 16;

/** Threads run what is compiled, also where this file is not. */
const worker = new URL(import.meta.url.endsWith('.ts') ? '../../dist/threads/worker.js' : 'worker.js', import.meta.url);

function threads(most: number): Piscina<Task, Outcome> {
  return new Piscina({
    filename: fileURLToPath(worker),
    minThreads: 0,
    maxThreads: most,
    idleTimeout: 60_000,
    concurrentTasksPerWorker: 1,
  });
}

/** Does what is large in threads of its own, so that nothing long runs on the event loop. */
export class ThreadPool implements Encoder {
  readonly #inLine: InLine;
  readonly #forImages = threads(2);
  /** Images do not wait behind tensors, which take seconds where they are of the largest. */
  readonly #forTensors = threads(1);

  constructor(small: InLine = limits.inLine) {
    this.#inLine = small;
  }

  /** The body of an answer. */
  encode(encoding: Encoding): Promise<Uint8Array> {
    const { shape, values } = encoding.images;
    const isSmall = shape[0] <= this.#inLine.images && values.length <= this.#inLine.elements;
    return this.#done({ kind: 'images', encoding }, isSmall, this.#forImages);
  }

  /** One image as PNG, in base64. */
  async png(image: ImageBatch): Promise<string> {
    const bytes = await this.encode({ form: 'image/png', images: sentImages(image, 'u8') });
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  }

  /** One image of a chunk, as PNG. Only of a picture all of the others have to be read, too. */
  pngOfChunk({ job, sample, chunk }: ImageInChunk): Promise<Uint8Array> {
    // A thread needs nothing that there is of every sample.
    const { classLabels: _, guidance: __, ...body } = job.body;
    const image = { job: { ...job, body }, sample, chunk };
    return this.#done({ kind: 'image', image }, body.format !== 'png', this.#forImages);
  }

  /**
   * What a body asks for.
   *
   * @throws {@link ServerError} as {@link inferenceOf} does.
   */
  read(body: InferenceBody): Promise<Inference> {
    const { bytes, jsonLength } = body;
    const isSmall = jsonLength + (bytes.length - jsonLength) / BINARY_BYTES <= this.#inLine.bytes;
    const isOwn = bytes.length === bytes.buffer.byteLength;
    return this.#done({ kind: 'inference', body }, isSmall, this.#forTensors, isOwn ? [bytes.buffer] : []);
  }

  /** The JSON of an answer with numbers. */
  write(outputs: Outputs): Promise<Uint8Array> {
    const isSmall = outputs.values.length <= this.#inLine.numbers;
    return this.#done({ kind: 'outputs', outputs }, isSmall, this.#forTensors);
  }

  async #done<K extends Task['kind']>(
    task: Task & { kind: K },
    isSmall: boolean,
    pool: Piscina<Task, Outcome>,
    transferList: ArrayBuffer[] = [],
  ): Promise<Results[K]> {
    // What a task of a kind gives is a result of that kind.
    if (isSmall) return done(task) as Results[K];
    return resultOf(await pool.run(task, { transferList })) as Results[K];
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    await Promise.all([this.#forImages.close({ force: true }), this.#forTensors.close({ force: true })]);
  }
}
