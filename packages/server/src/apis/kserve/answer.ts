import Type from 'typebox';

import { binary, type DescribedAnswer, jsonAnswer } from '../../http/description.js';

const strict = { additionalProperties: false };

const name = Type.String();
const shape = Type.Array(Type.Integer(), { description: 'Sizes, of which -1 is the batch.' });
const tensors = Type.Array(Type.Object({ name, datatype: Type.Enum(['FP32', 'INT32']), shape }, strict));

/** The answer of `GET /v2`. */
export const serverAnswer = jsonAnswer(
  'The server.',
  Type.Object({ name, version: Type.String(), extensions: Type.Array(Type.String()) }, strict),
);

/** The answer of `GET /v2/health/live`. */
export function liveAnswer(description: string): DescribedAnswer {
  return jsonAnswer(description, Type.Object({ live: Type.Boolean() }, strict));
}

/** The answer of `GET /v2/health/ready`. */
export function readyAnswer(description: string): DescribedAnswer {
  return jsonAnswer(description, Type.Object({ ready: Type.Boolean() }, strict));
}

/** The answer of `GET /v2/models/{id}`. */
export const modelAnswer = jsonAnswer(
  'The model.',
  Type.Object(
    { name, versions: Type.Array(Type.String()), platform: Type.String(), inputs: tensors, outputs: tensors },
    strict,
  ),
);

/** The answer of `GET /v2/models/{id}/ready`. */
export const modelReadyAnswer = jsonAnswer(
  'It takes requests.',
  Type.Object({ name, ready: Type.Literal(true) }, strict),
);

const output = { name: Type.Literal('out'), datatype: Type.Literal('FP32'), shape: Type.Array(Type.Integer()) };

const inferSchema = Type.Object(
  {
    model_name: name,
    model_version: Type.String(),
    id: Type.Optional(Type.String({ description: 'That of the request.' })),
    outputs: Type.Array(Type.Object({ ...output, data: Type.Array(Type.Union([Type.Number(), Type.Null()])) }, strict)),
  },
  strict,
);

/** The answer of `POST /v2/models/{id}/infer`. */
export const inferAnswer: DescribedAnswer = {
  description: 'What the network makes of the inputs.',
  headers: { 'inference-header-content-length': Type.String({ description: 'Bytes of JSON before binary data.' }) },
  content: {
    'application/json': { schema: inferSchema },
    ...binary('application/octet-stream', 'JSON, and behind it the outputs, little-endian.'),
  },
};
