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
  readonly prompt: string;
  readonly negative: string;
  /** Empty: the model's own. */
  readonly size: string;
  /** Name of a LoRA; empty: none. */
  readonly lora: string;
  /** Picture to begin with, in base64; empty: none. A link does not have it. */
  readonly image: string;
  readonly strength: string;
  /** Options of the first sampler, by name. */
  readonly options: Readonly<Record<string, string>>;
}

const optionPrefix = 'options.';

/** Fields of texts that a link has as they are, those of classes and those of texts. */
const ofClasses = ['class', 'guidance'] as const;
const ofPrompts = ['prompt', 'negative', 'size', 'lora', 'guidance'] as const;
const inLinks = ['model', 'steps', 'count', 'seed', ...ofClasses, 'prompt', 'negative', 'size', 'lora'] as const;

/** The fields that a link has, else the standard ones. */
export function fieldsOf(query: URLSearchParams, standard: Fields): Fields {
  const own = [...query].filter(([name]) => name.startsWith(optionPrefix));
  const text = (name: (typeof inLinks)[number]): string => query.get(name) ?? standard[name];
  const samplers = query.getAll('sampler');
  return {
    ...standard,
    ...(Object.fromEntries(inLinks.map((name) => [name, text(name)])) as Pick<Fields, (typeof inLinks)[number]>),
    samplers: samplers.length > 0 ? samplers : standard.samplers,
    options: Object.fromEntries(own.map(([name, value]) => [name.slice(optionPrefix.length), value])),
  };
}

/** Names of the samplers that are chosen, each once. */
export function chosenSamplers({ samplers }: Fields, view: View): string[] {
  const all = view === 'compare' ? samplers : samplers.slice(0, 1);
  return [...new Set(all.filter((name) => name !== ''))];
}

/** The query of a link by which the form can be filled again. */
export function queryOf(
  fields: Fields,
  view: View,
  { classes, prompts }: Pick<Model, 'classes' | 'prompts'>,
): URLSearchParams {
  const query = new URLSearchParams({ model: fields.model });
  for (const name of chosenSamplers(fields, view)) query.append('sampler', name);
  query.set('steps', fields.steps);
  query.set('seed', fields.seed);
  if (view === 'compare') query.set('view', 'compare');
  else query.set('count', fields.count);
  if (view !== 'compare') {
    for (const [name, value] of Object.entries(fields.options)) query.set(`${optionPrefix}${name}`, value);
  }
  const own = prompts !== undefined ? ofPrompts : classes > 0 ? ofClasses : [];
  for (const name of own) {
    if (fields[name] !== '') query.set(name, fields[name]);
  }
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
  readonly prompt?: string;
  readonly negativePrompt?: string;
  readonly size?: string;
  readonly loras?: readonly { readonly name: string }[];
  readonly image?: { readonly b64: string };
  readonly strength?: number;
  readonly options?: Record<string, unknown>;
}

/** Tells whether a model is told what to draw, by a class or a text. */
export function isConditional({ classes, prompts }: Pick<Model, 'classes' | 'prompts'>): boolean {
  return classes > 0 || prompts !== undefined;
}

/** What a request of a text has. */
function promptOf({ prompt, negative, size, lora, image, strength }: Fields): Partial<SampleBody> {
  return {
    prompt,
    ...(negative !== '' && { negativePrompt: negative }),
    // A picture has its own size.
    ...(size !== '' && image === '' && { size }),
    ...(lora !== '' && { loras: [{ name: lora }] }),
    ...(image !== '' && { image: { b64: image }, strength: Number(strength) }),
  };
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
    ...(isConditional(model) && fields.guidance !== '' && { guidance: Number(fields.guidance) }),
    ...(model.prompts && promptOf(fields)),
    ...(options && { options }),
  };
}

/** The previews of a request; undefined for none. */
export function previewOf(
  { steps, count = 1 }: SampleBody,
  { prompts }: Pick<Model, 'prompts'>,
): { every: number; of: 'prediction' } | undefined {
  if (steps === undefined || count > MOST_PREVIEWED || prompts?.previews === false) return undefined;
  return { every: Math.max(1, Math.round(steps / PREVIEWS)), of: 'prediction' };
}
