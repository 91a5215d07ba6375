import type { Context } from '../context.js';
import type { JobFigures } from '../metrics.js';
import { drawChunk, roomFor } from './draw-chunk.js';
import { queueOf } from './job.js';
import { SpoolStore } from './spool-store.js';
import { jobStates, rowsLeft, type JobStore } from './store.js';

/** How many jobs there are of each kind, and the work that they wait for. */
async function figuresOf({ registry }: Context, store: JobStore): Promise<JobFigures> {
  const states = await store.list();
  const jobs = Object.fromEntries(jobStates.map((name) => [name, states.filter(({ state }) => state === name).length]));
  const backlogSeconds = new Map<string, number>();
  for (const state of states) {
    const served = registry.models.find(({ digest }) => digest === state.job.digest);
    if (served === undefined) continue;
    const queue = queueOf(state.job);
    const seconds = rowsLeft(state) / served.batcher.capacity.rowsPerSecond;
    backlogSeconds.set(queue, (backlogSeconds.get(queue) ?? 0) + seconds);
  }
  return { jobs, backlogSeconds };
}

async function openSpool(context: Context, folder: string): Promise<SpoolStore> {
  const { metrics, registry, settings, log } = context;
  const store = await SpoolStore.open(folder, {
    keep: settings.keep,
    draw: drawChunk(context),
    roomFor: roomFor(context),
    onFailure({ id }, chunk, error) {
      metrics.chunks.inc({ outcome: 'failed' });
      log.warn({ job: id, chunk, err: error }, 'a chunk failed');
    },
  });
  registry.onLoaded(() => {
    store.wake();
  });
  return store;
}

/**
 * Where the jobs of a server are; undefined: it takes none.
 *
 * @throws `DpmError` as {@link SpoolStore.open} does.
 */
export async function openJobs(context: Context): Promise<JobStore | undefined> {
  const { spool } = context.settings;
  if (spool === undefined) return undefined;
  const store = await openSpool(context, spool);
  context.metrics.readJobs(() => figuresOf(context, store));
  return store;
}
