import { totalmem } from 'node:os';

import { DpmError } from './errors.js';

/** The part of the machine's memory that the result of one call may take. */
const share = 0.5;

/** Node reads a file each time that it is asked, which is long for every request of a server. */
const machine = totalmem();

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/**
 * Refuses what would not fit into the memory of this machine, before anything of it is made: the result of one call may take half
 * of it, and at most 2^32 elements.
 *
 * @param what - Names the size in messages, e.g. `count is 30000000`.
 * @param bytes - Of one element.
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY` saying what it would take.
 */
export function requireMemory(what: string, elements: number, bytes: number): void {
  const most = Math.min(share * machine, 2 ** 32 * bytes);
  if (elements * bytes <= most) return;
  throw new DpmError(
    'ERR_DPM_OUT_OF_MEMORY',
    `${what}: that takes ${gibibytes(elements * bytes)}, one call may take ${gibibytes(most)} here; make it in parts`,
  );
}
