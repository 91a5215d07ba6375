import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';

import type { FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';

import { chunkAnswer, eventsAnswer, imageAnswer, jobAnswer, jobsAnswer, takenAnswer } from './answers/jobs.js';
import { note, notedFailure, untilLeft, type Context, type Routes } from '../context.js';
import { eventStreamHeaders } from '../event-stream.js';
import { keyHeaders, requireKey } from '../idempotency.js';
import { eventsOf } from './job-events.js';
import {
  chunkCount,
  chunkFormat,
  chunkSize,
  contentTypes,
  jobBodySchema,
  keyedId,
  type Job,
  type JobBody,
} from '../../jobs/job.js';
import { newJob } from '../../jobs/new-job.js';
import { LARGEST_PAGE, STANDARD_PAGE } from '../../jobs/page.js';
import type { JobState, JobStore } from '../../jobs/store.js';
import { speedsOf, viewOf } from '../../jobs/view.js';
import { ServerError } from '../../base/problem.js';
import type { Client, Quota } from '../../base/client.js';

interface OfJob {
  Params: { id: string; index: string };
}

function mayRead({ name, scopes }: Client, { tenant }: Job): boolean {
  return tenant === name || scopes.has('admin');
}

/** The quota that counts for a job. An admin's own does not count for jobs of others. */
function quotaOf({ name, quota }: Client, { tenant }: Job): Quota | undefined {
  return tenant === name ? quota : undefined;
}

/** Finds the job that a path names. A job of another client counts as missing. */
async function jobOf(store: JobStore, { params, client }: FastifyRequest<OfJob>): Promise<JobState> {
  const found = await store.get(params.id);
  if (found !== undefined && mayRead(client, found.job)) return found;
  throw new ServerError('ERR_DPM_NOT_FOUND', 'there is no job of that id');
}

/** Reads a whole number from a path. */
function indexOf({ params }: FastifyRequest<OfJob>, count: number, what: string): number {
  const index = /^\d{1,9}$/.test(params.index) ? Number(params.index) : count;
  if (index < count) return index;
  throw new ServerError('ERR_DPM_NOT_FOUND', `${what} are 0 to ${count - 1}`);
}

/** Reads the samples of a chunk, or says why there are none. */
async function chunkOf(store: JobStore, state: JobState, chunk: number): Promise<Uint8Array> {
  if (state.state === 'cancelled') {
    throw new ServerError('ERR_DPM_ABORTED', 'the job was cancelled', { status: 410 });
  }
  const failure = state.failures.find((each) => each.chunk === chunk);
  if (failure !== undefined) throw new ServerError('ERR_DPM_NOT_FOUND', `the chunk failed: ${failure.message}`);
  const bytes = await store.chunk(state.job, chunk);
  if (bytes !== undefined) return bytes;
  // A spool draws a chunk again that has gone.
  if (state.state === 'done' && (await store.get(state.job.id))?.state === 'done') {
    const gone = `the samples have been removed: POST /v1/jobs/${state.job.id}/retry draws them again`;
    throw new ServerError('ERR_DPM_NOT_FOUND', gone, { status: 410 });
  }
  throw new ServerError('ERR_DPM_NOT_FOUND', 'the chunk is not drawn yet', { headers: { 'retry-after': '1' } });
}

/** Takes in the job that a request asks for, or finds the one that it asked for before under the same key. */
async function takenIn(
  store: JobStore,
  request: FastifyRequest,
  { registry, tracing }: Pick<Context, 'registry' | 'tracing'>,
): Promise<JobState> {
  const body = request.body as JobBody;
  const { client } = request;
  const key = request.headers['idempotency-key'];
  const id = typeof key === 'string' ? keyedId(client.name, requireKey(key)) : randomUUID();
  const job = newJob(body, registry.use(body.model), { id, client, trace: tracing.carried(request.trace) });
  const taken = await store.add(job, client.quota);
  if (taken.asked !== job.asked) {
    throw new ServerError('ERR_DPM_IDEMPOTENCY', 'the Idempotency-Key stands for another request');
  }
  note(request, { job: id, model: body.model, count: body.count });
  return (await store.get(id)) ?? { job: taken, state: 'queued', doneChunks: 0, failures: [] };
}

const id = { id: Type.String({ description: 'Id of the job.' }) };
const params = Type.Object(id);
const tags = ['jobs'];

const pageQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: LARGEST_PAGE,
        default: STANDARD_PAGE,
        description: 'The most jobs of the page.',
      }),
    ),
    cursor: Type.Optional(Type.String({ maxLength: 128, description: 'The `next` of the page before.' })),
  },
  { additionalProperties: false },
);

