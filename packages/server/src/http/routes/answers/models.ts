import { samplerNames } from 'dpm-native';
import Type, { type TSchema } from 'typebox';

import { type DescribedAnswer, jsonAnswer } from '../../description.js';

const strict = { additionalProperties: false };
const count = Type.Integer({ minimum: 0 });

const listedFields = {
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer({ description: 'Seconds since 1970.' }),
  owned_by: Type.Literal('dpm-native'),
};
const modelSchema = Type.Object(
  {
    ...listedFields,
    digest: Type.String({ description: 'SHA-256 of its files.' }),
    kind: Type.Enum(['pixels', 'prompts'], { description: 'Whether it draws pixels, or images of texts.' }),
    shape: Type.Array(count, { minItems: 3, maxItems: 3, description: '[C, H, W] of a sample.' }),
    classes: count,
    labels: Type.Array(Type.String(), { description: 'Names of the classes, in order.' }),
    prompts: Type.Optional(
      Type.Object(
        {
          sizes: Type.Array(Type.String(), { description: 'Those of its images; the first is its own.' }),
          steps: count,
          guidance: Type.Number(),
          loras: Type.Array(Type.String(), { description: 'Names of LoRAs that requests may have.' }),
          previews: Type.Boolean(),
        },
        { ...strict, description: 'What requests for images of texts may say, and the defaults.' },
      ),
    ),
    parameters: count,
    device: Type.String(),
    samplers: Type.Array(Type.Enum(samplerNames), { description: 'Those that it has the tables for.' }),
    batcher: Type.Object(
      { rows: count, slots: count, capacityRowsPerSecond: Type.Number(), expectedWaitMs: Type.Number() },
      strict,
    ),
  },
  strict,
);

const samplerOptionSchema = Type.Object(
  {
    description: Type.String(),
    type: Type.Optional(
      Type.Enum(['number', 'integer', 'boolean', 'string'], {
        description: 'JSON type of its values; lists and what has several forms have none.',
      }),
    ),
    values: Type.Optional(Type.Array(Type.String(), { description: 'Those that it takes, where they are names.' })),
  },
  strict,
);

const samplerSchema = Type.Object(
  {
    id: Type.Enum(samplerNames),
    object: Type.Literal('sampler'),
    summary: Type.String(),
    kind: Type.Enum(['step', 'host', 'either'], {
      description: 'A table of records, a program that decides while it runs, or either as its options say.',
    }),
    head: Type.Union([Type.String(), Type.Null()], { description: 'The second output of the network that it reads.' }),
    needsGamma: Type.Boolean(),
    options: Type.Record(Type.String(), samplerOptionSchema),
  },
  strict,
);

function list(description: string, schema: TSchema): DescribedAnswer {
  return jsonAnswer(description, Type.Object({ object: Type.Literal('list'), data: Type.Array(schema) }, strict));
}

/** The answer of `GET /v1/models`. */
export const modelsAnswer = list('The models.', Type.Object(listedFields, strict));

/** The answer of `GET /v1/models/{id}`. */
export const modelAnswer = jsonAnswer('The model.', modelSchema);

/** The answer of `GET /v1/samplers`. */
export const samplersAnswer = list('The samplers.', samplerSchema);
