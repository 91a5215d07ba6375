import { type ComputeType, optionFacts } from 'dpm-native';
import Type, { type Static } from 'typebox';

import { optionField } from '../base/option-field.js';
import { SIZE } from '../base/size.js';
import { integerFlag, integerOrWordFlag, textFlag, type DescribedField } from './flag.js';

const { device, batcher, promptBatcher } = optionFacts;
/** What {@link loadOptions} makes of an absent number of threads. */
const OWN_THREADS = 'all cores, from four on one less';

/** A model that is served. */
export const modelSchema = Type.Object(
  {
    id: Type.Optional(Type.String({ pattern: '^[\\w.-]{1,64}$', description: 'The name in requests.' })),
    path: Type.String({ minLength: 1, description: 'What DiffusionModel.load or TextToImage.load takes.' }),
    config: Type.Optional(
      Type.String({ description: 'Configuration of a checkpoint file: a file, or the name of a preset.' }),
    ),
    device: Type.Optional(optionField<string>(device.device)),
    dtype: Type.Optional(optionField<ComputeType>(device.dtype)),
    exact: Type.Optional(optionField<boolean>(device.exact)),
    threads: Type.Optional(optionField<number>(device.threads, { standard: OWN_THREADS })),
    engines: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 64, description: 'Replicas, each with its own weights.' }),
    ),
    rows: Type.Optional(optionField<number | 'auto'>(batcher.rows)),
    maxWait: Type.Optional(optionField<number>(batcher.maxWait, { standard: "the server's" })),
    sizes: Type.Optional(
      Type.Array(Type.String({ pattern: SIZE }), {
        maxItems: 16,
        description: "Sizes of images beside a pipeline's own, as 768x512, each measured when the model is loaded.",
      }),
    ),
    loras: Type.Optional(
      Type.Record(Type.String({ pattern: '^[\\w.-]{1,64}$' }), Type.String({ minLength: 1 }), {
        description: "Files of LoRAs that a pipeline's requests may name.",
      }),
    ),
    preview: Type.Optional(
      Type.String({
        description: 'Small autoencoder (TAESD) for previews of a pipeline; without one they show nothing.',
      }),
    ),
    batches: Type.Optional(optionField<number>(promptBatcher.batches, { standard: 'one for each size, and two' })),
    promptSlots: Type.Optional(optionField<number>(promptBatcher.promptSlots)),
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
  device: { ...device.device, flag: textFlag('NAME') },
  dtype: { ...device.dtype, flag: textFlag('TYPE') },
  threads: { ...device.threads, standard: OWN_THREADS, flag: integerFlag('N') },
  rows: { ...batcher.rows, flag: integerOrWordFlag('N', ['auto']) },
} satisfies Partial<Record<keyof ModelConfig, DescribedField>>;
