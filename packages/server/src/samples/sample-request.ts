import { randomBytes } from 'node:crypto';

import {
  type BatchEvent,
  type BatchRequest,
  DEFAULT_STEPS,
  optionFacts,
  type PreviewOf,
  type Priority,
  type PromptRequest,
  type SamplerName,
  samplerNames,
  samplers,
} from 'dpm-native';
import Type, { type Static, type TInteger, type TOptional, type TUnsafe } from 'typebox';

import { describe, optionField } from '../base/option-field.js';
import { ServerError } from '../base/problem.js';
import type { ServedModel, ServedPixels, ServedPrompts } from '../models/served.js';
import {
  type Pictures,
  pictureFields,
  promptedRequest,
  promptFields,
  requireNoPrompt,
  textFields,
} from './prompt-fields.js';
import { wrong } from './wrong.js';
import type { Client } from '../base/client.js';

const MOST_SEED = 2n ** 64n - 1n;
const DAY = 86_400_000;
/** The most samples of a request. */
export const MOST_IN_REQUEST = 64;
/** The number type of samples, unless a request says otherwise. */
export const STANDARD_DTYPE = 'u8';
/** The default of a seed, in words. */
export const DRAWN_SEED = 'one that is drawn, and told';
/** The most samples of a stream with previews; the library refuses more, too. */
export const MOST_PREVIEWED = 4;

const strict = { additionalProperties: false };

const { run, service } = optionFacts;
const { steps } = samplers.ddim.facts.options;

/** The numbers of steps that requests may ask for. */
export const stepsRange = { minimum: 1, maximum: 1000 } as const;

/** Elements of a sampler's table: levels have one more than there are steps. */
const MOST_ELEMENTS = stepsRange.maximum + 1;

/** The field of a number of steps; `standard` is its default in words. */
export function stepsField(standard = String(DEFAULT_STEPS)): TInteger {
  return Type.Integer({ ...stepsRange, description: describe({ help: steps.help, standard }) });
}

type SampleFields = Record<'classLabels' | 'guidance', TOptional<TUnsafe<number | number[]>>>;

/** The fields that may be one for all samples or one for each; `most` is how many there can be. */
export function sampleFields(most?: number): SampleFields {
  return {
    classLabels: Type.Optional(optionField<number | number[]>(run.classLabels, { most })),
    guidance: Type.Optional(optionField<number | number[]>(run.guidance, { most })),
  };
}

/** The body of `POST /v1/samples`. */
export const sampleSchema = Type.Object(
  {
    model: Type.String({ maxLength: 64, description: 'An id of GET /v1/models.' }),
    sampler: Type.Optional(Type.Enum(samplerNames, { description: "Without one as the model's scheduler file says." })),
    steps: Type.Optional(stepsField()),
    count: Type.Optional(optionField<number>(run.count, { limits: { maximum: MOST_IN_REQUEST } })),
    first: Type.Optional(optionField<number>(run.first, { limits: { maximum: 2 ** 32 - MOST_IN_REQUEST } })),
    seed: Type.Optional(optionField<number | string>(run.seed, { standard: DRAWN_SEED })),
    ...sampleFields(MOST_IN_REQUEST),
    unconditionalLabel: Type.Optional(optionField<number | null>(run.unconditionalLabel)),
    options: Type.Optional(
      Type.Record(Type.String({ maxLength: 64 }), Type.Unknown(), {
        description: "The sampler's own: GET /v1/samplers.",
      }),
    ),
    ...textFields(MOST_IN_REQUEST),
    ...pictureFields,
    ...promptFields,
    init: Type.Optional(
      Type.Object(
        {
          shape: Type.Array(Type.Integer({ minimum: 1 }), { minItems: 4, maxItems: 4 }),
          b64: Type.String({ description: 'float32, little-endian.' }),
        },
        { ...strict, description: 'Initial states.' },
      ),
    ),
    dtype: Type.Optional(
      Type.Enum(['u8', 'f32'], {
        description: describe({ help: 'number type of npy and safetensors', standard: STANDARD_DTYPE }),
      }),
    ),
    priority: Type.Optional(optionField<Priority>(service.priority)),
    deadlineMs: Type.Optional(optionField<number>(service.deadline, { limits: { maximum: DAY } })),
    preview: Type.Optional(
      Type.Object(
        {
          every: optionField<number>(run.previewEvery, { limits: { maximum: stepsRange.maximum } }),
          of: Type.Optional(optionField<PreviewOf>(service.previewOf)),
        },
        { ...strict, description: 'Previews, for an event stream.' },
      ),
    ),
  },
  strict,
);

