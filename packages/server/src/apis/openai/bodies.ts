import { DEFAULT_STEPS, optionFacts, samplerNames } from 'dpm-native';
import Type, { type Static } from 'typebox';

import { optionField } from '../../base/option-field.js';
import { ServerError } from '../../base/problem.js';
import { classesOf, sizesOf, type ServedModel } from '../../models/served.js';
import { DRAWN_SEED, stepsField, type SampleBody } from '../../samples/sample-request.js';

/** Network evaluations for each quality that the API names; of a pipeline `auto` and `medium` are what it says itself. */
const stepsOf = { low: 10, medium: DEFAULT_STEPS, high: 50, auto: DEFAULT_STEPS } as const;

const { run, generation } = optionFacts;
const steps = Type.Optional(stepsField('that of the quality'));
const guidance = Type.Optional(optionField<number>(run.guidance, { type: 'number' }));

const strict = { additionalProperties: false };
const text = (description: string) => Type.String({ maxLength: 4096, description });

const common = {
  model: Type.String({ maxLength: 64 }),
  n: Type.Optional(optionField<number>(run.count, { limits: { maximum: 10 } })),
  size: Type.Optional(Type.String({ maxLength: 16, description: "'auto' or one of the model's, '512x512'." })),
  response_format: Type.Optional(Type.Literal('b64_json')),
  output_format: Type.Optional(Type.Literal('png')),
  background: Type.Optional(Type.Enum(['auto', 'opaque'])),
  quality: Type.Optional(Type.Enum(['low', 'medium', 'high', 'auto'])),
  stream: Type.Optional(Type.Boolean()),
  partial_images: Type.Optional(Type.Integer({ minimum: 0, maximum: 3 })),
  user: Type.Optional(Type.String({ maxLength: 256 })),
  seed: Type.Optional(optionField<number>(run.seed, { type: 'integer', standard: DRAWN_SEED })),
  steps,
  num_inference_steps: steps,
  sampler: Type.Optional(Type.Enum(samplerNames)),
  guidance,
  guidance_scale: guidance,
  negative_prompt: Type.Optional(text('What the images are led away from, of models that draw texts.')),
};

/** The body of `POST /v1/images/generations`. */
export const generationSchema = Type.Object(
  {
    prompt: Type.Optional(text("The text; for a model of classes a label of it, 'class:7', or ''.")),
    ...common,
  },
  strict,
);

/** The fields beside the pictures of `POST /v1/images/edits`. */
export const editSchema = Type.Object(
  {
    prompt: text('The text.'),
    ...common,
    strength: Type.Optional(optionField<number>(generation.strength)),
  },
  strict,
);

/** The fields of both. */
export type ImageBody = Static<typeof generationSchema> & Pick<Static<typeof editSchema>, 'strength'>;

/** The error for a wrong field. */
export function wrongField(param: string, message: string): ServerError {
  return new ServerError('ERR_DPM_ARGUMENT', message, { param });
}

/** The class that a prompt names. A text that names no class is an error. */
function classOf(prompt: string, served: ServedModel): number | undefined {
  const classes = classesOf(served);
  if (prompt === '' && classes === 0) return undefined;
  if (classes === 0) throw wrongField('prompt', "this model draws without a prompt: leave it out, or ''");
  const named = served.labels.indexOf(prompt);
  if (named >= 0) return named;
  const number = /^class:(\d{1,6})$/.exec(prompt)?.[1];
  if (number !== undefined && Number(number) < classes) return Number(number);
  throw wrongField(
    'prompt',
    `the prompt has to name a class: class:0 to class:${classes - 1}, or one of the model's labels`,
  );
}

/**
 * The size of the images; undefined where a picture tells it.
 *
 * @throws {@link ServerError} for a size that the model does not draw.
 */
export function sizeOf({ size = 'auto' }: ImageBody, served: ServedModel, hasPicture: boolean): string | undefined {
  const [, height, width] = served.model.sampleShape;
  const sizes = served.kind === 'prompts' ? sizesOf(served) : [`${width}x${height}`];
  if (size === 'auto') return hasPicture ? undefined : sizes[0];
  if (sizes.includes(size)) return size;
  throw wrongField('size', `size has to be auto or ${sizes.join(', ')}`);
}

/** What a prompt means in the words of `POST /v1/samples`: the text of a pipeline, the class of another model. */
function promptOf({ prompt = '', negative_prompt: negativePrompt, strength }: ImageBody, served: ServedModel) {
  if (served.kind === 'prompts') {
    return {
      prompt,
      ...(negativePrompt !== undefined && { negativePrompt }),
      ...(strength !== undefined && { strength }),
    };
  }
  if (negativePrompt !== undefined)
    throw wrongField('negative_prompt', 'negative_prompt is for models that draw texts');
  const label = classOf(prompt, served);
  return label === undefined ? {} : { classLabels: label };
}

/** The same request in the words of `POST /v1/samples`. */
export function sampleBodyOf(body: ImageBody, served: ServedModel, size: string | undefined): SampleBody {
  const { model, n = 1, quality = 'auto', seed } = body;
  const guidance = body.guidance ?? body.guidance_scale;
  const isOwn = served.kind === 'prompts' && (quality === 'auto' || quality === 'medium');
  const steps = body.steps ?? body.num_inference_steps ?? (isOwn ? undefined : stepsOf[quality]);
  return {
    model,
    count: n,
    ...promptOf(body, served),
    ...(served.kind === 'prompts' && size !== undefined && { size }),
    ...(steps !== undefined && { steps }),
    ...(body.sampler !== undefined && { sampler: body.sampler }),
    ...(seed !== undefined && { seed }),
    ...(guidance !== undefined && { guidance }),
  };
}
