import { ImageBatch } from '../../images/image-batch.js';
import { decodeLatents, shapeOfImages } from '../pipeline-call.js';
import type { Autoencoder } from '../autoencoder.js';
import type { GenerateCall } from '../resolve-call.js';

/** Latents of a request as they are done, decoded one after the other while the batch goes on. */
export class DecodedImages {
  readonly #vae: Autoencoder;
  readonly #call: GenerateCall;
  #last: Promise<void> = Promise.resolve();
  #tile: number | null = null;
  #signal: AbortSignal | undefined;

  constructor(vae: Autoencoder, call: GenerateCall) {
    this.#vae = vae;
    this.#call = call;
    this.#signal = call.signal;
  }

  /** Lets another signal end the decoding, that of the request, which its deadline ends, too. */
  endWith(signal: AbortSignal): void {
    this.#signal = signal;
  }

  /** Side of the decoder's tiles; null: the images are decoded as a whole. */
  get tile(): number | null {
    return this.#tile;
  }

  /** Decodes latents [1, C, h, w], or leaves them what they are where no images are wanted, and shows them. */
  add(latents: ImageBatch, show: (image: ImageBatch) => Promise<void>): void {
    this.#last = this.#last.then(async () => {
      if (this.#call.output === 'latents') {
        await show(latents);
        return;
      }
      const { data, tile } = await decodeLatents(this.#vae, latents.data, { ...this.#call, signal: this.#signal });
      this.#tile = tile;
      await show(new ImageBatch(data, shapeOfImages(this.#vae, this.#call, 1)));
    });
    // The error is told by `done`.
    this.#last.catch(() => undefined);
  }

  /** Waits for the images so far; rejects with the error of the first that failed. */
  done(): Promise<void> {
    return this.#last;
  }
}
