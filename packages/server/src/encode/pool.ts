import { fileURLToPath } from 'node:url';

import { Piscina } from 'piscina';

import type { ImageInChunk } from '../jobs/sample-of-chunk.js';
import { encoded, type Encoding } from './images.js';
import { pngOfChunk } from './worker.js';

/** Images and elements up to which a body is made at once: it takes less than crossing to another thread and back. */
const FEW_IMAGES = 4;
const FEW_ELEMENTS = 32 * 32 * 3;

/** Makes answers of images, the large ones in two threads of its own, so that nothing long runs on the event loop. */
export class EncodingPool {
  readonly #threads: Piscina;

  constructor() {
    // Threads run what is compiled, also where this file is not.
    const worker = new URL(
      import.meta.url.endsWith('.ts') ? '../../dist/encode/worker.js' : 'worker.js',
      import.meta.url,
    );
    this.#threads = new Piscina({
      filename: fileURLToPath(worker),
      minThreads: 0,
      maxThreads: 2,
      idleTimeout: 60_000,
      concurrentTasksPerWorker: 1,
    });
  }

  /** The body of an answer. */
  async encode(encoding: Encoding): Promise<Uint8Array> {
    const { shape, values } = encoding.images;
    if (shape[0] <= FEW_IMAGES && values.length <= FEW_IMAGES * FEW_ELEMENTS) return encoded(encoding);
    return (await this.#threads.run(encoding)) as Uint8Array;
  }

  /** One image of a chunk, as PNG. Only of a picture all of the others have to be read, too. */
  async pngOfChunk({ job, sample, chunk }: ImageInChunk): Promise<Uint8Array> {
    // A thread needs nothing that there is of every sample.
    const { classLabels: _, guidance: __, ...body } = job.body;
    const image = { job: { ...job, body }, sample, chunk };
    if (body.format !== 'png') return pngOfChunk(image);
    return (await this.#threads.run(image, { name: pngOfChunk.name })) as Uint8Array;
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    await this.#threads.close({ force: true });
  }
}
