import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyRequest } from 'fastify';
import Type from 'typebox';

import { chunkAnswer, eventsAnswer, imageAnswer, jobAnswer, jobsAnswer, takenAnswer } from '../answers/jobs.js';
import { note, notedFailure, untilLeft, type Context, type Routes } from '../context.js';
import { sentImages } from '../encode/images.js';
import { eventOf, eventStreamHeaders } from '../event-stream.js';
import { keyHeaders, requireKey } from '../idempotency.js';
import { chunkCount, chunkFormat, chunkSize, contentTypes, jobBodySchema, keyedId, type JobBody } from '../jobs/job.js';
import { newJob } from '../jobs/new-job.js';
import { imageOfChunk } from '../jobs/sample-of-chunk.js';
import { isOver, type JobState, type JobStore } from '../jobs/store.js';
import { viewOf } from '../jobs/view.js';
import { ServerError } from '../problem.js';

interface OfJob {
  Params: { id: string; index: string };
}

/** Milliseconds between two events of a job. */
const EVENTS_EVERY = 200;

/** The job of a path; those of others are as good as none. */
async function jobOf(store: JobStore, { params, client }: FastifyRequest<OfJob>): Promise<JobState> {
  const found = await store.get(params.id);
  if (found !== undefined && (found.job.tenant === client.name || client.scopes.has('admin'))) return found;
  throw new ServerError('ERR_DPM_NOT_FOUND', 'there is no job of that id');
}

/** A whole number of a path. */
function indexOf({ params }: FastifyRequest<OfJob>, count: number, what: string): number {
  const index = /^\d{1,9}$/.test(params.index) ? Number(params.index) : count;
  if (index < count) return index;
  throw new ServerError('ERR_DPM_NOT_FOUND', `${what} are 0 to ${count - 1}`);
}

/** The samples of a chunk that is there. */
async function chunkOf(store: JobStore, state: JobState, chunk: number): Promise<Uint8Array> {
  if (state.state === 'cancelled') {
    throw new ServerError('ERR_DPM_ABORTED', 'the job was cancelled', { status: 410 });
  }
  const failure = state.failures.find((each) => each.chunk === chunk);
  if (failure !== undefined) throw new ServerError('ERR_DPM_NOT_FOUND', `the chunk failed: ${failure.message}`);
  const bytes = await store.chunk(state.job, chunk);
  if (bytes !== undefined) return bytes;
  throw new ServerError('ERR_DPM_NOT_FOUND', 'the chunk is not drawn yet', { headers: { 'retry-after': '1' } });
}

/** A job whenever it has changed, until it is over or the server is about to end; null where nothing happens for a while. */
async function* statesOf(
  { state: server }: Pick<Context, 'state'>,
  store: JobStore,
  first: JobState,
  signal: AbortSignal,
): AsyncGenerator<JobState | null, void, void> {
  let state: JobState | undefined = first;
  let told = '';
  while (state !== undefined) {
    const { state: phase, doneChunks, failures } = state;
    const now = `${phase} ${doneChunks} ${failures.length}`;
    yield now === told ? null : state;
    told = now;
    if (isOver(state)) return;
    const began = performance.now();
    await store.changed(state.job.id, signal);
    const early = EVENTS_EVERY - (performance.now() - began);
    if (early > 0) await sleep(early);
    if (signal.aborted || server.isDraining) return;
    state = await store.get(state.job.id);
  }
}

/** Makes the text of a job's events. Ids are how far it is: whoever comes back gets the state first in any case. */
async function* eventsOf(
  request: FastifyRequest,
  states: AsyncGenerator<JobState | null, void, void>,
  shown: (state: JobState) => object,
): AsyncGenerator<string, void, void> {
  try {
    for await (const state of states) {
      if (state === null) yield ': nothing new\n\n';
      else
        yield `id: ${state.state}-${state.doneChunks}\n${eventOf(isOver(state) ? state.state : 'progress', shown(state))}`;
    }
  } catch (error) {
    yield eventOf('error', notedFailure(error, request).problem);
  }
}

const id = { id: Type.String({ description: 'Of the job.' }) };
const params = Type.Object(id);
const tags = ['jobs'];