/** The body of `POST /v1/samples`. */
export type SampleBody = Static<typeof sampleSchema>;

/** A request for a batcher. */
export interface Sampling {
  served: ServedModel;
  /** The name of the sampler in the request, or 'scheduler'. */
  sampler: SamplerName;
  count: number;
  seed: bigint;
  /** Shape [C, H, W] of a sample. */
  shape: readonly [channels: number, height: number, width: number];
  /** Draws the samples; `signal` ends it. */
  events(signal: AbortSignal): AsyncGenerator<BatchEvent, void, void>;
}

/**
 * The seed that a body gives, or a new one.
 *
 * @throws {@link ServerError} where it is no seed.
 */
export function seedOf(seed: SampleBody['seed']): bigint {
  if (seed === undefined) return randomBytes(8).readBigUInt64LE();
  const value = BigInt(seed);
  if (value > MOST_SEED) throw wrong('seed', 'has to be from 0 to 2^64 - 1');
  return value;
}

/** @throws {@link ServerError} where a list has not one value for each sample. */
function requireLength(param: string, value: number | readonly number[] | undefined, count: number): void {
  if (typeof value === 'object' && value.length !== count) {
    throw wrong(param, `has ${value.length} elements for ${count} samples`);
  }
}

/**
 * The sampler's own options, without tables, which come from the model.
 *
 * @param standardSteps - Number of steps where the body says none; null: the model says it.
 * @throws {@link ServerError} naming a field that is no option.
 */
export function optionsOf(
  sampler: SamplerName,
  { options = {}, steps }: Pick<SampleBody, 'options' | 'steps'>,
  standardSteps: number | null = DEFAULT_STEPS,
): object {
  const taken = samplers[sampler].facts.options;
  const named = Object.keys(options).find(
    (name) => !Object.hasOwn(taken, name) || name === 'gamma' || name === 'steps',
  );
  if (named !== undefined) throw wrong(`options/${named}`, `is no option of the sampler ${sampler}`);
  // Making a key of a table of millions of elements, which no sampler takes, would hold up everybody.
  for (const [name, value] of Object.entries(options)) {
    if (Array.isArray(value) && value.length > MOST_ELEMENTS) {
      throw wrong(`options/${name}`, `has ${value.length} elements, at most ${MOST_ELEMENTS} are taken`);
    }
  }
  const takesSteps = Object.hasOwn(taken, 'steps');
  if (steps !== undefined && !takesSteps) throw wrong('steps', `is no option of the sampler ${sampler}`);
  const spaced = options.timesteps !== undefined || options.levels !== undefined;
  if (spaced) return options;
  // An adaptive solver refuses steps that somebody has asked for.
  const standard = options.solver === 'rk45' ? undefined : standardSteps;
  const chosen = steps ?? standard ?? undefined;
  return { ...options, ...(takesSteps && chosen !== undefined && { steps: chosen }) };
}

function initOf({ init }: SampleBody, count: number, shape: readonly number[]): Float32Array | undefined {
  if (init === undefined) return undefined;
  const expected = [count, ...shape];
  if (init.shape.join() !== expected.join()) throw wrong('init/shape', `has to be [${expected.join(', ')}]`);
  const bytes = Buffer.from(init.b64, 'base64');
  const elements = expected.reduce((product, size) => product * size, 1);
  // Buffer skips characters that are not base64, so that bytes are missing.
  if (bytes.length !== elements * Float32Array.BYTES_PER_ELEMENT) {
    throw wrong(
      'init/b64',
      `has ${bytes.length} bytes of base64, it needs ${elements * Float32Array.BYTES_PER_ELEMENT}`,
    );
  }
  const values = new Float32Array(elements);
  for (let i = 0; i < elements; ++i) values[i] = bytes.readFloatLE(i * Float32Array.BYTES_PER_ELEMENT);
  return values;
}

