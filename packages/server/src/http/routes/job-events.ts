import { setTimeout as sleep } from 'node:timers/promises';

import { eventOf } from '../event-stream.js';
import { isOver, type JobState, type JobStore } from '../../jobs/store.js';

/** Milliseconds between two events of a job. */
const EVENTS_EVERY = 200;

/** How a job is watched. */
export interface Watched {
  /** The reader has left. */
  signal: AbortSignal;
  /** Whether the server ends. */
  isEnding: () => boolean;
  shown: (state: JobState) => object;
  /** What is told where it cannot be read any more. */
  failed: (error: unknown) => object;
}

/** A job whenever it has changed, until it is over, or the server ends; null where nothing happens for a while. */
async function* statesOf(
  store: JobStore,
  id: string,
  { signal, isEnding }: Pick<Watched, 'signal' | 'isEnding'>,
): AsyncGenerator<JobState | null, void, void> {
  let told = '';
  do {
    const began = performance.now();
    const read = new AbortController();
    const leave = (): void => {
      read.abort();
    };
    signal.addEventListener('abort', leave);
    // From before it is read, so that what happens while the reader is slow is not missed.
    const changed = store.changed(id, read.signal);
    try {
      const state = await store.get(id);
      if (state === undefined) return;
      const now = `${state.state} ${state.doneChunks} ${state.failures.length}`;
      yield now === told ? null : state;
      told = now;
      if (isOver(state)) return;
      await changed;
    } finally {
      signal.removeEventListener('abort', leave);
      leave();
    }
    const early = EVENTS_EVERY - (performance.now() - began);
    if (early > 0) await sleep(early);
    // Whoever reads comes back to the next server.
  } while (!signal.aborted && !isEnding());
}

/** The text of a job's events. Ids are how far it is: whoever comes back gets the state first in any case. */
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
