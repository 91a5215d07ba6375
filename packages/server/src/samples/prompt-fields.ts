import { optionFacts, type ImageBatch, type LoraOptions, type PromptRequest, type SamplerName } from 'dpm-native';
import Type, { type Static, type TOptional, type TUnsafe } from 'typebox';

import { optionField } from '../base/option-field.js';
import { SIZE, sidesOf } from '../base/size.js';
import { sizesOf, type ServedModel, type ServedPrompts } from '../models/served.js';
import { wrong } from './wrong.js';

const { generation, lora } = optionFacts;
const strict = { additionalProperties: false };

/** Characters of a text, far more than encoders read. */
const MOST_CHARACTERS = 4096;
const MOST_LORAS = 8;

/** The field of a text for all samples, or of one for each; `most` is how many there can be. */
function textField(option: typeof generation.prompt, most?: number) {
  const text = { type: 'string', maxLength: MOST_CHARACTERS };
  const list = { type: 'array', items: text, minItems: 1, ...(most !== undefined && { maxItems: most }) };
  return optionField<string | string[]>({ ...option, schema: { anyOf: [text, list] } });
}

const pictureField = (description: string) =>
  Type.Object({ b64: Type.String({ description: 'PNG or JPEG.' }) }, { ...strict, description });

/** The fields of texts, one for all samples or one for each; `most` is how many there can be. */
export function textFields(most?: number): Record<'prompt' | 'negativePrompt', TOptional<TUnsafe<string | string[]>>> {
  return {
    prompt: Type.Optional(textField(generation.prompt, most)),
    negativePrompt: Type.Optional(textField(generation.negativePrompt, most)),
  };
}

/** The fields of pictures to begin with. */
export const pictureFields = {
  image: Type.Optional(pictureField('Picture to begin with, whose sides are those of the images.')),
  mask: Type.Optional(
    pictureField('What of it is drawn anew: transparent pixels of a PNG with transparency, else white ones.'),
  ),
  strength: Type.Optional(optionField<number>(generation.strength)),
};

/** The other fields of a request for images of texts. */
export const promptFields = {
  size: Type.Optional(
    Type.String({ pattern: SIZE, description: "Width and height in pixels, as 768x512; default the model's own." }),
  ),
  guidanceRescale: Type.Optional(optionField<number>(generation.guidanceRescale)),
  longPrompts: Type.Optional(optionField<'truncate' | 'chunks'>(generation.longPrompts)),
  skippedLayers: Type.Optional(optionField<number>(generation.skippedLayers)),
  loras: Type.Optional(
    Type.Array(
      Type.Object(
        { name: Type.String({ maxLength: 64 }), scale: Type.Optional(optionField<number>(lora.scale)) },
        strict,
      ),
      { maxItems: MOST_LORAS, description: 'LoRAs of GET /v1/models/{id}, which are summed; default none.' },
    ),
  ),
};

const allFields = Type.Object({ ...textFields(), ...pictureFields, ...promptFields });

/** The fields of a body that are for images of texts. */
export type PromptBody = Static<typeof allFields>;

/** Pictures of a body, decoded. */
export interface Pictures {
  readonly image?: ImageBatch;
  readonly mask?: ImageBatch;
}

/** @throws {@link ServerError} for a field of texts, where the model draws none. */
export function requireNoPrompt(body: PromptBody, { id }: ServedModel): void {
  const field = Object.keys(allFields.properties).find((name) => body[name as keyof PromptBody] !== undefined);
  if (field !== undefined) throw wrong(field, `is for models that draw images of texts, ${id} does not`);
}

/** The size that a request asks for: its own, else that of its picture, else the model's. */
function requestedSize({ size }: PromptBody, { image }: Pictures, served: ServedPrompts): string {
  const sizes = sizesOf(served);
  const [, , height, width] = image?.shape ?? [];
  const own = image === undefined ? undefined : `${width}x${height}`;
  const asked = size ?? own ?? sizes[0] ?? '';
  if (own !== undefined && asked !== own) throw wrong('image', `has ${own} pixels, the size is ${asked}`);
  if (sizes.includes(asked)) return asked;
  throw wrong(size === undefined ? 'image' : 'size', `is ${asked}, this model draws ${sizes.join(', ')}`);
}

function lorasOf({ loras = [] }: PromptBody, { config }: ServedPrompts): LoraOptions[] {
  const known = config.loras ?? {};
  return loras.map(({ name, scale }, i) => {
    const path = Object.hasOwn(known, name) ? known[name] : undefined;
    if (path !== undefined) return { path, scale };
    const names = Object.keys(known).join(', ');
    throw wrong(`loras/${i}/name`, names === '' ? 'is one, and this model has none' : `has to be one of ${names}`);
  });
}

/** @throws {@link ServerError} where a list has not one text for each sample. */
export function requireTexts(param: string, texts: string | readonly string[] | undefined, count: number): void {
  if (Array.isArray(texts) && texts.length !== count)
    throw wrong(param, `has ${texts.length} texts for ${count} samples`);
}

/** What a body asks of a pipeline, beside what it asks of any model. */
export interface PromptedRequest {
  readonly options: Omit<PromptRequest, 'sampler'> & { sampler: SamplerName };
  /** Shape [C, H, W] of an image. */
  readonly shape: readonly [channels: number, height: number, width: number];
}

/**
 * Makes the request to a pipeline's batcher of the fields that are for images of texts.
 *
 * @throws {@link ServerError} naming the field that is wrong.
 */
export function promptedRequest(
  body: PromptBody,
  served: ServedPrompts,
  { pictures, count, sampler }: { pictures: Pictures; count: number; sampler: SamplerName },
): PromptedRequest {
  const { prompt, negativePrompt, strength, mask, guidanceRescale, longPrompts, skippedLayers } = body;
  if (prompt === undefined) throw wrong('prompt', 'is missing');
  requireTexts('prompt', prompt, count);
  requireTexts('negativePrompt', negativePrompt, count);
  if (mask !== undefined && pictures.image === undefined) throw wrong('mask', 'is for image, which is missing');
  if (strength !== undefined && pictures.image === undefined) throw wrong('strength', 'is for image, which is missing');
  const { height, width } = sidesOf(requestedSize(body, pictures, served));
  const [, , maskHeight = height, maskWidth = width] = pictures.mask?.shape ?? [];
  if (maskHeight !== height || maskWidth !== width) {
    throw wrong('mask', `has ${maskWidth}x${maskHeight} pixels, the size is ${width}x${height}`);
  }
  const { vae } = served.model;
  const loras = lorasOf(body, served);
  return {
    options: {
      sampler,
      prompt,
      negativePrompt,
      height,
      width,
      ...pictures,
      strength,
      guidanceRescale,
      longPrompts,
      skippedLayers,
      ...(loras.length > 0 && { loras }),
    },
    shape: [vae.imageChannels, height, width],
  };
}
