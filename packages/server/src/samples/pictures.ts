import type { ImageBatch } from 'dpm-native';

import { type PromptBody, type Pictures } from './prompt-fields.js';

/** A picture of a request, to be decoded. */
export interface EncodedPicture {
  readonly bytes: Uint8Array;
  /** True for a mask. */
  readonly isMask: boolean;
  /** Field of the request. */
  readonly param: string;
}

/** Decodes pictures, on any thread. */
export interface PictureDecoder {
  decode(picture: EncodedPicture): Promise<ImageBatch>;
}

/** Decodes pictures that lie beside a body, by their fields. */
export async function decodedPictures(
  { image, mask }: { image?: Uint8Array | undefined; mask?: Uint8Array | undefined },
  decoder: PictureDecoder,
): Promise<Pictures> {
  return {
    ...(image !== undefined && { image: await decoder.decode({ bytes: image, isMask: false, param: 'image' }) }),
    ...(mask !== undefined && { mask: await decoder.decode({ bytes: mask, isMask: true, param: 'mask' }) }),
  };
}

/** Decodes the pictures of a body. @throws {@link ServerError} naming the field. */
export function picturesOf({ image, mask }: PromptBody, decoder: PictureDecoder): Promise<Pictures> {
  const bytes = (field: { b64: string } | undefined): Buffer | undefined => field && Buffer.from(field.b64, 'base64');
  return decodedPictures({ image: bytes(image), mask: bytes(mask) }, decoder);
}
