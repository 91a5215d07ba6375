// A queue and its workers as tests open them: samples in a folder, failures tried again at once, nothing told.
import { pathToFileURL } from 'node:url';

import { BullmqStore, type QueueOptions } from '../../../src/jobs/queue/bullmq-store.js';
import { JobWorker } from '../../../src/jobs/queue/bullmq-worker.js';
import { queueOf } from '../../../src/jobs/job.js';
import type { DrawChunk } from '../../../src/jobs/store.js';
import { jobOf } from '../job-of.js';

const ignored = (): undefined => undefined;

/** The URL of a folder; a URL is that itself. */
function urlOf(place: string): string {
  return place.includes('://') ? place : pathToFileURL(place).href;
}

export function openQueue(
  queue: string,
  place: string,
  more: Partial<Omit<QueueOptions, 'queue'>> = {},
): Promise<BullmqStore> {
  return BullmqStore.open({ queue, results: urlOf(place), keep: 60_000, backoff: 20, onError: ignored, ...more });
}

/** Opens a worker that draws the chunks of `jobOf()` for some engines. */
export function openWorker(
  queue: string,
  place: string,
  draw: DrawChunk,
  engines: readonly string[] = ['cpu-test'],
): Promise<JobWorker> {
  return JobWorker.open({
    queue,
    results: urlOf(place),
    places: engines.map((engine) => ({ queue: queueOf({ ...jobOf(), engine }), concurrency: 2 })),
    draw,
    onError: ignored,
    onFailure: ignored,
    onTrouble: ignored,
  });
}
