import { Readable } from 'node:stream';

import type { BatchEvent, ImageBatch } from 'dpm-native';
import type { FastifyRequest } from 'fastify';

import { type Form, forms, negotiated } from '../accept.js';
import { samplesAnswer } from './answers/samples.js';
import { note, notedFailure, untilLeft, type Context, type Routes, type WholeAnswer } from '../context.js';
import { type Done, drawing, drawn, requireRoom } from '../../samples/drawing.js';
import { type Encoding, gridOf } from '../../samples/encode.js';
import { eventOf, eventStreamHeaders } from '../event-stream.js';
import { type Keyed, keyHeaders } from '../idempotency.js';
import type { ServedModel } from '../../models/served.js';
import { picturesOf } from '../../samples/pictures.js';
import {
  sampleSchema,
  type SampleBody,
  type Sampling,
  samplingOf,
  seedOf,
  STANDARD_DTYPE,
} from '../../samples/sample-request.js';
import type { ThreadPool } from '../../threads/pool.js';
import type { TraceContext } from '../../observe/tracing.js';

/** Milliseconds between two progress events, and until a comment where no event comes. */
const PROGRESS_EVERY = 50;
const COMMENT_EVERY = 15_000;

/** The forms that a model's samples can have. Only images of one or three channels can be PNG. */
function formsOf({ model }: ServedModel): readonly Form[] {
  const [channels] = model.sampleShape;
  if (channels === 1 || channels === 3) return forms;
  return ['application/x-npy', 'application/x-safetensors'];
}

/** The headers that every answer with samples has. */
function identity(id: string, { seed, served }: Sampling): Record<string, string> {
  return { 'dpm-id': id, 'dpm-seed': String(seed), 'dpm-digest': served.digest };
}

const rounded = (milliseconds: number): number => Math.round(1000 * milliseconds) / 1000;

/** The figures of an answer beside its images. */
function figuresOf({ evaluations, queued, ran }: Done): object {
  const msPerEvaluation = evaluations === 0 ? null : rounded(ran / evaluations);
  return { evaluations, queuedMs: rounded(queued), runMs: rounded(ran), msPerEvaluation };
}

/** Makes the body of an answer, and measures the milliseconds that it takes. */
async function encoded(
  { pool, tracing }: Context,
  encoding: Encoding,
  trace: TraceContext | undefined,
): Promise<{ body: Uint8Array; encodeMs: number }> {
  const from = performance.now();
  let failed: { error: unknown } | undefined;
  try {
    const body = await pool.encode(encoding);
    return { body, encodeMs: rounded(performance.now() - from) };
  } catch (error) {
    failed = { error };
    throw error;
  } finally {
    tracing.record(trace, { name: 'dpm.encode', from, to: performance.now(), failed });
  }
}

/** Makes an answer with all samples. */
async function whole(
  context: Context,
  { id, trace }: FastifyRequest,
  sampling: Sampling,
  form: Exclude<Form, 'text/event-stream'>,
  dtype: 'u8' | 'f32',
  signal: AbortSignal,
): Promise<WholeAnswer> {
  const { served, seed, count } = sampling;
  const isRaw = form === 'application/x-npy' || form === 'application/x-safetensors';
  const { images, done } = await drawn(context, sampling, isRaw ? dtype : 'u8', signal, trace);
  const { id: model, digest } = served;
  const fields = { id, model, digest, seed: String(seed), shape: images.shape, ...figuresOf(done) };
  const encoding = form === 'application/json' ? { form, images, fields } : { form, images };
  const { body, encodeMs } = await encoded(context, encoding, trace);
  const { queued, ran, evaluations } = { ...done, queued: rounded(done.queued), ran: rounded(done.ran) };
  const { columns, rows } = gridOf(count);
  return {
    body,
    noted: { queuedMs: queued, runMs: ran, encodeMs, bytes: body.length },
    headers: {
      'content-type': form,
      'server-timing': `queue;dur=${queued}, run;dur=${ran}, encode;dur=${encodeMs}`,
      ...identity(id, sampling),
      'dpm-evaluations': String(evaluations),
      ...(form === 'image/png' && count > 1 && { 'dpm-grid': `${columns}x${rows}` }),
    },
  };
}

/** What a request asks for, and how the answer comes about. */
interface Asked {
  readonly sampling: Sampling;
  readonly run: Keyed<WholeAnswer>['run'];
}

/** Reads a request; one with a key stands for all that have it. */
async function askedBy(context: Context, request: FastifyRequest, served: ServedModel, form: Form): Promise<Asked> {
  const { client } = request;
  const body = request.body as SampleBody;
  const key = request.headers['idempotency-key'];
  const hasKey = typeof key === 'string';
  // A request with a key may be one that is at work, which it joins.
  if (!hasKey) requireRoom(context, served, client, body.priority);
  const isStream = form === 'text/event-stream';
  const terms = { client, isStream, pictures: await picturesOf(body, served, context.pool) };
  // Errors are found before the key is noted, so that a wrong request does not take it.
  const sampling = samplingOf(body, served, terms);
  if (!hasKey) return { sampling, run: (signal, run) => run(signal) };
  const draw = (): bigint => seedOf(body.seed);
  const keyed = context.keys.of(client.name, key, [form, served.digest, body], draw);
  const { seed } = keyed;
  return {
    sampling: samplingOf({ ...body, seed: String(seed) }, served, terms),
    run: (signal, run) => keyed.run(signal, run),
  };
}

