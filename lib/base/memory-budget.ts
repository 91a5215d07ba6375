import { totalmem } from 'node:os';

import { DpmError } from './errors.js';

/** Share of the machine's memory that the result of one call may take. */
const share = 0.5;

const GIBIBYTE = 2 ** 30;

/** Node reads a file at every call of `totalmem`, too slow for every request of a server. */
const machine = totalmem();

/**
 * Bytes of memory: the GiB of `DPM_MEMORY` if set, or all of the machine's.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if it is no such number.
 */
export function memoryThereIs(): number {
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
 * Refuses a result that would not fit into the memory of this machine (or of `DPM_MEMORY`), before any of it is made:
 * the result of one call may take half of it, and at most 2^32 elements.
 *
 * @param what - Name of the size in messages, e.g. `count is 30000000`.
 * @param bytes - Size of one element in bytes.
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY` with the needed size, `ERR_DPM_ARGUMENT` for a wrong `DPM_MEMORY`.
 */
export function requireMemory(what: string, elements: number, bytes: number): void {
  const most = Math.min(share * memoryThereIs(), 2 ** 32 * bytes);
  if (elements * bytes <= most) return;
  throw new DpmError(
    'ERR_DPM_OUT_OF_MEMORY',
    `${what}: that takes ${gibibytes(elements * bytes)}, one call may take ${gibibytes(most)} here; make it in parts`,
  );
}

/**
 * Refuses work that would not fit into all of the memory of this machine (or of `DPM_MEMORY`), before it begins.
 *
 * @param what - Name of the work in messages.
 * @param advice - What takes less.
 * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY` with the needed size, `ERR_DPM_ARGUMENT` for a wrong `DPM_MEMORY`.
 */
export function requireRoom(what: string, bytes: number, advice = 'there has to be less of them'): void {
  const most = memoryThereIs();
  if (bytes <= most) return;
  throw new DpmError(
    'ERR_DPM_OUT_OF_MEMORY',
    `${what}: that takes ${gibibytes(bytes)}, this machine has ${gibibytes(most)}: ${advice}`,
  );
}
