import { totalmem } from 'node:os';

import { DpmError } from './errors.js';

/** The part of the machine's memory that the result of one call may take. */
const share = 0.5;

const GIBIBYTE = 2 ** 30;

/** Node reads a file each time that it is asked, which is long for every request of a server. */
const machine = totalmem();

/**
 * Bytes that there are: what `DPM_MEMORY` says in GiB, or all of the machine's.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` where it says no such number.
 */
function memoryThereIs(): number {
  const said = process.env.DPM_MEMORY;
  if (said === undefined) return machine;
  const bytes = Number(said) * GIBIBYTE;
  if (bytes > 0 && Number.isFinite(bytes)) return bytes;
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `DPM_MEMORY is '${said}', it has to be the GiB of memory there are, as 4 or 0.5`,
  );
}

function gibibytes(bytes: number): string {
  return `${(bytes / GIBIBYTE).toFixed(1)} GiB`;
}

/**
 * Refuses what would not fit into the memory of this machine (`DPM_MEMORY` may say another), before anything of it is made: the result
 * of one call may take half of it, and at most 2^32 elements.
 *
 * @param what - Names the size in messages, e.g. `count is 30000000`.
 * @param bytes - Bytes of one element.
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY` saying what it would take, `ERR_DPM_ARGUMENT` where `DPM_MEMORY` is no number.
 */
export function requireMemory(what: string, elements: number, bytes: number): void {
  const most = Math.min(share * memoryThereIs(), 2 ** 32 * bytes);
  if (elements * bytes <= most) return;
  throw new DpmError(
    'ERR_DPM_OUT_OF_MEMORY',
    `${what}: that takes ${gibibytes(elements * bytes)}, one call may take ${gibibytes(most)} here; make it in parts`,
  );
}
