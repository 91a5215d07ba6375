import { webcrypto } from 'node:crypto';

/** SHA-256 of bytes, computed off the event loop. */
export async function sha256Of(bytes: Uint8Array): Promise<string> {
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', new Uint8Array(bytes))).toString('hex');
}

/** Tells whether bytes are those of a digest. Without one they are believed, as earlier versions wrote none. */
export async function isWhole(bytes: Uint8Array, sum: string | undefined): Promise<boolean> {
  return sum === undefined || sum === (await sha256Of(bytes));
}
