import { type Option, type OptionTable, samplerNames, samplers, type SamplerName } from 'dpm-native';

import type { Routes } from '../context.js';
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

/** `GET /v1/models`, `GET /v1/models/{id}` and `GET /v1/samplers`. */
export const modelRoutes: Routes = (app, { registry }) => {
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
        adaptive: kind !== 'step',
        head,
        needsGamma,
        options: describedOptions(options),
      };
    }),
  }));
};
