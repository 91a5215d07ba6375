import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';

import { modelEntries } from './model-files.js';
import { ServerError } from '../base/problem.js';

const refused = (reason: string): ServerError => new ServerError('ERR_DPM_FORBIDDEN', reason, { param: 'path' });

/**
 * The path of a model that a client names.
 *
 * @param roots - Folders that models may come from.
 * @throws {@link ServerError} `ERR_DPM_FORBIDDEN` where it, or what a link below it leads to, lies in none of them.
 */
export async function requireRoot(path: string, roots: readonly string[]): Promise<string> {
  const reals = await Promise.all(roots.map((root) => realpath(root).catch(() => null)));
  const isBelow = (real: string): boolean =>
    reals.some((root) => root !== null && (real === root || real.startsWith(root + sep)));
  const real = await realpath(path).catch(() => null);
  if (real === null || !isBelow(real)) throw refused('path is in none of the modelRoots');
  let isInside = true;
  try {
    for await (const entry of modelEntries(real)) {
      isInside = isBelow(entry.real);
      if (!isInside) break;
    }
  } catch {
    // The client does not learn whether the file exists.
    isInside = false;
  }
  if (isInside) return real;
  throw refused('path has a link that leads out of the modelRoots or nowhere, or more files than a model has');
}
