import { eventsOf } from './events.js';
import { previewOf, type SampleBody } from './fields.js';
import type { Model, Sampler } from './described.js';
import { post, Refusal } from './server.js';

/** A picture of a run. */
export interface Picture {
  readonly src: string;
  /** Record that it is the preview of; null for a result. */
  readonly record: number | null;
}

/** Figures of a run that is done. */
export interface Figures {
  readonly queuedMs: number;
  readonly runMs: number;
  /** Null where a sampler evaluates outside of the batch. */
  readonly msPerEvaluation: number | null;
  readonly evaluations: number;
}

/** How far a run is. */
export interface RunState {
  readonly phase: 'waiting' | 'accepted' | 'running' | 'done' | 'stopped' | 'refused' | 'failed';
  readonly expectedWaitMs: number;
  /** Records that are done, of all samples together. */
  readonly done: number;
  readonly total: number | null;
  /** The newest picture of each sample. */
  readonly pictures: readonly (Picture | null)[];
  /** All previews of the first sample. */
  readonly strip: readonly Picture[];
  readonly figures: Figures | null;
  readonly problem: { readonly message: string; readonly seconds: number | undefined } | null;
}

export function waiting({ steps, count = 1 }: SampleBody): RunState {
  return {
    phase: 'waiting',
    expectedWaitMs: 0,
    done: 0,
    total: steps === undefined ? null : steps * count,
    pictures: Array.from({ length: count }, () => null),
    strip: [],
    figures: null,
    problem: null,
  };
}

interface ImageEvent {
  readonly index: number;
  readonly record?: number;
  readonly contentType: string;
  readonly b64: string;
}

function pictureOf({
  contentType,
  b64,
  record = null,
}: Omit<ImageEvent, 'record'> & { record?: number | null }): Picture {
  return { src: `data:${contentType};base64,${b64}`, record };
}

function withPicture(state: RunState, event: ImageEvent): RunState {
  const picture = pictureOf(event);
  const pictures = state.pictures.map((each, index) => (index === event.index ? picture : each));
  const isOfStrip = event.index === 0 && picture.record !== null;
  return { ...state, pictures, ...(isOfStrip && { strip: [...state.strip, picture] }) };
}

/** The state after an event of the stream. */
export function afterEvent(state: RunState, event: string, data: string): RunState {
  const value: unknown = JSON.parse(data);
  switch (event) {
    case 'accepted':
      return { ...state, phase: 'accepted', expectedWaitMs: (value as { expectedWaitMs: number }).expectedWaitMs };
    case 'progress':
      return { ...state, phase: 'running', ...(value as { done: number; total: number }) };
    case 'preview':
    case 'image':
      return withPicture(state, value as ImageEvent);
    case 'done':
      return { ...state, phase: 'done', figures: value as Figures };
    case 'error':
      throw new Refusal(value as { detail: string });
    default:
      return state;
  }
}

async function streamOf(body: object, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const { body: stream } = await post('/v1/samples', body, 'text/event-stream', signal);
  if (stream === null) throw new Refusal({ detail: 'the server sent nothing' });
  return stream;
}

/** What a run is drawn with. */
export interface RunWith {
  readonly sampler: Sampler;
  readonly model: Model;
}

/** The stream of a request; without previews where the sampler turns out to have none. */
async function opened(
  body: SampleBody,
  { sampler, model }: RunWith,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const preview = previewOf(body, model);
  try {
    return await streamOf({ ...body, ...(preview && { preview }) }, signal);
  } catch (error) {
    // The list does not say which of these have steps that are known beforehand.
    const mayHaveNone = error instanceof Refusal && error.status === 400 && sampler.kind !== 'step';
    if (preview === undefined || !mayHaveNone) throw error;
    return streamOf(body, signal);
  }
}

/** Draws, and shows every state of it. The last state says how it ended. */
export async function run(
  body: SampleBody,
  using: RunWith,
  signal: AbortSignal,
  show: (state: RunState) => void,
): Promise<RunState> {
  let state = waiting(body);
  const become = (next: RunState): void => {
    state = next;
    show(state);
  };
  let isAccepted = false;
  try {
    const stream = await opened(body, using, signal);
    isAccepted = true;
    for await (const { event, data } of eventsOf(stream)) {
      become(afterEvent(state, event, data));
      if (state.phase === 'done') return state;
    }
    throw new Refusal({ detail: 'the server ended the stream early' });
  } catch (error) {
    if (signal.aborted) become({ ...state, phase: 'stopped' });
    else if (error instanceof Refusal) {
      const { message, seconds } = error;
      become({ ...state, phase: isAccepted ? 'failed' : 'refused', problem: { message, seconds } });
    } else {
      const problem = { message: 'the server cannot be reached', seconds: undefined };
      become({ ...state, phase: 'failed', problem });
    }
    return state;
  }
}

/** Milliseconds in words, in seconds where they are many. */
export function duration(milliseconds: number): string {
  if (milliseconds >= 10_000) return `${Math.round(milliseconds / 1000)} s`;
  return `${milliseconds < 10 ? Math.round(10 * milliseconds) / 10 : Math.round(milliseconds)} ms`;
}

/** When to try again, in words. */
export function again(seconds: number | undefined): string {
  return seconds === undefined ? '' : ` Try again in ${seconds} s.`;
}

/** A picture's file name: model, sampler, seed and index. */
export function fileName({ model, sampler, seed }: SampleBody, index: number): string {
  return `${model}-${sampler}-${seed}-${index}.png`.replaceAll(/[^\w.-]/g, '');
}
