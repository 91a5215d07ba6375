import { createHash } from 'node:crypto';

import { optionFacts, type Priority, takesUnconditionalLabel } from 'dpm-native';
import Type, { type Static } from 'typebox';

import { describe, optionField } from '../base/option-field.js';
import { textFields } from '../samples/prompt-fields.js';
import { sampleFields, sampleSchema, type SampleBody } from '../samples/sample-request.js';

/** The most samples of a job. */
const MOST_SAMPLES = 1_000_000;
/** The most samples of a chunk. More would not fill a batch better, and are lost if their machine fails. */
const MOST_IN_CHUNK = 256;
/** The most chunks of a job, as a queue takes in all of them at once. */
export const MOST_CHUNKS = 4096;

/** The forms in which a chunk's samples can be kept. */
export const chunkFormats = ['npy', 'safetensors', 'png'] as const;

/** What a job is unless its body says otherwise. */
const standard = { chunk: 64, format: 'npy', engine: 'own' } as const;

/** The form in which a chunk's samples are kept. */
export type ChunkFormat = (typeof chunkFormats)[number];

/** The body of `POST /v1/jobs`. */
export const jobBodySchema = Type.Interface(
  [
    Type.Omit(sampleSchema, [
      ...['init', 'preview', 'deadlineMs', 'priority', 'count', 'classLabels', 'guidance'],
      ...['prompt', 'negativePrompt', 'image', 'mask', 'strength'],
    ] as const),
  ],
  {
    count: Type.Integer({
      minimum: 1,
      maximum: MOST_SAMPLES,
      description: describe({ ...optionFacts.run.count, standard: null }),
    }),
    chunk: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MOST_IN_CHUNK,
        description: describe({ help: 'samples that are drawn together', standard: String(standard.chunk) }),
      }),
    ),
    format: Type.Optional(
      Type.Enum(chunkFormats, {
        description: describe({ help: 'form of the chunks, png: a chunk as one picture', standard: standard.format }),
      }),
    ),
    engine: Type.Optional(
      Type.Enum(['own', 'any'], {
        description: describe({
          help: 'engines that draw: own, those that draw the same bits as this server; any, workers of every kind, with other last bits',
          standard: standard.engine,
        }),
      }),
    ),
    ...sampleFields(),
    ...textFields(),
    priority: Type.Optional(optionField<Priority>(optionFacts.service.priority, { standard: 'low' })),
  },
  { additionalProperties: false },
);

/** The body of `POST /v1/jobs`. */
export type JobBody = Static<typeof jobBodySchema>;

const ID = /^[0-9a-f-]{36}$/;

/** Tells whether a text can be the id of a job. */
export function isJobId(text: string): boolean {
  return ID.test(text);
}

/** The schema of a job as it is kept. It is all that one needs for drawing the job's chunks with a model. */
export const jobSchema = Type.Object(
  {
    id: Type.String({ pattern: ID.source }),
    /** The client that asked for it. */
    tenant: Type.String({ maxLength: 64 }),
    weight: Type.Number({ exclusiveMinimum: 0 }),
    /** The time when it was taken in (ISO 8601). */
    createdAt: Type.String({ maxLength: 32 }),
    /** The digest of the model's files. */
    digest: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** The class of engines that may draw it, or 'any'. */
    engine: Type.String({ pattern: '^[a-z0-9.-]{1,128}$' }),
    /** SHA-256 of the request, which tells whether a key is used for another one. */
    asked: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** The body of the request, with the seed that was drawn. */
    body: jobBodySchema,
    /** [C, H, W] of a sample. */
    shape: Type.Tuple([Type.Integer({ minimum: 1 }), Type.Integer({ minimum: 1 }), Type.Integer({ minimum: 1 })]),
    /** The values of black and white. */
    range: Type.Tuple([Type.Number(), Type.Number()]),
    /** Rows of all evaluations; 0 where they are not known before the run. */
    rows: Type.Number({ minimum: 0 }),
    /** W3C trace context of the request. */
    trace: Type.Optional(Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 1024 }))),
  },
  { additionalProperties: false },
);

/** A job as it is kept. */
export type Job = Static<typeof jobSchema>;

/** The number of samples of each chunk of a job; the last one may have fewer. */
export function chunkSize({ chunk = standard.chunk }: Pick<JobBody, 'chunk'>): number {
  return chunk;
}

/** The number of chunks of a job. */
export function chunkCount({ body }: Pick<Job, 'body'>): number {
  return Math.ceil(body.count / chunkSize(body));
}

/** The form of a job's chunks. */
export function chunkFormat({ body }: Pick<Job, 'body'>): ChunkFormat {
  return body.format ?? standard.format;
}

/** The content type of a chunk, by its form. */
export const contentTypes: Readonly<
  Record<ChunkFormat, 'application/x-npy' | 'application/x-safetensors' | 'image/png'>
> = { npy: 'application/x-npy', safetensors: 'application/x-safetensors', png: 'image/png' };

/** The request for the samples of a chunk: a pure function of the job. */
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
    prompt,
    negativePrompt,
    ...same
  } = body;
  const size = chunkSize(body);
  const begin = chunk * size;
  const end = Math.min(begin + size, count);
  const part = <T>(each: T | T[] | undefined): T | T[] | undefined =>
    Array.isArray(each) ? each.slice(begin, end) : each;
  const ownLabels = part(classLabels);
  const ownGuidance = part(guidance);
  const [ownPrompt, ownNegative] = [part(prompt), part(negativePrompt)];
  // The label may be there for the guidance of other chunks alone.
  const isLabelled =
    unconditionalLabel !== undefined && (ownGuidance === undefined || takesUnconditionalLabel(ownGuidance));
  return {
    ...same,
    first: first + begin,
    count: end - begin,
    ...(ownLabels !== undefined && { classLabels: ownLabels }),
    ...(ownGuidance !== undefined && { guidance: ownGuidance }),
    ...(ownPrompt !== undefined && { prompt: ownPrompt }),
    ...(ownNegative !== undefined && { negativePrompt: ownNegative }),
    ...(isLabelled && { unconditionalLabel }),
  };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Sorts the fields of a value. Arrays of numbers, which may be long, are left as they are. */
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
 * The key under which a chunk's samples are kept. Chunks with the same samples have the same key, even if their jobs differ.
 */
export function chunkKey(job: Pick<Job, 'body' | 'digest' | 'engine'>, chunk: number): string {
  const { first = 0, count = 1, model: _, priority: __, ...request } = chunkRequest(job, chunk);
  const hash = hashOf({ ...request, engine: job.engine });
  return `${job.digest.slice(0, 12)}/${hash}/${first}-${count}.${chunkFormat(job)}`;
}

/** The name of the queue in which a job's chunks wait. */
export function queueOf({ digest, engine }: Pick<Job, 'digest' | 'engine'>): string {
  return `dpm-${digest.slice(0, 12)}-${engine}`;
}

/** The id of a job with an Idempotency-Key: the same key always gives the same id. */
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
