import { imageOfChunk, type ImageInChunk } from '../jobs/sample-of-chunk.js';
import { encoded, sentImages, type Encoding } from './images.js';

/** What a thread of the pool does. */
export default function work(encoding: Encoding): Uint8Array {
  return encoded(encoding);
}

/** One image of a chunk, as PNG. */
export function pngOfChunk(image: ImageInChunk): Uint8Array {
  return encoded({ form: 'image/png', images: sentImages(imageOfChunk(image), 'u8') });
}
