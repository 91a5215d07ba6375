import { Readable } from 'node:stream';

import multipart from '@fastify/multipart';
import { type BatchEvent, DEFAULT_STEPS } from 'dpm-native';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';

import { imagesAnswer } from './answer.js';
import { editSchema, generationSchema, sampleBodyOf, sizeOf, wrongField, type ImageBody } from './bodies.js';
import { formOf } from './multipart.js';
import { type Context, errorHandler, note, notedFailure, type Routes, untilLeft } from '../../http/context.js';
import { drawing, requireRoom } from '../../samples/drawing.js';
import { decodedPictures } from '../../samples/pictures.js';
import type { Pictures } from '../../samples/prompt-fields.js';
import { eventOf, eventStreamHeaders } from '../../http/event-stream.js';
import type { Problem } from '../../base/problem.js';
import type { ServedModel } from '../../models/served.js';
import { MOST_PREVIEWED, samplingOf, type Sampling } from '../../samples/sample-request.js';

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

/** A request, and the pictures that came with it. */
interface Asked {
  readonly body: ImageBody;
  readonly pictures: Pictures;
}

function requireDrawable({ partial_images: partial = 0, stream = false, n = 1 }: ImageBody, served: ServedModel): void {
  if (![1, 3].includes(served.model.sampleShape[0])) throw wrongField('model', 'this model draws no pictures');
  if (partial > 0 && !stream) throw wrongField('partial_images', 'partial_images is for stream');
  if (partial > 0 && n > MOST_PREVIEWED) {
    throw wrongField('partial_images', `partial_images is for n up to ${MOST_PREVIEWED}`);
  }
}

async function answer(
  context: Context,
  request: FastifyRequest,
  reply: FastifyReply,
  { body, pictures }: Asked,
): Promise<FastifyReply> {
  const served = context.registry.use(body.model);
  const { quality = 'auto', stream = false, partial_images: partial = 0 } = body;
  const wanted = sizeOf(body, served, pictures.image !== undefined);
  requireDrawable(body, served);
  requireRoom(context, served, request.client, undefined);
  const translated = sampleBodyOf(body, served, wanted);
  const steps = translated.steps ?? (served.kind === 'prompts' ? served.model.defaults.steps : DEFAULT_STEPS);
  // This distance gives at most `partial` previews before the image.
  const every = Math.max(1, Math.floor(steps / (partial + 1)) + 1);
  const sampling = samplingOf(
    { ...translated, ...(partial > 0 && { preview: { every, of: 'prediction' as const } }) },
    served,
    { client: request.client, isStream: stream, pictures },
  );
  note(request, { model: served.id, sampler: sampling.sampler, count: sampling.count, user: body.user?.slice(0, 64) });
  const [, height, width] = sampling.shape;
  const common = { size: `${width}x${height}`, output_format: 'png', quality, background: 'opaque' };
  const signal = untilLeft(request, reply);
  if (!stream) return reply.send(await whole(context, request, sampling, signal, common));
  const events = drawing(context, sampling, signal, request.trace);
  // A refused request gets an error as its answer, and no stream.
  await events.next();
  void reply.headers(eventStreamHeaders);
  return reply.send(Readable.from(streamed(context, request, sampling, events, common)));
}

/** Reads the form of a request for edited pictures. */
async function edited({ registry, pool }: Context, request: FastifyRequest): Promise<Asked> {
  const { fields, files } = await formOf(request, editSchema, ['image', 'mask']);
  const body = fields as ImageBody;
  const served = registry.get(body.model);
  if (served.kind !== 'prompts') throw wrongField('model', 'this model draws no images of texts, and edits none');
  const { image, mask } = files;
  if (image === undefined) throw wrongField('image', 'image is missing');
  return { body, pictures: await decodedPictures({ image, mask }, served, pool) };
}

const generations = {
  operationId: 'generateImages',
  summary: 'Draws images as OpenAI has it.',
  tags: ['openai'],
  body: generationSchema,
  response: { 200: imagesAnswer },
};

const edits = {
  operationId: 'editImages',
  summary: 'Draws images that begin with a picture, or parts of it anew, as OpenAI has it.',
  tags: ['openai'],
  consumes: ['multipart/form-data'],
  body: {
    content: {
      'multipart/form-data': {
        schema: Type.Interface([editSchema], {
          image: Type.Unsafe<string>({ type: 'string', format: 'binary', description: 'PNG or JPEG.' }),
          mask: Type.Optional(
            Type.Unsafe<string>({
              type: 'string',
              format: 'binary',
              description: 'What is drawn anew: transparent pixels of a PNG with transparency, else white ones.',
            }),
          ),
        }),
      },
    },
  },
  response: { 200: imagesAnswer },
};

/** Bytes of a picture, and of the other fields of a form. */
const MOST_PICTURE = 16 * 2 ** 20;
const MOST_FIELD = 2 ** 16;

/** The routes `POST /v1/images/generations` and `POST /v1/images/edits`, as OpenAI has them. */
export const openaiRoutes: Routes = (app, context) => {
  const config = { scope: 'sample', isWork: true, errorForm: 'openai', fails: [404, 422, 504] } as const;
  app.post(
    '/v1/images/generations',
    { schema: generations, errorHandler: errorHandler(errorOf), config },
    (request, reply) => answer(context, request, reply, { body: request.body as ImageBody, pictures: {} }),
  );
  void app.register(async (scope) => {
    await scope.register(multipart, {
      limits: { files: 2, fields: 32, parts: 34, fileSize: MOST_PICTURE, fieldSize: MOST_FIELD, headerPairs: 16 },
    });
    scope.post(
      '/v1/images/edits',
      {
        schema: edits,
        // The route checks the fields itself, once it has read the form.
        validatorCompiler: () => () => true,
        bodyLimit: 2 * MOST_PICTURE + 2 ** 20,
        errorHandler: errorHandler(errorOf),
        config,
      },
      async (request, reply) => answer(context, request, reply, await edited(context, request)),
    );
  });
};
