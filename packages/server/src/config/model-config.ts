import { computeTypes } from 'dpm-native';
import Type, { type Static } from 'typebox';

import { integerFlag, integerOrWordFlag, textFlag, type Flag } from './flag.js';

/** A model that is served. */
export const modelSchema = Type.Object(
  {
    id: Type.Optional(Type.String({ pattern: '^[\\w.-]{1,64}$', description: 'The name in requests.' })),
    path: Type.String({ minLength: 1, description: 'What DiffusionModel.load takes.' }),
    config: Type.Optional(Type.String({ description: 'Of a checkpoint file: a configuration file or preset.' })),
    device: Type.Optional(Type.String()),
    dtype: Type.Optional(Type.Enum(computeTypes)),
    exact: Type.Optional(Type.Boolean()),
    threads: Type.Optional(Type.Integer({ minimum: 0, maximum: 1024 })),
    engines: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 64, description: 'Replicas, each with its own weights.' }),
    ),
    rows: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 65_536 }), Type.Literal('auto')])),
    maxWait: Type.Optional(Type.Number({ minimum: 0, description: 'Milliseconds.' })),
    pinned: Type.Optional(Type.Boolean({ description: 'Does not go for another model.' })),
    labels: Type.Optional(
      Type.Array(Type.String({ maxLength: 256 }), { description: 'Names of the classes, in order.' }),
    ),
  },
  { additionalProperties: false },
);

/** A model that is served. */
export type ModelConfig = Static<typeof modelSchema>;

/** The fields of a model that the command line gives, for all models that it names. */
export const modelFields = {
  device: { flag: textFlag('NAME', 'auto, cpu, cuda, cuda:1, ...; default auto') },
  dtype: { flag: textFlag('TYPE', 'f32, bf16 or f16') },
  threads: {
    flag: integerFlag('N', 'threads of the cpu device, default as many as there are, from four on one less'),
  },
  rows: {
    flag: integerOrWordFlag('N', ['auto'], 'rows of a step at most, or auto (measured at the start), the default'),
  },
} satisfies Partial<Record<keyof ModelConfig, { flag: Flag }>>;
