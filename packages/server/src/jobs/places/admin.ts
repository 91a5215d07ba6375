import { DpmError } from 'dpm-native';

import { requireRedisUrl } from '../../base/redis-url.js';
import { KEEP } from '../../config/settings.js';
import { BullmqStore } from '../queue/bullmq-store.js';
import { SpoolFiles } from '../spool/spool-files.js';
import { SpoolStore } from '../spool/spool-store.js';
import { LARGEST_PAGE, pageOf } from '../page.js';
import type { JobState, JobStore } from '../store.js';
import { viewOf, type JobView } from '../view.js';

/** The place of jobs, whose server may run or not. */
export interface JobPlace {
  /** The path of a folder. */
  spool?: string | undefined;
  /** A URL, `redis://…`. */
  queue?: string | undefined;
  /** Where workers of the queue keep samples: a URL, `file://…` or `s3://…`. Without it samples are neither looked for nor removed. */
  results?: string | undefined;
}

/** An action on a job. */
export type JobAction = 'retry' | 'cancel';

function placeOf({ spool, queue, results }: JobPlace): { spool: string } | { queue: string; results?: string } {
  if (spool !== undefined && results !== undefined) {
    throw new DpmError('ERR_DPM_USAGE', 'results are those of a queue: a spool has its samples itself');
  }
  if (spool !== undefined && queue === undefined) return { spool };
  if (queue !== undefined && spool === undefined) {
    requireRedisUrl(queue);
    return results === undefined ? { queue } : { queue, results };
  }
  throw new DpmError('ERR_DPM_USAGE', 'jobs are in a spool or in a queue: one of them has to be given');
}

function openPlace(place: JobPlace): Promise<JobStore> {
  const given = placeOf(place);
  return 'queue' in given
    ? BullmqStore.open({ ...given, keep: KEEP, onError: () => undefined })
    : // Only the server itself forgets old jobs.
      SpoolStore.open(given.spool, { keep: Infinity });
}

async function within<T>(place: JobPlace, work: (store: JobStore) => Promise<T>): Promise<T> {
  const store = await openPlace(place);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** The jobs of a spool, whose lock is not taken, as a server may have it. */
async function spooled(spool: string): Promise<readonly JobState[]> {
  const jobs = await new SpoolFiles(spool).load().catch((cause: unknown) => {
    if (cause instanceof DpmError) throw cause;
    throw new DpmError('ERR_DPM_FILE', `cannot read the spool ${spool}: ${(cause as Error).message}`, { cause });
  });
  return jobs.map(({ state }) => state);
}

/** Reads the pages of a store one after the other. */
async function newestOf(store: Pick<JobStore, 'list'>, most: number): Promise<JobState[]> {
  const states: JobState[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list({ limit: Math.min(LARGEST_PAGE, most - states.length), cursor });
    states.push(...page.data);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && states.length < most);
  return states;
}

/**
 * Lists jobs as `GET /v1/jobs` does, the newest first, of all clients and pages.
 *
 * @param most - The most jobs, by default all.
 * @throws {@link DpmError} `ERR_DPM_FILE`, `ERR_DPM_CONFIG` where they cannot be read.
 */
export async function listJobs(place: JobPlace, most = Infinity): Promise<JobView[]> {
  const given = placeOf(place);
  const states =
    'queue' in given
      ? await within(place, (store) => newestOf(store, most))
      : pageOf(await spooled(given.spool), { limit: most }).data;
  return states.map((state) => viewOf(state, undefined));
}

/**
 * Finds a job; undefined where there is none.
 *
 * @throws {@link DpmError} as {@link listJobs}.
 */
export async function findJob(place: JobPlace, id: string): Promise<JobView | undefined> {
  const given = placeOf(place);
  const state =
    'queue' in given
      ? await within(place, (store) => store.get(id))
      : (await spooled(given.spool)).find(({ job }) => job.id === id);
  return state && viewOf(state, undefined);
}

/**
 * Changes a job, as the routes do. A spool that a running server has cannot be changed.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` where there is no such job, and as {@link listJobs}.
 */
export function changeJob(place: JobPlace, id: string, action: JobAction): Promise<JobView> {
  return within(place, async (store) => {
    if ((await store.get(id)) !== undefined) await store[action](id);
    const state = await store.get(id);
    if (state === undefined) throw new DpmError('ERR_DPM_ARGUMENT', `there is no job ${id}`);
    return viewOf(state, undefined);
  });
}

/** Forgets the jobs that are over, and returns their number. */
export function purgeJobs(place: JobPlace): Promise<number> {
  return within(place, (store) => store.purge());
}
