import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';

import { inferAnswer, liveAnswer, modelAnswer, modelReadyAnswer, readyAnswer, serverAnswer } from './answer.js';
import { type Context, errorHandler, note, type Routes, untilLeft } from '../../http/context.js';
import { binary } from '../../http/description.js';
import { type Inference, type InferenceBody, inferSchema } from './bodies/inference.js';
import { binaryOf } from './bodies/outputs.js';
import type { Tensor } from './bodies/tensors.js';
import { ServerError } from '../../base/problem.js';
import { version } from '../../base/version.js';
import { reasonsAgainst } from '../../http/routes/probes.js';
import { requirePixels, type ServedModel, type ServedPixels } from '../../models/served.js';

const MOST_BYTES = 64 * 2 ** 20;
const lengthHeader = 'inference-header-content-length';

/** The body of a request. A header may say where its JSON ends. */
function bodyOf(request: FastifyRequest, bytes: Buffer<ArrayBuffer>): InferenceBody {
  const given = request.headers[lengthHeader];
  if (given === undefined) return { bytes, jsonLength: bytes.length };
  const jsonLength = Number(given);
  if (typeof given !== 'string' || !/^\d+$/.test(given) || jsonLength > bytes.length) {
    throw new ServerError('ERR_DPM_ARGUMENT', `${lengthHeader} is no length of the body`);
  }
  return { bytes, jsonLength };
}

/** @throws {@link ServerError} for a model whose evaluations see a text. */
function pixelsOf(served: ServedModel): ServedPixels {
  return requirePixels(served, 'this protocol has no inputs for it');
}

/** The inputs of a model: their names, types and shapes. A size of -1 is the batch. */
function inputsOf({ model }: ServedPixels): object[] {
  return [
    { name: 'x', datatype: 'FP32', shape: [-1, ...model.sampleShape] },
    { name: 't', datatype: 'FP32', shape: [-1] },
    ...(model.unet.info.classes > 0 ? [{ name: 'class_labels', datatype: 'INT32', shape: [-1] }] : []),
  ];
}

function outputShape({ model }: ServedPixels, batch: number): number[] {
  const { outChannels, height, width } = model.unet.info;
  return [batch, outChannels, height, width];
}

function described(served: ServedPixels): object {
  const outputs = [{ name: 'out', datatype: 'FP32', shape: outputShape(served, -1) }];
  return { name: served.id, versions: ['1'], platform: 'dpm_native', inputs: inputsOf(served), outputs };
}

/** The tensor with a name, which has to have one value for each of `batch` samples. */
function rowsOf(tensors: readonly Tensor[], wanted: string, batch: number): Float32Array | Int32Array {
  const tensor = tensors.find((each) => each.name === wanted);
  if (tensor === undefined) throw new ServerError('ERR_DPM_ARGUMENT', `input ${wanted} is missing`, { param: wanted });
  if (tensor.shape.length !== 1 || tensor.shape[0] !== batch) {
    throw new ServerError('ERR_DPM_ARGUMENT', `input ${wanted} has to have shape [${batch}]`, { param: wanted });
  }
  return tensor.values;
}

interface Evaluation {
  x: Float32Array;
  t: Float32Array | Int32Array;
  classLabels: Int32Array | undefined;
  batch: number;
}

function evaluationOf(served: ServedPixels, tensors: readonly Tensor[]): Evaluation {
  const known = inputsOf(served).map((input) => (input as { name: string }).name);
  const unknown = tensors.find((each) => !known.includes(each.name));
  if (unknown !== undefined) {
    throw new ServerError('ERR_DPM_ARGUMENT', `the model has no input ${unknown.name}; it has ${known.join(', ')}`);
  }
  if (new Set(tensors.map((each) => each.name)).size < tensors.length) {
    throw new ServerError('ERR_DPM_ARGUMENT', 'an input is there twice');
  }
  const x = tensors.find((each) => each.name === 'x');
  const expected = served.model.sampleShape.join();
  if (x === undefined || !(x.values instanceof Float32Array) || x.shape.slice(1).join() !== expected) {
    throw new ServerError(
      'ERR_DPM_ARGUMENT',
      `input x has to be of floats, [batch, ${expected.replaceAll(',', ', ')}]`,
      { param: 'x' },
    );
  }
  const [batch = 0] = x.shape;
  const t = rowsOf(tensors, 't', batch);
  const labels = served.model.unet.info.classes > 0 ? rowsOf(tensors, 'class_labels', batch) : undefined;
  if (labels instanceof Float32Array)
    throw new ServerError('ERR_DPM_ARGUMENT', 'input class_labels has to be of integers');
  return { x: x.values, t, classLabels: labels, batch };
}

function priorityOf(request: FastifyRequest, priority = 0): 'high' | 'normal' {
  if (priority !== 1) return 'normal';
  if (request.client.scopes.has('priority')) return 'high';
  throw new ServerError('ERR_DPM_FORBIDDEN', "priority 1 takes a token with the scope 'priority'");
}

