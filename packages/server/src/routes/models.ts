import { DpmError, type Option, type OptionTable, samplerNames, samplers, type SamplerName } from 'dpm-native';
import Type, { type Static } from 'typebox';

import { modelSchema, type ModelConfig } from '../config.js';
import type { Routes } from '../context.js';
import { requireRoot } from '../model-roots.js';
import { ServerError } from '../problem.js';
import type { ServedModel } from '../registry.js';

/** Samplers that a model has the tables for. */
function samplersOf({ model }: ServedModel): SamplerName[] {
  return samplerNames.filter((name) => !samplers[name].facts.needsGamma || model.gamma !== null);
}

/** The options of a sampler that requests may give. */
function describedOptions(options: OptionTable): object {
  const given = Object.entries(options).filter(([name]) => name !== 'gamma');
  return Object.fromEntries(given.map(([name, option]) => [name, { description: (option as Option<unknown>).help }]));
}

function listed({ id, created }: ServedModel): object {
  return { id, object: 'model', created, owned_by: 'dpm-native' };
}

function described(served: ServedModel): object {
  const { model, batcher, digest, labels } = served;
  const { rows, slots, rowsPerSecond } = batcher.capacity;
  return {
    ...listed(served),
    digest,
    shape: model.sampleShape,
    classes: model.unet.info.classes,
    labels,
    parameters: model.unet.info.parameters,
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

/** What is wrong with a model is no mistake of the server, as it is while it runs. */
function ofModel(error: unknown): unknown {
  if (!(error instanceof DpmError)) return error;
  if (error.code === 'ERR_DPM_OUT_OF_MEMORY') return new ServerError(error.code, error.message, { status: 507 });
  const isOfModel = /^ERR_DPM_(?:ARGUMENT|CONFIG|FILE|HEADER|PICKLE|TENSOR)/.test(error.code);
  return isOfModel ? new ServerError(error.code, error.message, { status: 422 }) : error;
}

/** `/v1/models`, `/v1/models/{id}` and `/v1/samplers`. */
export const modelRoutes: Routes = (app, { registry, settings }) => {
  const config = { scope: 'sample' } as const;
  app.get('/v1/models', { schema: { tags: ['models'] }, config }, () => ({
    object: 'list',
    data: registry.models.map(listed),
  }));
  app.get<{ Params: { id: string } }>('/v1/models/:id', { schema: { tags: ['models'] }, config }, ({ params }) =>
    described(registry.get(params.id)),
  );
  app.get('/v1/samplers', { schema: { tags: ['models'] }, config }, () => ({
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
  type OfModel = { Params: { id: string } };
  app.put<OfModel & { Body: PutBody }>(
    '/v1/models/:id',
    { schema: { body: putSchema, tags: ['models'] }, config: { ...admin, isWork: true } },
    async ({ params, body }) => {
      const { evict, ...config } = body;
      if (!/^[\w.-]{1,64}$/.test(params.id))
        throw new ServerError('ERR_DPM_ARGUMENT', 'the id has to be letters, digits, . and -');
      const path = await requireRoot(config.path, settings.modelRoots);
      const put = registry.put(params.id, { ...(config as ModelConfig), path }, { evict: evict ?? false });
      return described(
        await put.catch((error: unknown) => {
          throw ofModel(error);
        }),
      );
    },
  );
  app.delete<OfModel>('/v1/models/:id', { schema: { tags: ['models'] }, config: admin }, async ({ params }, reply) => {
    await registry.remove(params.id);
    return reply.status(204).send();
  });
};
