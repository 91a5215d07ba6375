import Type from 'typebox';

import { type DescribedAnswer, openaiErrorSchema } from '../../http/description.js';
import { base64Png } from '../../http/routes/answers/samples.js';

const strict = { additionalProperties: false };

const common = {
  size: Type.String({ pattern: '^[0-9]+x[0-9]+$' }),
  output_format: Type.Literal('png'),
  quality: Type.Enum(['low', 'medium', 'high', 'auto']),
  background: Type.Literal('opaque'),
};
const seconds = Type.Integer({ description: 'Since 1970.' });
const image = { b64_json: base64Png, seed: Type.String(), index: Type.Integer({ minimum: 0 }) };

const imagesSchema = Type.Object({ created: seconds, data: Type.Array(Type.Object(image, strict)), ...common }, strict);

/** The data of each event of a stream, by the event's name. */
const events = {
  'image_generation.partial_image': Type.Object(
    {
      type: Type.Literal('image_generation.partial_image'),
      b64_json: base64Png,
      created_at: seconds,
      partial_image_index: Type.Integer({ minimum: 0 }),
      ...common,
    },
    strict,
  ),
  'image_generation.completed': Type.Object(
    { type: Type.Literal('image_generation.completed'), created_at: seconds, ...image, ...common },
    strict,
  ),
  error: Type.Object({ type: Type.Literal('error'), ...openaiErrorSchema.properties }, strict),
};

/** The answer of `POST /v1/images/generations`. */
export const imagesAnswer: DescribedAnswer = {
  description: 'Images, or events where stream is true.',
  content: {
    'application/json': { schema: imagesSchema },
    'text/event-stream': { schema: Type.String(), 'x-events': events },
  },
};
