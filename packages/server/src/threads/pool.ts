import { fileURLToPath } from 'node:url';

import { type Compiled, type CompileTask, ImageBatch } from 'dpm-native';
import { Piscina } from 'piscina';

import { type Encoder, type Encoding, sentImages } from '../samples/encode.js';
import type { EncodedPicture, PictureDecoder } from '../samples/pictures.js';
import type { ImageInChunk } from '../jobs/sample-of-chunk.js';
import type { Inference, InferenceBody } from '../apis/kserve/bodies/inference.js';
import type { Outputs } from '../apis/kserve/bodies/outputs.js';
import { type InLine, limits } from '../config/limits.js';
import { done, type Outcome, resultOf, type Results, type Task } from './tasks.js';

/** The bytes of binary data that take as long as one byte of JSON. */
const BINARY_BYTES = 16;

/** Threads always run the compiled file, even if this one runs as TypeScript. */
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

/** Does large work in threads of its own, so that nothing long runs on the event loop. */
export class ThreadPool implements Encoder, PictureDecoder {
  readonly #inLine: InLine;
  readonly #forImages = threads(2);
  /** A pool of its own, so that images do not wait behind tensors, which may take seconds. */
  readonly #forTensors = threads(1);
  /** And one for programs, which wait in their batch, where tenants take turns. */
  readonly #forPrograms = threads(1);

  constructor(small: InLine = limits.inLine) {
    this.#inLine = small;
  }

  /** Makes the body of an answer. */
  encode(encoding: Encoding): Promise<Uint8Array> {
    const { shape, values } = encoding.images;
    const isSmall = shape[0] <= this.#inLine.images && values.length <= this.#inLine.elements;
    return this.#done({ kind: 'images', encoding }, isSmall, this.#forImages);
  }

  /** Encodes an image as PNG in base64. */
  async png(image: ImageBatch): Promise<string> {
    const bytes = await this.encode({ form: 'image/png', images: sentImages(image, 'u8') });
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  }

  /** Encodes an image of a chunk as PNG. Only a chunk that is a PNG grid has to be decoded as a whole, which a thread does. */
  pngOfChunk({ job, sample, chunk }: ImageInChunk): Promise<Uint8Array> {
    // The lists with a value for each sample stay here, as a thread does not need them.
    const { classLabels: _, guidance: __, prompt: ___, negativePrompt: ____, ...body } = job.body;
    const image = { job: { ...job, body }, sample, chunk };
    return this.#done({ kind: 'image', image }, body.format !== 'png', this.#forImages);
  }

  /** Decodes a picture of a request. @throws {@link ServerError} naming its field. */
  async decode(picture: EncodedPicture): Promise<ImageBatch> {
    const isSmall = picture.bytes.length <= this.#inLine.picture;
    const { values, shape, range } = await this.#done({ kind: 'picture', picture }, isSmall, this.#forImages);
    return new ImageBatch(values, [...shape], range);
  }

  /**
   * Reads the body of a request for an evaluation.
   *
   * @throws The errors of {@link inferenceOf}.
   */
  read(body: InferenceBody): Promise<Inference> {
    const { bytes, jsonLength } = body;
    const isSmall = jsonLength + (bytes.length - jsonLength) / BINARY_BYTES <= this.#inLine.bytes;
    const isOwn = bytes.length === bytes.buffer.byteLength;
    return this.#done({ kind: 'inference', body }, isSmall, this.#forTensors, isOwn ? [bytes.buffer] : []);
  }

  /** Writes the JSON of an answer with numbers. */
  write(outputs: Outputs): Promise<Uint8Array> {
    const isSmall = outputs.values.length <= this.#inLine.numbers;
    return this.#done({ kind: 'outputs', outputs }, isSmall, this.#forTensors);
  }

  /** Makes a long program; quick ones are made where they are wanted. */
  compile(program: CompileTask): Promise<Compiled> {
    return this.#done({ kind: 'program', program }, false, this.#forPrograms);
  }

  async #done<K extends Task['kind']>(
    task: Task & { kind: K },
    isSmall: boolean,
    pool: Piscina<Task, Outcome>,
    transferList: ArrayBuffer[] = [],
  ): Promise<Results[K]> {
    // The result of a task has the kind of the task.
    if (isSmall) return (await done(task)) as Results[K];
    return resultOf(await pool.run(task, { transferList })) as Results[K];
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    const all = [this.#forImages, this.#forTensors, this.#forPrograms];
    await Promise.all(all.map((pool) => pool.close({ force: true })));
  }
}