const schemas = {
  add: {
    operationId: 'addJob',
    summary: 'Takes a job in.',
    tags,
    headers: keyHeaders,
    body: jobBodySchema,
    response: { 202: takenAnswer },
  },
  list: { operationId: 'listJobs', summary: 'Your jobs.', tags, response: { 200: jobsAnswer } },
  get: { operationId: 'getJob', summary: 'A job.', tags, params, response: { 200: jobAnswer } },
  cancel: { operationId: 'cancelJob', summary: 'Ends a job.', tags, params, response: { 200: jobAnswer } },
  retry: {
    operationId: 'retryJob',
    summary: 'Draws again what has failed.',
    tags,
    params,
    response: { 200: jobAnswer },
  },
  events: {
    operationId: 'followJob',
    summary: 'How a job goes on.',
    tags,
    params,
    response: { 200: eventsAnswer },
  },
  chunk: {
    operationId: 'getChunk',
    summary: 'The samples of a chunk.',
    tags,
    params: Type.Object({ ...id, index: Type.String({ description: 'Of the chunk, from 0.' }) }),
    response: { 200: chunkAnswer },
  },
  image: {
    operationId: 'getImage',
    summary: 'One sample.',
    tags,
    params: Type.Object({ ...id, index: Type.String({ description: 'Of the sample, from 0.' }) }),
    response: { 200: imageAnswer },
  },
};

const config = { scope: 'jobs', fails: [503] } as const;
const ofJob = { scope: 'jobs', fails: [404, 503] } as const;
const ofSamples = { scope: 'jobs', fails: [404, 410, 503] } as const;

/** `/v1/jobs`: samples that nobody waits for at the other end of a connection. */
export const jobRoutes: Routes = (app, context) => {
  const { jobs: store, registry } = context;
  if (store === undefined) return;
  const shown = (state: JobState): object => {
    const served = registry.models.find(({ digest }) => digest === state.job.digest);
    return viewOf(state, served?.batcher.capacity.rowsPerSecond);
  };

  app.post(
    '/v1/jobs',
    { schema: schemas.add, config: { ...config, isWork: true, fails: [404, 422] } },
    async (request, reply) => {
      const body = request.body as JobBody;
      const { client } = request;
      const key = request.headers['idempotency-key'];
      const id = typeof key === 'string' ? keyedId(client.name, requireKey(key)) : randomUUID();
      const job = newJob(body, registry.use(body.model), { id, client, trace: context.tracing.carried(request.trace) });
      const taken = await store.add(job);
      if (taken.asked !== job.asked) {
        throw new ServerError('ERR_DPM_IDEMPOTENCY', 'the Idempotency-Key stands for another request');
      }
      note(request, { job: id, model: body.model, count: body.count });
      const state = (await store.get(id)) ?? { job: taken, state: 'queued' as const, doneChunks: 0, failures: [] };
      return reply.status(202).header('location', `/v1/jobs/${id}`).send(shown(state));
    },
  );
  app.get('/v1/jobs', { schema: schemas.list, config }, async ({ client }) => {
    const states = await store.list();
    const own = states.filter(({ job }) => job.tenant === client.name || client.scopes.has('admin'));
    return { object: 'list', data: own.map(shown) };
  });
  app.get<OfJob>('/v1/jobs/:id', { schema: schemas.get, config: ofJob }, async (request) =>
    shown(await jobOf(store, request)),
  );
  app.delete<OfJob>('/v1/jobs/:id', { schema: schemas.cancel, config: ofJob }, async (request) => {
    const { job } = await jobOf(store, request);
    await store.cancel(job.id);
    return shown(await jobOf(store, request));
  });
  app.post<OfJob>(
    '/v1/jobs/:id/retry',
    { schema: schemas.retry, config: { ...ofJob, isWork: true } },
    async (request) => {
      const { job } = await jobOf(store, request);
      await store.retry(job.id);
      return shown(await jobOf(store, request));
    },
  );
  app.get<OfJob>('/v1/jobs/:id/events', { schema: schemas.events, config: ofJob }, async (request, reply) => {
    const states = statesOf(context, store, await jobOf(store, request), untilLeft(request, reply));
    return reply.headers(eventStreamHeaders).send(Readable.from(eventsOf(request, states, shown)));
  });
  app.get<OfJob>('/v1/jobs/:id/chunks/:index', { schema: schemas.chunk, config: ofSamples }, async (request, reply) => {
    const state = await jobOf(store, request);
    const bytes = await chunkOf(store, state, indexOf(request, chunkCount(state.job), 'chunks'));
    return reply
      .type(contentTypes[chunkFormat(state.job)])
      .header('dpm-digest', state.job.digest)
      .send(Buffer.from(bytes));
  });
  app.get<OfJob>('/v1/jobs/:id/images/:index', { schema: schemas.image, config: ofSamples }, async (request, reply) => {
    const state = await jobOf(store, request);
    const sample = indexOf(request, state.job.body.count, 'images');
    const bytes = await chunkOf(store, state, Math.floor(sample / chunkSize(state.job.body)));
    const images = sentImages(imageOfChunk(state.job, sample, bytes), 'u8');
    return reply
      .type('image/png')
      .header('dpm-digest', state.job.digest)
      .send(await context.pool.encode({ form: 'image/png', images }));
  });
};
