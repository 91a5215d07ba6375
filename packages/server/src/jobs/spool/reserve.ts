import { randomBytes } from 'node:crypto';
import { rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { unlessMissing } from '../files/unless-missing.js';

/** Bytes that are given back for a folder's entry, whatever the size of a block of the disk. */
const RESERVE = 65_536;

const placeIn = (folder: string): string => join(folder, 'reserve');

/** Keeps some room on the disk, if there is any, so that a spool on a full one can be opened again. */
export async function keepReserve(folder: string): Promise<void> {
  const path = placeIn(folder);
  if ((await unlessMissing(stat(path)))?.size === RESERVE) return;
  // Disks that pack what they store would keep no room for zeros.
  await writeFile(path, randomBytes(RESERVE)).catch(() => rm(path, { force: true }));
}

/** Gives the kept room back, and tells whether there was any. */
export async function giveReserve(folder: string): Promise<boolean> {
  return (await unlessMissing(rm(placeIn(folder)).then(() => true))) ?? false;
}
