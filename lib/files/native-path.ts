import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/**
 * The absolute path by which native code opens a file. Electron lets JavaScript read files inside an archive of an application, and nobody
 * else: those that are packed with `asarUnpack` lie in a folder beside it, too.
 */
export function nativePath(path: string): string {
  const whole = resolve(path);
  const unpacked = whole.replace(/\.asar(?=[\\/])/, '.asar.unpacked');
  return unpacked !== whole && existsSync(unpacked) ? unpacked : whole;
}
