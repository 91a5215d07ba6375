import type { Model, Sampler } from './described.js';

/** Most samplers that are compared. */
export const MOST_SAMPLERS = 4;

/** Samplers of which previews are not too many: those of four samples. */
const MOST_PREVIEWED = 4;

/** Previews of a sample. */
const PREVIEWS = 8;

export type View = 'draw' | 'compare' | 'jobs';

/** What the form says, as texts. */
export interface Fields {
  readonly model: string;
  /** The first one draws; all of them are compared. */
  readonly samplers: readonly string[];
  readonly steps: string;
  readonly count: string;
  readonly seed: string;
  readonly class: string;
  readonly guidance: string;
  /** Options of the first sampler, by name. */
  readonly options: Readonly<Record<string, string>>;
}

const optionPrefix = 'options.';

/** The fields that a link has, else the standard ones. */
export function fieldsOf(query: URLSearchParams, standard: Fields): Fields {
  const own = [...query].filter(([name]) => name.startsWith(optionPrefix));
  const text = (name: 'model' | 'steps' | 'count' | 'seed' | 'class' | 'guidance'): string =>
    query.get(name) ?? standard[name];
  const samplers = query.getAll('sampler');
  return {
    model: text('model'),
    samplers: samplers.length > 0 ? samplers : standard.samplers,
    steps: text('steps'),
    count: text('count'),
    seed: text('seed'),
    class: text('class'),
    guidance: text('guidance'),
    options: Object.fromEntries(own.map(([name, value]) => [name.slice(optionPrefix.length), value])),
  };
}

/** Names of the samplers that are chosen, each once. */
export function chosenSamplers({ samplers }: Fields, view: View): string[] {
  const all = view === 'compare' ? samplers : samplers.slice(0, 1);
  return [...new Set(all.filter((name) => name !== ''))];
}

/** The query of a link by which the form can be filled again. */
export function queryOf(fields: Fields, view: View, { classes }: Pick<Model, 'classes'>): URLSearchParams {
  const query = new URLSearchParams({ model: fields.model });
  for (const name of chosenSamplers(fields, view)) query.append('sampler', name);
  query.set('steps', fields.steps);
  query.set('seed', fields.seed);
  if (view === 'compare') query.set('view', 'compare');
  else query.set('count', fields.count);
  if (view !== 'compare') {
    for (const [name, value] of Object.entries(fields.options)) query.set(`${optionPrefix}${name}`, value);
  }
  if (classes === 0) return query;
  query.set('class', fields.class);
  if (fields.guidance !== '') query.set('guidance', fields.guidance);
  return query;
}

/** Draws a seed from 0 to 2^64 - 1, in digits, as a number would lose some of them. */
export function drawnSeed(): string {
  return String(crypto.getRandomValues(new BigUint64Array(1))[0]);
}

/** The value of an option as the request has it. */
function optionValue(text: string, type: string | undefined): unknown {
  if (type === 'boolean') return text === 'true';
  return type === 'number' || type === 'integer' ? Number(text) : text;
}

function optionsOf(fields: Fields, sampler: Sampler): Record<string, unknown> | undefined {
  const given = Object.entries(fields.options).filter(([name, text]) => text !== '' && name in sampler.options);
  if (given.length === 0) return undefined;
  return Object.fromEntries(given.map(([name, text]) => [name, optionValue(text, sampler.options[name]?.type)]));
}

/** The body of `POST /v1/samples`, but for previews. */
export interface SampleBody {
  readonly model: string;
  readonly sampler: string;
  readonly seed: string;
  readonly steps?: number;
  readonly count?: number;
  readonly classLabels?: number;
  readonly guidance?: number;
  readonly options?: Record<string, unknown>;
}

/** The request of a sampler for what the form says. */
export function bodyOf(fields: Fields, sampler: Sampler, model: Model, view: View): SampleBody {
  const options = view === 'compare' ? undefined : optionsOf(fields, sampler);
  return {
    model: fields.model,
    sampler: sampler.id,
    seed: fields.seed,
    ...('steps' in sampler.options && options?.solver !== 'rk45' && { steps: Number(fields.steps) }),
    ...(view !== 'compare' && { count: Number(fields.count) }),
    ...(model.classes > 0 && { classLabels: Number(fields.class) }),
    ...(model.classes > 0 && fields.guidance !== '' && { guidance: Number(fields.guidance) }),
    ...(options && { options }),
  };
}

/** The previews of a request; undefined for none. */
export function previewOf({ steps, count = 1 }: SampleBody): { every: number; of: 'prediction' } | undefined {
  if (steps === undefined || count > MOST_PREVIEWED) return undefined;
  return { every: Math.max(1, Math.round(steps / PREVIEWS)), of: 'prediction' };
}
