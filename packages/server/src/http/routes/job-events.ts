import { setTimeout as sleep } from 'node:timers/promises';

import { eventOf } from '../event-stream.js';
import { isOver, type JobState, type JobStore } from '../../jobs/store.js';

/** Milliseconds between two events of a job. */
const EVENTS_EVERY = 200;

/** The way in which a job is watched. */
export interface Watched {
  /** Aborts when the reader leaves. */
  signal: AbortSignal;
  /** Tells whether the server is about to end. */
  isEnding: () => boolean;
  shown: (state: JobState) => object;
  /** Makes the data of the event that ends the stream after an error. */
  failed: (error: unknown) => object;
}

/** Yields a job whenever it has changed, until it is over or the server ends, and null where nothing happens for a while. */
async function* statesOf(
  store: JobStore,
  id: string,
  { signal, isEnding }: Pick<Watched, 'signal' | 'isEnding'>,
): AsyncGenerator<JobState | null, void, void> {
  let told = '';
  let isChanged = true;
  do {
    const began = performance.now();
    const read = new AbortController();
    const leave = (): void => {
      read.abort();
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave);
    // The wait begins before the job is read, so that no change is missed while the reader is slow.
    const changed = store.changed(id, read.signal);
    try {
      // A job that has not changed is not read: hundreds may wait for the same one.
      const state = isChanged ? await store.get(id) : null;
      if (state === undefined) return;
      const now = state === null ? told : `${state.state} ${state.doneChunks} ${state.failures.length}`;
      yield now === told ? null : state;
      told = now;
      if (state !== null && isOver(state)) return;
      isChanged = await changed;
    } finally {
      signal.removeEventListener('abort', leave);
      leave();
    }
    const early = EVENTS_EVERY - (performance.now() - began);
    if (early > 0) await sleep(early);
    // A reader connects again, to the next server.
  } while (!signal.aborted && !isEnding());
}

/** The text of a job's events. Their ids tell how far the job is; a reader that connects again always gets the state first. */
export async function* eventsOf(
  store: JobStore,
  id: string,
  { shown, failed, ...watched }: Watched,
): AsyncGenerator<string, void, void> {
  try {
    for await (const state of statesOf(store, id, watched)) {
      if (state === null) yield ': nothing new\n\n';
      else
        yield `id: ${state.state}-${state.doneChunks}\n${eventOf(isOver(state) ? state.state : 'progress', shown(state))}`;
    }
  } catch (error) {
    yield eventOf('error', failed(error));
  }
}
