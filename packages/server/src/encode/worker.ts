import { encoded, type Encoding } from './images.js';

/** What a thread of the pool does. */
export default function work(encoding: Encoding): Uint8Array {
  return encoded(encoding);
}
