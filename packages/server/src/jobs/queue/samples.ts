import { chunkCount, chunkFormat, chunkKey, type Job } from '../job.js';
import type { Results } from '../results/results.js';

function keysOf(job: Job): string[] {
  return Array.from({ length: chunkCount(job) }, (_, chunk) => chunkKey(job, chunk));
}

/** Tells whether two jobs may have samples in common, without looking at all of their chunks. */
function mayShare(a: Job, b: Job): boolean {
  const isSame = a.digest === b.digest && a.engine === b.engine && a.body.seed === b.body.seed;
  return a.id !== b.id && isSame && chunkFormat(a) === chunkFormat(b);
}

/** Removes the samples of a job that no other one has. */
export async function removeSamples(job: Job, others: readonly Job[], results: Results): Promise<void> {
  const needed = new Set(others.filter((other) => mayShare(job, other)).flatMap(keysOf));
  await results.remove(keysOf(job).filter((key) => !needed.has(key)));
}
