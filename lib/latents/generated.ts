import type { ImageBatch } from '../images/image-batch.js';

/** Images of texts. */
export interface Generated {
  /** Images [N, C, H, W] with values in about [-1, 1]; null for `output: 'latents'`. */
  readonly images: ImageBatch | null;
  /** Latents as the diffusion knows them, [N, C, h, w]. */
  readonly latents: Float32Array;
  /** True for each image of whose prompt, or negative prompt, tokens were left out. */
  readonly truncated: readonly boolean[];
  /** Side of the decoder's tiles in latents; null: the images were decoded as a whole, or not at all. */
  readonly tile: number | null;
}

/** One image of {@link TextToImage.stream}. */
export interface GeneratedImage {
  /** Index of the image in its call. */
  readonly sample: number;
  /** The image, [1, C, H, W]; null for `output: 'latents'`. */
  readonly image: ImageBatch | null;
  /** Latents as the diffusion knows them, [1, C, h, w]. */
  readonly latents: Float32Array;
  /** True if tokens of its prompt, or negative prompt, were left out. */
  readonly truncated: boolean;
}