const schemas = {
  add: {
    operationId: 'addJob',
    summary: 'Takes a job in.',
    tags,
    headers: keyHeaders,
    body: jobBodySchema,
    response: { 202: takenAnswer },
  },
  list: {
    operationId: 'listJobs',
    summary: 'Your jobs, by pages.',
    tags,
    querystring: pageQuery,
    response: { 200: jobsAnswer },
  },
  get: { operationId: 'getJob', summary: 'A job.', tags, params, response: { 200: jobAnswer } },
  cancel: { operationId: 'cancelJob', summary: 'Ends a job.', tags, params, response: { 200: jobAnswer } },
  retry: {
    operationId: 'retryJob',
    summary: 'Draws again what has failed, or is gone.',
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
    params: Type.Object({ ...id, index: Type.String({ description: 'Index of the chunk, from 0.' }) }),
    response: { 200: chunkAnswer },
  },
  image: {
    operationId: 'getImage',
    summary: 'One sample.',
    tags,
    params: Type.Object({ ...id, index: Type.String({ description: 'Index of the sample, from 0.' }) }),
    response: { 200: imageAnswer },
  },
};

const config = { scope: 'jobs', fails: [503] } as const;
const ofJob = { scope: 'jobs', fails: [404, 503] } as const;
const ofSamples = { scope: 'jobs', fails: [404, 410, 503] } as const;

/** The routes of `/v1/jobs`, for samples that no connection waits for. */
export const jobRoutes: Routes = (app, context) => {
  const { jobs: store, registry } = context;
  if (store === undefined) return;
  const shown = (state: JobState, speedOf = speedsOf(registry)): object => viewOf(state, speedOf(state.job));

  app.post(
    '/v1/jobs',
    { schema: schemas.add, config: { ...config, isWork: true, fails: [404, 422, 503, 507] } },
    async (request, reply) => {
      const state = await takenIn(store, request, context);
      return reply.status(202).header('location', `/v1/jobs/${state.job.id}`).send(shown(state));
    },
  );
  app.get<{ Querystring: Static<typeof pageQuery> }>(
    '/v1/jobs',
    { schema: schemas.list, config },
    async ({ client, query: { limit = STANDARD_PAGE, cursor } }, reply) => {
      const tenant = client.scopes.has('admin') ? undefined : client.name;
      const { data, next } = await store.list({ tenant, limit, cursor });
      if (next !== null) reply.header('link', `</v1/jobs?limit=${limit}&cursor=${next}>; rel="next"`);
      const speedOf = speedsOf(registry);
      return { object: 'list', data: data.map((state) => shown(state, speedOf)), next };
    },
  );
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
    { schema: schemas.retry, config: { ...ofJob, isWork: true, fails: [404, 422, 503, 507] } },
    async (request) => {
      const { job } = await jobOf(store, request);
      await store.retry(job.id, quotaOf(request.client, job));
      return shown(await jobOf(store, request));
    },
  );
  app.get<OfJob>('/v1/jobs/:id/events', { schema: schemas.events, config: ofJob }, async (request, reply) => {
    const { job } = await jobOf(store, request);
    const watched = {
      signal: untilLeft(request, reply),
      isEnding: () => context.state.isDraining,
      shown,
      failed: (error: unknown) => notedFailure(error, request).problem,
    };
    return reply.headers(eventStreamHeaders).send(Readable.from(eventsOf(store, job.id, watched)));
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
    const chunk = await chunkOf(store, state, Math.floor(sample / chunkSize(state.job.body)));
    return reply
      .type('image/png')
      .header('dpm-digest', state.job.digest)
      .send(await context.pool.pngOfChunk({ job: state.job, sample, chunk }));
  });
};
