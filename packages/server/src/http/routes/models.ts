import { DpmError, type Option, type OptionTable, samplerNames, samplers } from 'dpm-native';
import Type, { type Static } from 'typebox';

import { modelAnswer, modelsAnswer, samplersAnswer } from './answers/models.js';
import type { Routes } from '../context.js';
import { modelSchema, type ModelConfig } from '../../config/model-config.js';
import { requireRoot } from '../../models/model-roots.js';
import { ServerError } from '../../base/problem.js';
import {
  classesOf,
  parametersOf,
  samplersOf,
  sizesOf,
  type ServedModel,
  type ServedPrompts,
} from '../../models/served.js';

/** The options of a sampler that requests may give. */
function describedOptions(options: OptionTable): object {
  const given = Object.entries(options).filter(([name]) => name !== 'gamma');
  return Object.fromEntries(
    given.map(([name, option]) => {
      const { help, type, choices } = option as Option<unknown>;
      return [name, { description: help, ...(type && { type }), ...(choices && { values: choices }) }];
    }),
  );
}

function listed({ id, created }: ServedModel): object {
  return { id, object: 'model', created, owned_by: 'dpm-native' };
}

/** What requests for images of texts may say, and what is so where they say nothing. */
function promptsOf(served: ServedPrompts): object {
  const { model, config } = served;
  const { steps, guidance } = model.defaults;
  const prompts = {
    sizes: sizesOf(served),
    steps,
    guidance,
    loras: Object.keys(config.loras ?? {}),
    previews: config.preview !== undefined || model.vae.isSmall,
  };
  return { prompts };
}

function described(served: ServedModel): object {
  const { model, batcher, digest, labels } = served;
  const { rows, slots, rowsPerSecond } = batcher.capacity;
  return {
    ...listed(served),
    digest,
    kind: served.kind,
    shape: model.sampleShape,
    classes: classesOf(served),
    labels,
    ...(served.kind === 'prompts' && promptsOf(served)),
    parameters: parametersOf(served),
    device: model.device.name,
    samplers: samplersOf(served),
    batcher: { rows, slots, capacityRowsPerSecond: rowsPerSecond, expectedWaitMs: batcher.expectedWait() },
  };
}

const putSchema = Type.Interface(
  [Type.Omit(modelSchema, ['id', 'config'])],
  { evict: Type.Optional(Type.Boolean({ description: 'Idle models that are not pinned may go for it.' })) },
  { additionalProperties: false },
);
type PutBody = Static<typeof putSchema>;

/** Translates errors of loading: a faulty model is the client's error, while in a running server it would be the server's. */
function ofModel(error: unknown): unknown {
  if (!(error instanceof DpmError)) return error;
  if (error.code === 'ERR_DPM_OUT_OF_MEMORY') return new ServerError(error.code, error.message, { status: 507 });
  const isOfModel = /^ERR_DPM_(?:ARGUMENT|CONFIG|FILE|HEADER|PICKLE|TENSOR)/.test(error.code);
  return isOfModel ? new ServerError(error.code, error.message, { status: 422 }) : error;
}

/** Requires that all files of a configuration that a client has sent lie below roots, and gives their real paths. */
async function belowRoots(config: ModelConfig, roots: readonly string[]): Promise<ModelConfig> {
  const { path, preview, loras } = config;
  const named: [string, string][] = [];
  for (const [name, file] of Object.entries(loras ?? {})) named.push([name, await requireRoot(file, roots)]);
  return {
    ...config,
    path: await requireRoot(path, roots),
    ...(preview !== undefined && { preview: await requireRoot(preview, roots) }),
    ...(loras !== undefined && { loras: Object.fromEntries(named) }),
  };
}

const params = Type.Object({ id: Type.String({ description: 'Id of the model.' }) });

const schemas = {
  list: {
    operationId: 'listModels',
    summary: 'The models.',
    tags: ['models'],
    response: { 200: modelsAnswer },
  },
  get: {
    operationId: 'getModel',
    summary: 'A model, and what its batch can do.',
    tags: ['models'],
    params,
    response: { 200: modelAnswer },
  },
  put: {
    operationId: 'putModel',
    summary: 'Loads a model in the place of the one of that id.',
    tags: ['models'],
    params,
    body: putSchema,
    response: { 200: modelAnswer },
  },
  delete: {
    operationId: 'deleteModel',
    summary: 'Takes a model away, which finishes what it has to do.',
    tags: ['models'],
    params,
    response: { 204: Type.Null({ description: 'It takes no more requests.' }) },
  },
  samplers: {
    operationId: 'listSamplers',
    summary: 'Samplers and their options.',
    tags: ['models'],
    response: { 200: samplersAnswer },
  },
};

type OfModel = { Params: { id: string } };

/** The routes `/v1/models`, `/v1/models/{id}` and `/v1/samplers`. */
export const modelRoutes: Routes = (app, { registry, settings }) => {
  const config = { scope: 'sample' } as const;
  app.get('/v1/models', { schema: schemas.list, config }, () => ({
    object: 'list',
    data: registry.models.map(listed),
  }));
  app.get<OfModel>(
    '/v1/models/:id',
    { schema: schemas.get, config: { ...config, fails: [404] } },
    ({ params: { id } }) => described(registry.get(id)),
  );
  app.get('/v1/samplers', { schema: schemas.samplers, config }, () => ({
    object: 'list',
    data: samplerNames.map((name) => {
      const { summary, kind, head, needsGamma, options } = samplers[name].facts;
      return {
        id: name,
        object: 'sampler',
        summary,
        kind,
        head,
        needsGamma,
        options: describedOptions(options),
      };
    }),
  }));
  const admin = { scope: 'admin' } as const;
  app.put<OfModel & { Body: PutBody }>(
    '/v1/models/:id',
    { schema: schemas.put, config: { ...admin, isWork: true, fails: [422, 507] } },
    async ({ params, body }) => {
      const { evict, ...config } = body;
      if (!/^[\w.-]{1,64}$/.test(params.id))
        throw new ServerError('ERR_DPM_ARGUMENT', 'the id has to be letters, digits, . and -');
      const below = await belowRoots(config, settings.modelRoots);
      const put = registry.put(params.id, below, { evict: evict ?? false });
      return described(
        await put.catch((error: unknown) => {
          throw ofModel(error);
        }),
      );
    },
  );
  app.delete<OfModel>(
    '/v1/models/:id',
    { schema: schemas.delete, config: { ...admin, fails: [404] } },
    async ({ params }, reply) => {
      await registry.remove(params.id);
      return reply.status(204).send();
    },
  );
};
