import { ServerError } from '../../base/problem.js';
import { isFull } from '../files/full-disk.js';

/** Turns the error of a full disk into one for answers. */
export async function orInsufficientStorage<T>(writing: Promise<T>): Promise<T> {
  try {
    return await writing;
  } catch (cause) {
    if (!isFull(cause)) throw cause;
    const headers = { 'retry-after': '60' };
    throw new ServerError('ERR_DPM_STORAGE', 'the disk for jobs is full', { headers, cause });
  }
}
