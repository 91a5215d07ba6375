import { dpmErrorCodes, priorities, samplerNames } from 'dpm-native';
import Type from 'typebox';

import { binary, type DescribedAnswer, jsonAnswer } from '../../description.js';
import { chunkFormats } from '../../../jobs/job.js';
import { jobStates } from '../../../jobs/store.js';
import { serverErrorCodes } from '../../../base/problem.js';

const strict = { additionalProperties: false };
const count = Type.Integer({ minimum: 0 });

const jobSchema = Type.Object(
  {
    id: Type.String({ pattern: '^[0-9a-f-]{36}$' }),
    object: Type.Literal('job'),
    state: Type.Enum(jobStates),
    done: Type.Integer({ minimum: 0, description: 'Samples that are there.' }),
    total: Type.Integer({ minimum: 1, description: 'Samples.' }),
    chunks: Type.Integer({ minimum: 1 }),
    chunk: Type.Integer({ minimum: 1, description: 'Samples of one.' }),
    failedChunks: Type.Array(
      Type.Object(
        { chunk: count, code: Type.Enum([...dpmErrorCodes, ...serverErrorCodes]), message: Type.String() },
        strict,
      ),
    ),
    createdAt: Type.String({ format: 'date-time' }),
    expectedSeconds: Type.Union([Type.Number({ minimum: 0 }), Type.Null()], {
      description: 'Seconds until one machine like this one has done it; null where they are not known.',
    }),
    model: Type.String(),
    digest: Type.String({ description: "SHA-256 of the model's files." }),
    engine: Type.String({ description: "The class of engines that draw it, or 'any'." }),
    sampler: Type.Enum(samplerNames),
    seed: Type.String({ pattern: '^[0-9]{1,20}$' }),
    first: count,
    priority: Type.Enum(priorities),
    shape: Type.Array(count, { minItems: 3, maxItems: 3, description: '[C, H, W] of a sample.' }),
    format: Type.Enum(chunkFormats),
  },
  strict,
);

const headers = { 'dpm-digest': Type.String({ description: "SHA-256 of the model's files." }) };

/** The answer of `POST /v1/jobs`. */
export const takenAnswer: DescribedAnswer = {
  ...jsonAnswer('The job: it survives the end of the server.', jobSchema),
  headers: { location: Type.String({ description: 'Address of the job.' }) },
};

/** The answer of `GET /v1/jobs/{id}`. */
export const jobAnswer = jsonAnswer('The job.', jobSchema);

/** The answer of `GET /v1/jobs`. */
export const jobsAnswer: DescribedAnswer = {
  ...jsonAnswer(
    'Your jobs, the newest first.',
    Type.Object(
      {
        object: Type.Literal('list'),
        data: Type.Array(jobSchema),
        next: Type.Union([Type.String(), Type.Null()], {
          description: 'The `cursor` of the page after it; null where there are no more.',
        }),
      },
      strict,
    ),
  ),
  headers: { link: Type.String({ description: 'Address of the page after it, with rel="next", where there is one.' }) },
};

/** The answer of `GET /v1/jobs/{id}/events`. */
export const eventsAnswer: DescribedAnswer = {
  description: 'The job whenever it has changed, until it is over.',
  content: {
    'text/event-stream': {
      schema: Type.String({ description: 'Events, and comments where nothing happens.' }),
      'x-events': {
        progress: jobSchema,
        done: jobSchema,
        failed: jobSchema,
        cancelled: jobSchema,
        error: Type.Ref('Problem#'),
      },
    },
  },
};

/** The answer of `GET /v1/jobs/{id}/chunks/{index}`. */
export const chunkAnswer: DescribedAnswer = {
  description: "A chunk's samples, in the job's format.",
  headers,
  content: {
    ...binary('application/x-npy', "numpy's file of [N, C, H, W]."),
    ...binary('application/x-safetensors', 'A tensor `images` of [N, C, H, W].'),
    ...binary('image/png', 'All as a grid.'),
  },
};

/** The answer of `GET /v1/jobs/{id}/images/{index}`. */
export const imageAnswer: DescribedAnswer = {
  description: 'One sample.',
  headers,
  content: binary('image/png', 'The image.'),
};