/** Waits for the next event, or for null after a while. */
async function nextWithin<T>(next: Promise<T>, milliseconds: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const nothing = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, milliseconds, null);
  });
  try {
    return await Promise.race([next, nothing]);
  } finally {
    clearTimeout(timer);
  }
}

/** A request whose events are read. */
interface Reading {
  request: FastifyRequest;
  sampling: Sampling;
  events: AsyncGenerator<BatchEvent, void, void>;
  /** The first event, which comes once the request has been accepted. */
  first: IteratorResult<BatchEvent, void>;
}

/** The fields of an event that show an image. */
async function shownBy(pool: ThreadPool, image: ImageBatch): Promise<object> {
  return { contentType: 'image/png', b64: await pool.png(image) };
}

/** The text of an event. */
async function textOf({ pool }: Context, { request, sampling }: Reading, event: BatchEvent): Promise<string> {
  const { served, seed } = sampling;
  switch (event.type) {
    case 'accepted': {
      const { id: model, digest } = served;
      const expectedWaitMs = rounded(event.expectedWait);
      return eventOf('accepted', { id: request.id, model, digest, seed: String(seed), expectedWaitMs });
    }
    case 'progress':
      return eventOf('progress', { done: event.done, total: event.total });
    case 'preview':
      return eventOf('preview', { index: event.sample, record: event.record, ...(await shownBy(pool, event.image)) });
    case 'image':
      return eventOf('image', { index: event.sample, ...(await shownBy(pool, event.image)) });
    case 'done':
      return eventOf('done', figuresOf(event));
  }
}

/** Yields events as they come, without progress that follows too soon, and null where nothing comes for a while. */
async function* paced({ events, first }: Reading): AsyncGenerator<BatchEvent | null, void, void> {
  let toldAt = -Infinity;
  let next = Promise.resolve(first);
  for (;;) {
    const result = await nextWithin(next, COMMENT_EVERY);
    if (result === null) {
      yield null;
      continue;
    }
    if (result.done === true) return;
    next = events.next();
    // The next event may fail while the reader is slow.
    next.catch(() => undefined);
    const event = result.value;
    if (event.type === 'progress') {
      if (event.done < event.total && performance.now() - toldAt < PROGRESS_EVERY) continue;
      toldAt = performance.now();
    }
    yield event;
  }
}

/** The text of an event stream. Leaving it ends the request. */
async function* streamed(context: Context, reading: Reading): AsyncGenerator<string, void, void> {
  const { request, events } = reading;
  context.metrics.streams.inc();
  try {
    for await (const event of paced(reading)) {
      if (event?.type === 'done') note(request, { queuedMs: rounded(event.queued), runMs: rounded(event.ran) });
      yield event === null ? ': nothing new\n\n' : await textOf(context, reading, event);
    }
  } catch (error) {
    yield eventOf('error', notedFailure(error, request).problem);
  } finally {
    context.metrics.streams.dec();
    await events.return();
  }
}

/** Bytes of a body, which may have a picture and a mask. */
const MOST_BYTES = 16 * 2 ** 20;

const schema = {
  operationId: 'drawSamples',
  summary: 'Draws samples.',
  tags: ['samples'],
  headers: keyHeaders,
  body: sampleSchema,
  response: { 200: samplesAnswer },
};

/** The route `POST /v1/samples`. */
export const sampleRoutes: Routes = (app, context) => {
  app.post(
    '/v1/samples',
    { schema, bodyLimit: MOST_BYTES, config: { scope: 'sample', isWork: true, fails: [404, 406, 422, 504] } },
    async (request, reply) => {
      const body = request.body as SampleBody;
      const served = context.registry.use(body.model);
      const form = negotiated(request.headers.accept, formsOf(served));
      const { sampling, run } = await askedBy(context, request, served, form);
      note(request, { model: served.id, sampler: sampling.sampler, steps: body.steps, count: sampling.count });
      if (form !== 'text/event-stream') {
        const dtype = body.dtype ?? STANDARD_DTYPE;
        const answer = await run(untilLeft(request, reply), (signal) =>
          whole(context, request, sampling, form, dtype, signal),
        );
        note(request, answer.noted);
        return reply.headers(answer.headers).send(answer.body);
      }
      const events = drawing(context, sampling, untilLeft(request, reply), request.trace);
      // A refused request gets an error as its answer, and no stream.
      const first = await events.next();
      reply.headers({ ...eventStreamHeaders, ...identity(request.id, sampling) });
      return reply.send(Readable.from(streamed(context, { request, sampling, events, first })));
    },
  );
};
