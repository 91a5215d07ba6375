import type { ImageBatch } from 'dpm-native';

import { sidesOf } from '../base/size.js';
import { sizesOf, type ServedModel } from '../models/served.js';
import { type PromptBody, type Pictures, requireNoPrompt } from './prompt-fields.js';

/** A picture of a request, to be decoded. */
export interface EncodedPicture {
  readonly bytes: Uint8Array;
  /** True for a mask. */
  readonly isMask: boolean;
  /** Most pixels that it may have. */
  readonly mostPixels: number;
  /** Field of the request. */
  readonly param: string;
}

/** Decodes pictures, on any thread. */
export interface PictureDecoder {
  decode(picture: EncodedPicture): Promise<ImageBatch>;
}

/** The most pixels of a picture for a model: those of the largest of its images, as small files may have many. */
function mostPixelsOf(served: ServedModel): number {
  if (served.kind === 'pixels') return 1;
  return Math.max(...sizesOf(served).map((size) => sidesOf(size).width * sidesOf(size).height));
}

/** Decodes pictures that lie beside a body, by their fields. */
export async function decodedPictures(
  { image, mask }: { image?: Uint8Array | undefined; mask?: Uint8Array | undefined },
  served: ServedModel,
  decoder: PictureDecoder,
): Promise<Pictures> {
  const mostPixels = mostPixelsOf(served);
  const decode = (param: string, bytes: Uint8Array, isMask: boolean): Promise<ImageBatch> =>
    decoder.decode({ bytes, isMask, mostPixels, param });
  return {
    ...(image !== undefined && { image: await decode('image', image, false) }),
    ...(mask !== undefined && { mask: await decode('mask', mask, true) }),
  };
}

/** Decodes the pictures of a body. @throws {@link ServerError} naming the field. */
export async function picturesOf(body: PromptBody, served: ServedModel, decoder: PictureDecoder): Promise<Pictures> {
  const { image, mask } = body;
  if (served.kind === 'pixels') requireNoPrompt(body, served);
  const bytes = (field: { b64: string } | undefined): Buffer | undefined => field && Buffer.from(field.b64, 'base64');
  return decodedPictures({ image: bytes(image), mask: bytes(mask) }, served, decoder);
}
