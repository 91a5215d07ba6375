import { ImageBatch } from '../images/image-batch.js';
import type { RunOptions } from '../run/options.js';
import type { Autoencoder } from './autoencoder.js';
import type { GenerateCall } from './resolve-call.js';

/** Previews of a run, which are made one after the other beside it. */
export class PreviewQueue {
  #last: Promise<void> = Promise.resolve();

  /** Adds the making of a preview; after one that failed none is made. */
  add(make: () => Promise<void>): void {
    this.#last = this.#last.then(make);
    // The error is told by `shown`.
    this.#last.catch(() => undefined);
  }

  /** Waits for the previews so far; rejects with the error of the first that failed. */
  shown(): Promise<void> {
    return this.#last;
  }
}

/** Options of a run whose states the queue decodes for `show`. */
export function previewOptions(
  decoder: Autoencoder,
  { previewEvery, signal }: GenerateCall,
  show: NonNullable<GenerateCall['onPreview']>,
  previews: PreviewQueue,
): RunOptions {
  return {
    previewEvery,
    onPreview: (states, place) => {
      const [count, , height, width] = states.shape;
      const [pixelHeight, pixelWidth] = [height * decoder.factor, width * decoder.factor];
      previews.add(async () => {
        const latents = decoder.fromDiffusion(states.data);
        const data = await decoder.decode(latents, { height: pixelHeight, width: pixelWidth, signal });
        show(new ImageBatch(data, [count, decoder.imageChannels, pixelHeight, pixelWidth]), place);
      });
    },
  };
}
