import type { Model, Sampler } from './described.js';
import { told } from './server.js';

interface List<T> {
  readonly data: readonly T[];
}

export async function modelIds(): Promise<string[]> {
  return (await told<List<{ id: string }>>('/v1/models')).data.map(({ id }) => id);
}

export async function samplersById(): Promise<ReadonlyMap<string, Sampler>> {
  const { data } = await told<List<Sampler>>('/v1/samplers');
  return new Map(data.map((sampler) => [sampler.id, sampler]));
}

export function modelOf(id: string): Promise<Model> {
  return told<Model>(`/v1/models/${encodeURIComponent(id)}`);
}