async function answer(
  { pool }: Context,
  reply: FastifyReply,
  { id, outputs, parameters }: Inference,
  served: ServedPixels,
  batch: number,
  values: Float32Array,
): Promise<Uint8Array> {
  const [wanted] = outputs ?? [];
  const isBinary = wanted?.parameters?.binary_data ?? parameters?.binary_data_output ?? false;
  const output = { name: 'out', datatype: 'FP32', shape: outputShape(served, batch) };
  const fields = { model_name: served.id, model_version: '1', ...(id !== undefined && { id }) };
  if (!isBinary) {
    void reply.type('application/json');
    return pool.write({ fields, output, values });
  }
  const { body, jsonLength } = binaryOf({ fields, output, values });
  void reply.headers({ 'content-type': 'application/octet-stream', [lengthHeader]: String(jsonLength) });
  return body;
}

async function inferred(context: Context, request: FastifyRequest, reply: FastifyReply): Promise<Uint8Array> {
  const served = pixelsOf(context.registry.use((request.params as { id: string }).id));
  const body = request.body as InferenceBody | undefined;
  if (body === undefined) throw new ServerError('ERR_DPM_ARGUMENT', 'the request has no body');
  const signal = untilLeft(request, reply);
  const inference = await context.pool.read(body);
  const { x, t, classLabels, batch } = evaluationOf(served, inference.tensors);
  note(request, { model: served.id, rows: batch });
  const { priority, timeout } = inference.parameters ?? {};
  const evaluated = served.batcher.forward(x, t, {
    tenant: request.client.name,
    weight: request.client.weight,
    priority: priorityOf(request, priority),
    signal,
    ...(classLabels !== undefined && { classLabels }),
    ...(timeout !== undefined && { deadline: timeout / 1000 }),
  });
  const out = await evaluated.catch((error: unknown) => {
    context.registry.noteError(served, error);
    throw error;
  });
  return answer(context, reply, inference, served, batch, out);
}

type OfModel = { Params: { id: string } };
const params = Type.Object({ id: Type.String({ description: 'Id of the model.' }) });
const errorForm = 'kserve';

const schemas = {
  server: {
    operationId: 'getServerMetadata',
    summary: 'What the server is.',
    tags: ['kserve'],
    response: { 200: serverAnswer },
  },
  live: {
    operationId: 'getServerLive',
    summary: 'Whether the process lives.',
    tags: ['kserve'],
    response: { 200: liveAnswer('It does.'), 503: liveAnswer('A batch has stopped.') },
  },
  ready: {
    operationId: 'getServerReady',
    summary: 'Whether it takes requests.',
    tags: ['kserve'],
    response: { 200: readyAnswer('It does.'), 503: readyAnswer('It does not.') },
  },
  model: {
    operationId: 'getModelMetadata',
    summary: "A model's inputs and outputs.",
    tags: ['kserve'],
    params,
    response: { 200: modelAnswer },
  },
  modelReady: {
    operationId: 'getModelReady',
    summary: 'Whether a model takes requests.',
    tags: ['kserve'],
    params,
    response: { 200: modelReadyAnswer },
  },
  infer: {
    operationId: 'infer',
    summary: 'Evaluates the network.',
    tags: ['kserve'],
    params,
    headers: Type.Object({
      [lengthHeader]: Type.Optional(Type.String({ description: 'Bytes of JSON before binary data.' })),
    }),
    body: {
      content: {
        'application/json': { schema: inferSchema },
        ...binary('application/octet-stream', 'JSON, and behind it the inputs, little-endian.'),
      },
    },
    response: { 200: inferAnswer },
  },
};

/** The Open Inference Protocol, version 2, of KServe and Triton: evaluations of the network. */
export const kserveRoutes: Routes = (app, context) => {
  const { registry } = context;
  void app.register((scope, _, done) => {
    // Errors of this protocol have a message and nothing else.
    scope.setErrorHandler(errorHandler(({ detail }) => ({ error: detail })));
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser<Buffer>('*', { parseAs: 'buffer', bodyLimit: MOST_BYTES }, (request, body, parsed) => {
      try {
        parsed(null, bodyOf(request, body as Buffer<ArrayBuffer>));
      } catch (error) {
        parsed(error as Error);
      }
    });
    scope.get('/v2', { schema: schemas.server, config: { errorForm } }, () => ({
      name: 'dpm-native-server',
      version,
      extensions: ['binary_tensor_data', 'schedule_policy'],
    }));
    scope.get('/v2/health/live', { schema: schemas.live, config: { errorForm } }, (__, reply) => {
      const isLive = context.liveness.reasons().length === 0;
      return reply.status(isLive ? 200 : 503).send({ live: isLive });
    });
    scope.get('/v2/health/ready', { schema: schemas.ready, config: { errorForm } }, (__, reply) => {
      const isReady = reasonsAgainst(context).length === 0;
      return reply.status(isReady ? 200 : 503).send({ ready: isReady });
    });
    const config = { scope: 'infer', errorForm, fails: [404, 422] } as const;
    scope.get<OfModel>('/v2/models/:id', { schema: schemas.model, config }, ({ params }) =>
      described(pixelsOf(registry.get(params.id))),
    );
    scope.get<OfModel>('/v2/models/:id/ready', { schema: schemas.modelReady, config }, ({ params }) => ({
      name: registry.get(params.id).id,
      ready: true,
    }));
    scope.post(
      '/v2/models/:id/infer',
      {
        schema: schemas.infer,
        // The route checks the JSON itself, once it knows the model.
        validatorCompiler: () => () => true,
        bodyLimit: MOST_BYTES,
        config: { ...config, isWork: true },
      },
      async (request, reply) => reply.send(await inferred(context, request, reply)),
    );
    done();
  });
};
