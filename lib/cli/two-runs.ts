// What dpm generate needs where one run goes on from another's result.
import { at } from '../base/arrays.js';
import type { GenerateOptions } from '../latents/generate-options.js';
import { sidesOf } from '../latents/resolve-call.js';
import type { Generated, TextToImage } from '../text-to-image.js';

/** Gives the sides of a call's images: those that are asked for, of its picture, or of the network. */
export function sidesIn(
  { vae: { factor }, unet }: TextToImage,
  call: Pick<GenerateOptions, 'height' | 'width' | 'image' | 'controls'>,
): { height: number; width: number } {
  return sidesOf(call, { side: unet.sampleSize * factor, factor });
}

/** Tells of texts that either run has cut. */
export function withTruncated(drawn: Generated, truncated: readonly boolean[]): Generated {
  return { ...drawn, truncated: drawn.truncated.map((isCut, i) => isCut || at(truncated, i)) };
}
