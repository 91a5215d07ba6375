import { eitherSignal } from '../base/abort.js';
import { endingAtReturn } from '../base/ending-at-return.js';
import { DpmError } from '../base/errors.js';
import { EventQueue, type BatchEvent } from './events.js';
import type { Served, Watcher } from './requests.js';

/** Maximum number of previews per sample of a stream, which keeps all of them for a slow reader. */
const MOST_PREVIEWS = 20;

const MOST_PREVIEWED = 4;

/** @throws {@link DpmError} `ERR_DPM_ARGUMENT` for previews of more samples than a stream shows. */
export function requirePreviewed(previewEvery: number | undefined, count: number): void {
  if (previewEvery === undefined || count <= MOST_PREVIEWED) return;
  throw new DpmError('ERR_DPM_ARGUMENT', `previews are for at most ${MOST_PREVIEWED} samples, count is ${count}`);
}

/** What the events of a request's end tell. */
export type Ended = Pick<Served, 'evaluations' | 'queued' | 'ran'> & { truncated?: readonly boolean[] };

/** Tells a queue of what becomes of a request. */
export function tellingEvents(queue: EventQueue, previewEvery: number | undefined): Watcher {
  return {
    accepted(expectedWait) {
      queue.push({ type: 'accepted', expectedWait });
    },
    progress(done, total) {
      queue.push({ type: 'progress', done, total });
    },
    previewEvery,
    mostPreviews: MOST_PREVIEWS,
    preview(sample, record, image) {
      queue.push({ type: 'preview', sample, record, image });
    },
    image(sample, image) {
      queue.push({ type: 'image', sample, image });
    },
  };
}

async function* read(
  queue: EventQueue,
  signal: AbortSignal,
  serve: (queue: EventQueue, signal: AbortSignal) => Promise<Ended>,
): AsyncGenerator<BatchEvent, void, void> {
  const work = serve(queue, signal).then(
    ({ evaluations, queued, ran, truncated }) => {
      queue.push({ type: 'done', evaluations, queued, ran, ...(truncated !== undefined && { truncated }) });
      queue.end();
    },
    (error: unknown) => {
      queue.fail(error);
    },
  );
  try {
    yield* queue.read();
  } finally {
    await work;
  }
}

/** Yields the events of a request. The request ends when the reader leaves, even while waiting for an event. */
export function eventsOfRequest(
  signal: AbortSignal | undefined,
  serve: (queue: EventQueue, signal: AbortSignal) => Promise<Ended>,
): AsyncGenerator<BatchEvent, void, void> {
  const queue = new EventQueue();
  const left = new AbortController();
  return endingAtReturn(read(queue, eitherSignal(left.signal, signal), serve), () => {
    queue.end();
    // A reason of its own spares the exception, with its stack, that Node would make for every request.
    left.abort('the reader has left');
  });
}