/** What a request is made with beside its body. */
export interface SamplingTerms {
  readonly client: Client;
  /** True for an event stream. */
  readonly isStream: boolean;
  /** Pictures of the body, decoded. */
  readonly pictures?: Pictures;
}

/** Counts the samples of a body: of a list of texts there is one for each. */
function countOf({ count, prompt }: SampleBody): number {
  return count ?? (Array.isArray(prompt) ? prompt.length : 1);
}

function requireTerms({ preview, priority }: SampleBody, count: number, { client, isStream }: SamplingTerms): void {
  if (priority === 'high' && !client.scopes.has('priority')) {
    throw new ServerError('ERR_DPM_FORBIDDEN', "priority high takes a token with the scope 'priority'", {
      param: 'priority',
    });
  }
  if (preview !== undefined && !isStream) throw wrong('preview', 'is for Accept: text/event-stream');
  if (preview !== undefined && count > MOST_PREVIEWED)
    throw wrong('preview', `is for at most ${MOST_PREVIEWED} samples`);
}

/** The options that a request has whatever the model is. */
function commonOptions(body: SampleBody, count: number, seed: bigint, { client }: SamplingTerms) {
  const { guidance, preview, priority } = body;
  return {
    count,
    seed,
    first: body.first,
    guidance,
    priority,
    tenant: client.name,
    weight: client.weight,
    deadline: body.deadlineMs,
    ...(preview !== undefined && { previewEvery: preview.every, previewOf: preview.of }),
  };
}

type Common = ReturnType<typeof commonOptions>;

function pixelRequest(body: SampleBody, served: ServedPixels, common: Common): BatchRequest {
  const { classLabels, sampler = 'scheduler' } = body;
  const { count } = common;
  requireNoPrompt(body, served);
  if (classLabels !== undefined && served.model.unet.info.classes === 0) {
    throw wrong('classLabels', 'are for networks with classes');
  }
  requireLength('classLabels', classLabels, count);
  // The library checks the sampler's own options.
  return {
    sampler,
    ...optionsOf(sampler, body),
    ...common,
    classLabels,
    unconditionalLabel: body.unconditionalLabel,
    init: initOf(body, count, served.model.sampleShape),
    format: body.dtype === 'f32' ? 'float32' : 'uint8',
  } as BatchRequest;
}

/** The fields that are for models of pixels alone. */
const ofPixels = ['classLabels', 'unconditionalLabel', 'init'] as const;

function promptRequest(
  body: SampleBody,
  served: ServedPrompts,
  common: Common,
  pictures: Pictures,
): { request: PromptRequest; shape: Sampling['shape'] } {
  const { sampler = 'scheduler' } = body;
  const field = ofPixels.find((name) => body[name] !== undefined);
  if (field !== undefined) throw wrong(field, `is not for ${served.id}, which draws images of texts`);
  const { options, shape } = promptedRequest(body, served, { pictures, count: common.count, sampler });
  // The library checks the sampler's own options; how many steps there are is the pipeline's to say.
  return { request: { ...optionsOf(sampler, body, null), ...common, ...options } as PromptRequest, shape };
}

/**
 * Makes the request to a model's batcher that a body asks for.
 *
 * @throws {@link ServerError} naming the field that is wrong.
 */
export function samplingOf(body: SampleBody, served: ServedModel, terms: SamplingTerms): Sampling {
  const count = countOf(body);
  requireLength('guidance', body.guidance, count);
  requireTerms(body, count, terms);
  const seed = seedOf(body.seed);
  const common = commonOptions(body, count, seed, terms);
  const asked = { served, sampler: body.sampler ?? 'scheduler', count, seed };
  if (served.kind === 'pixels') {
    const request = pixelRequest(body, served, common);
    const events = (signal: AbortSignal) => served.batcher.stream({ ...request, signal });
    return { ...asked, shape: served.model.sampleShape, events };
  }
  const { request, shape } = promptRequest(body, served, common, terms.pictures ?? {});
  return { ...asked, shape, events: (signal) => served.batcher.stream({ ...request, signal }) };
}
