import { createHash } from 'node:crypto';

import { takesUnconditionalLabel } from 'dpm-native';
import Type, { type Static } from 'typebox';

import { sampleSchema, type SampleBody } from '../samples/sample-request.js';

/** Samples of a job. */
const MOST_SAMPLES = 1_000_000;
/** Samples of a chunk: more make no better use of a full batch, and are lost with the machine that draws them. */
const MOST_IN_CHUNK = 256;
/** Chunks of a job: a queue takes them in at once. */
export const MOST_CHUNKS = 4096;

/** The forms that a chunk's samples are kept in. */
export const chunkFormats = ['npy', 'safetensors', 'png'] as const;

/** The form that a chunk's samples are kept in. */
export type ChunkFormat = (typeof chunkFormats)[number];

const labels = Type.Integer({ minimum: 0 });

/** The body of `POST /v1/jobs`. */
export const jobBodySchema = Type.Interface(
  [Type.Omit(sampleSchema, ['init', 'preview', 'deadlineMs', 'count', 'classLabels', 'guidance'])],
  {
    count: Type.Integer({ minimum: 1, maximum: MOST_SAMPLES, description: 'Samples.' }),
    chunk: Type.Optional(
      Type.Integer({ minimum: 1, maximum: MOST_IN_CHUNK, description: 'Samples that are drawn together, default 64.' }),
    ),
    format: Type.Optional(Type.Enum(chunkFormats, { description: 'Of the chunks, default npy.' })),
    engine: Type.Optional(
      Type.Enum(['own', 'any'], {
        description:
          'own, the default: bits as this server draws them; any: workers of every kind, with other last bits.',
      }),
    ),
    classLabels: Type.Optional(
      Type.Union([labels, Type.Array(labels)], { description: 'One for all or one a sample.' }),
    ),
    guidance: Type.Optional(
      Type.Union([Type.Number(), Type.Array(Type.Number())], { description: 'One for all or one a sample.' }),
    ),
  },
  { additionalProperties: false },
);

/** The body of `POST /v1/jobs`. */
export type JobBody = Static<typeof jobBodySchema>;

const ID = /^[0-9a-f-]{36}$/;

/** Whether a text can be the id of a job. */
export function isJobId(text: string): boolean {
  return ID.test(text);
}

/** A job as it is kept: whatever draws its chunks needs this and a model, nothing else. */
export const jobSchema = Type.Object(
  {
    id: Type.String({ pattern: ID.source }),
    /** Whose it is. */
    tenant: Type.String({ maxLength: 64 }),
    weight: Type.Number({ exclusiveMinimum: 0 }),
    /** ISO 8601. */
    createdAt: Type.String({ maxLength: 32 }),
    /** Of the model's files. */
    digest: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** The class of engines that may draw it, or 'any'. */
    engine: Type.String({ pattern: '^[a-z0-9.-]{1,128}$' }),
    /** SHA-256 of what was asked for, as an Idempotency-Key stands for it. */
    asked: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** With the seed that was drawn. */
    body: jobBodySchema,
    /** [C, H, W] of a sample. */
    shape: Type.Tuple([Type.Integer({ minimum: 1 }), Type.Integer({ minimum: 1 }), Type.Integer({ minimum: 1 })]),
    /** The values of black and white. */
    range: Type.Tuple([Type.Number(), Type.Number()]),
    /** Rows of all evaluations; 0 where only the run itself tells. */
    rows: Type.Number({ minimum: 0 }),
    /** W3C trace context of the request. */
    trace: Type.Optional(Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 1024 }))),
  },
  { additionalProperties: false },
);

/** A job as it is kept. */
export type Job = Static<typeof jobSchema>;

/** Samples that are drawn together, unless the body says otherwise. */
const CHUNK = 64;

/** How many samples a chunk of a job has, the last one perhaps fewer. */
export function chunkSize({ chunk = CHUNK }: Pick<JobBody, 'chunk'>): number {
  return chunk;
}

/** How many chunks a job has. */
export function chunkCount({ body }: Pick<Job, 'body'>): number {
  return Math.ceil(body.count / chunkSize(body));
}

/** The form of a job's chunks. */
export function chunkFormat({ body }: Pick<Job, 'body'>): ChunkFormat {
  return body.format ?? 'npy';
}

/** Of the answer that has a chunk. */
export const contentTypes: Readonly<
  Record<ChunkFormat, 'application/x-npy' | 'application/x-safetensors' | 'image/png'>
> = { npy: 'application/x-npy', safetensors: 'application/x-safetensors', png: 'image/png' };

/** The request that a chunk is: a pure function of the job. */
export function chunkRequest({ body }: Pick<Job, 'body'>, chunk: number): SampleBody {
  const {
    chunk: _,
    format: __,
    engine: ___,
    count,
    first = 0,
    classLabels,
    guidance,
    unconditionalLabel,
    ...same
  } = body;
  const size = chunkSize(body);
  const begin = chunk * size;
  const end = Math.min(begin + size, count);
  const part = <T>(each: T | T[] | undefined): T | T[] | undefined =>
    Array.isArray(each) ? each.slice(begin, end) : each;
  const ownLabels = part(classLabels);
  const ownGuidance = part(guidance);
  // The weights of other chunks may be the reason why there is one.
  const isLabelled =
    unconditionalLabel !== undefined && (ownGuidance === undefined || takesUnconditionalLabel(ownGuidance));
  return {
    ...same,
    first: first + begin,
    count: end - begin,
    ...(ownLabels !== undefined && { classLabels: ownLabels }),
    ...(ownGuidance !== undefined && { guidance: ownGuidance }),
    ...(isLabelled && { unconditionalLabel }),
  };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** The same value with its fields in one order. Arrays of numbers, of which there may be hundreds of thousands, are left as they are. */
function sorted(value: unknown): unknown {
  if (!isObject(value)) return value;
  if (Array.isArray(value)) return value.some(isObject) ? value.map(sorted) : value;
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(fields.map(([name, each]) => [name, sorted(each)]));
}

/** SHA-256 of a value, whatever the order of its fields. */
export function hashOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(value)))
    .digest('hex');
}

/**
 * Where the samples of a chunk are kept: chunks of the same samples have one place, whichever job they are of.
 */
export function chunkKey(job: Pick<Job, 'body' | 'digest' | 'engine'>, chunk: number): string {
  const { first = 0, count = 1, model: _, priority: __, ...request } = chunkRequest(job, chunk);
  const hash = hashOf({ ...request, engine: job.engine });
  return `${job.digest.slice(0, 12)}/${hash}/${first}-${count}.${chunkFormat(job)}`;
}

/** The queue that a job's chunks wait in. */
export function queueOf({ digest, engine }: Pick<Job, 'digest' | 'engine'>): string {
  return `dpm-${digest.slice(0, 12)}-${engine}`;
}

/** The id of a job that was sent under an Idempotency-Key: the same one again. */
export function keyedId(tenant: string, key: string): string {
  const hash = hashOf([tenant, key]);
  const parts = [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(12, 15)}`,
    `8${hash.slice(15, 18)}`,
    hash.slice(18, 30),
  ];
  return parts.join('-');
}
