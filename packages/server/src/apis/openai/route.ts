import { Readable } from 'node:stream';

import { type BatchEvent, DEFAULT_STEPS, optionFacts, samplerNames } from 'dpm-native';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';

import { imagesAnswer } from './answer.js';
import { type Context, errorHandler, note, notedFailure, type Routes, untilLeft } from '../../http/context.js';
import { drawing } from '../../samples/drawing.js';
import { eventOf, eventStreamHeaders } from '../../http/event-stream.js';
import { type Problem, ServerError } from '../../base/problem.js';
import type { ServedModel } from '../../models/registry.js';
import { optionField } from '../../base/option-field.js';
import {
  DRAWN_SEED,
  MOST_PREVIEWED,
  samplingOf,
  stepsField,
  type SampleBody,
  type Sampling,
} from '../../samples/sample-request.js';

/** Network evaluations for each quality that the API names. */
const stepsOf = { low: 10, medium: DEFAULT_STEPS, high: 50, auto: DEFAULT_STEPS } as const;

const { run } = optionFacts;
const steps = Type.Optional(stepsField('that of the quality'));
const guidance = Type.Optional(optionField<number>(run.guidance, { type: 'number' }));

const imageSchema = Type.Object(
  {
    model: Type.String({ maxLength: 64 }),
    prompt: Type.Optional(Type.String({ maxLength: 256, description: "A label of the model, 'class:7', or ''." })),
    n: Type.Optional(optionField<number>(run.count, { limits: { maximum: 10 } })),
    size: Type.Optional(Type.String({ maxLength: 16, description: "'auto' or the model's own, '32x32'." })),
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
  },
  { additionalProperties: false },
);
type ImageBody = Static<typeof imageSchema>;

function wrong(param: string, message: string): ServerError {
  return new ServerError('ERR_DPM_ARGUMENT', message, { param });
}

/** The class that a prompt names. A text that names no class is an error. */
function classOf(prompt: string, { model, labels }: ServedModel): number | undefined {
  const { classes } = model.unet.info;
  if (prompt === '' && classes === 0) return undefined;
  if (classes === 0) throw wrong('prompt', "this model draws without a prompt: leave it out, or ''");
  const named = labels.indexOf(prompt);
  if (named >= 0) return named;
  const number = /^class:(\d{1,6})$/.exec(prompt)?.[1];
  if (number !== undefined && Number(number) < classes) return Number(number);
  throw wrong(
    'prompt',
    `the prompt has to name a class: class:0 to class:${classes - 1}, or one of the model's labels`,
  );
}

function requireSize(size: string, { model }: ServedModel): string {
  const [, height, width] = model.sampleShape;
  const own = `${width}x${height}`;
  if (size !== 'auto' && size !== own) throw wrong('size', `size has to be auto or ${own}`);
  return own;
}

/** The same request in the words of `POST /v1/samples`. */
function sampleBodyOf(body: ImageBody, served: ServedModel): SampleBody {
  const { model, n = 1, prompt = '', quality = 'auto', seed } = body;
  const label = classOf(prompt, served);
  const guidance = body.guidance ?? body.guidance_scale;
  return {
    model,
    count: n,
    steps: body.steps ?? body.num_inference_steps ?? stepsOf[quality],
    ...(body.sampler !== undefined && { sampler: body.sampler }),
    ...(seed !== undefined && { seed }),
    ...(label !== undefined && { classLabels: label }),
    ...(guidance !== undefined && { guidance }),
  };
}

const now = (): number => Math.floor(Date.now() / 1000);

async function whole(
  context: Context,
  request: FastifyRequest,
  sampling: Sampling,
  signal: AbortSignal,
  common: object,
): Promise<object> {
  const data: { b64_json: string; seed: string; index: number }[] = [];
  for await (const event of drawing(context, sampling, signal, request.trace)) {
    if (event.type === 'image')
      data.push({ b64_json: await context.pool.png(event.image), seed: String(sampling.seed), index: event.sample });
  }
  return { created: now(), data: data.sort((a, b) => a.index - b.index), ...common };
}

/** The text of an event whose data repeats the event's name. */
function typedEvent(type: string, data: object): string {
  return eventOf(type, { type, ...data });
}

async function* streamed(
  { pool }: Context,
  request: FastifyRequest,
  { seed }: Sampling,
  events: AsyncGenerator<BatchEvent, void, void>,
  common: object,
): AsyncGenerator<string, void, void> {
  let partial = 0;
  try {
    for await (const event of events) {
      if (event.type !== 'preview' && event.type !== 'image') continue;
      const data = { b64_json: await pool.png(event.image), created_at: now(), ...common };
      yield event.type === 'preview'
        ? typedEvent('image_generation.partial_image', { ...data, partial_image_index: partial++ })
        : typedEvent('image_generation.completed', { ...data, seed: String(seed), index: event.sample });
    }
  } catch (error) {
    yield typedEvent('error', errorOf(notedFailure(error, request).problem));
  } finally {
    await events.return();
  }
}

/** An error as clients of the API know it. */
function errorOf({ status, detail, param, code }: Problem): { error: object } {
  const type = status === 429 ? 'rate_limit_error' : status < 500 ? 'invalid_request_error' : 'server_error';
  return { error: { message: detail, type, param: param ?? null, code } };
}

async function generate(context: Context, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const body = request.body as ImageBody;
  const served = context.registry.use(body.model);
  const { quality = 'auto', stream = false, partial_images: partial = 0, n = 1 } = body;
  const size = requireSize(body.size ?? 'auto', served);
  if (![1, 3].includes(served.model.sampleShape[0])) throw wrong('model', 'this model draws no pictures');
  if (partial > 0 && !stream) throw wrong('partial_images', 'partial_images is for stream');
  if (partial > 0 && n > MOST_PREVIEWED)
    throw wrong('partial_images', `partial_images is for n up to ${MOST_PREVIEWED}`);
  const translated = sampleBodyOf(body, served);
  // This distance gives at most `partial` previews before the image.
  const every = Math.max(1, Math.floor((translated.steps ?? DEFAULT_STEPS) / (partial + 1)) + 1);
  const sampling = samplingOf(
    { ...translated, ...(partial > 0 && { preview: { every, of: 'prediction' as const } }) },
    served,
    request.client,
    stream,
  );
  note(request, { model: served.id, sampler: sampling.sampler, count: sampling.count, user: body.user?.slice(0, 64) });
  const common = { size, output_format: 'png', quality, background: 'opaque' };
  const signal = untilLeft(request, reply);
  if (!stream) return reply.send(await whole(context, request, sampling, signal, common));
  const events = drawing(context, sampling, signal, request.trace);
  // A refused request gets an error as its answer, and no stream.
  await events.next();
  void reply.headers(eventStreamHeaders);
  return reply.send(Readable.from(streamed(context, request, sampling, events, common)));
}

const schema = {
  operationId: 'generateImages',
  summary: 'Draws images as OpenAI has it.',
  tags: ['openai'],
  body: imageSchema,
  response: { 200: imagesAnswer },
};

/** The route `POST /v1/images/generations`, as OpenAI has it. */
export const openaiRoutes: Routes = (app, context) => {
  app.post(
    '/v1/images/generations',
    {
      schema,
      errorHandler: errorHandler(errorOf),
      config: { scope: 'sample', isWork: true, errorForm: 'openai', fails: [404, 422, 504] },
    },
    (request, reply) => generate(context, request, reply),
  );
};
