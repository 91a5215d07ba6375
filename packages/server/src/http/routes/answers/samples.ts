import Type, { type TSchema } from 'typebox';

import { binary, type DescribedAnswer } from '../../description.js';

const strict = { additionalProperties: false };

const seed = Type.String({ pattern: '^[0-9]{1,20}$', description: 'From 0 to 2^64 - 1.' });
const digest = Type.String({ description: "SHA-256 of the model's files." });
const index = Type.Integer({ minimum: 0, description: 'Index of the sample in the request.' });
const milliseconds = Type.Number({ minimum: 0 });

/** An image as PNG, in base64. */
export const base64Png = Type.String({ contentMediaType: 'image/png', description: 'PNG in base64.' });

const shown = { contentType: Type.Literal('image/png'), b64: base64Png };

const figures = {
  evaluations: Type.Integer({ minimum: 0, description: 'Number of network evaluations for all samples.' }),
  queuedMs: milliseconds,
  runMs: milliseconds,
  msPerEvaluation: Type.Union([milliseconds, Type.Null()]),
};

const samplesSchema = Type.Object(
  {
    id: Type.String({ description: 'Id of the request.' }),
    model: Type.String(),
    digest,
    seed,
    shape: Type.Array(Type.Integer({ minimum: 1 }), { minItems: 4, maxItems: 4, description: '[N, C, H, W].' }),
    ...figures,
    images: Type.Array(Type.Object({ index, ...shown }, strict)),
  },
  strict,
);

/** The data of each event of a stream, by the event's name. */
const events: Record<string, TSchema> = {
  accepted: Type.Object(
    { id: Type.String(), model: Type.String(), digest, seed, expectedWaitMs: milliseconds },
    strict,
  ),
  progress: Type.Object({ done: Type.Integer({ minimum: 0 }), total: Type.Integer({ minimum: 0 }) }, strict),
  preview: Type.Object({ index, record: Type.Integer({ minimum: 0 }), ...shown }, strict),
  image: Type.Object({ index, ...shown }, strict),
  done: Type.Object(figures, strict),
  error: Type.Ref('Problem#'),
};

/** The answer of `POST /v1/samples`. */
export const samplesAnswer: DescribedAnswer = {
  description: 'Samples, in the form that Accept names.',
  headers: {
    'dpm-id': Type.String({ description: 'Id of the request.' }),
    'dpm-seed': seed,
    'dpm-digest': digest,
    'dpm-evaluations': Type.String({ description: 'Number of network evaluations, in answers that are no stream.' }),
    'dpm-grid': Type.String({ description: 'Columns and rows of several images in one picture: 3x2.' }),
    'server-timing': Type.String({
      description: 'Milliseconds of queue, run and encode; of answers that are no stream.',
    }),
  },
  content: {
    'application/json': { schema: samplesSchema },
    ...binary('image/png', 'The image, or several as a grid.'),
    ...binary('application/x-npy', "numpy's file of [N, C, H, W]."),
    ...binary('application/x-safetensors', 'A tensor `images` of [N, C, H, W].'),
    'text/event-stream': {
      schema: Type.String({ description: 'Events, and comments where nothing happens.' }),
      'x-events': events,
    },
  },
};
