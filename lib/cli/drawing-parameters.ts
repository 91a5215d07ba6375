import { DpmError } from '../base/errors.js';
import {
  integerBetween,
  kinds,
  oneOf,
  probability,
  seedKind,
  shareAboveZero,
  type Kind,
} from '../base/option-kinds.js';
import { shownValue } from '../base/text.js';
import { MOST_AT_ONCE } from '../engine/binding.js';
import { generateDefaults, longPrompts, type LongPrompts } from '../latents/generate-options.js';
import { samplerNames, type SamplerName } from '../samplers/index.js';

/** What an image of a text is drawn of, beside the model. */
export interface DrawingParameters {
  readonly prompt: string;
  /** Absent for none, which need not be the empty text. */
  readonly negativePrompt?: string | undefined;
  readonly steps?: number | undefined;
  readonly sampler?: SamplerName | undefined;
  readonly guidance?: number | undefined;
  readonly guidanceRescale?: number | undefined;
  readonly seed?: bigint | undefined;
  /** Share of the steps that a picture goes through; absent: it was drawn of noise alone. */
  readonly strength?: number | undefined;
  /** What a picture shows that was brought back to its noise; absent: none was. */
  readonly sourcePrompt?: string | undefined;
  /** Share of the times before a refiner; absent: there was none. */
  readonly refinerStart?: number | undefined;
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  readonly skippedLayers?: number | undefined;
  readonly tile?: number | undefined;
  readonly longPrompts?: LongPrompts | undefined;
  /** Number of images of the call. */
  readonly count?: number | undefined;
  /** Number of the one image of the call that the picture shows, from 0; absent: it shows all. */
  readonly position?: number | undefined;
}

/** Names of files of low-rank additions with their factors. */
export type NamedLoras = readonly { readonly name: string; readonly scale: number }[];

/** Keyword of the parameters in a PNG, by which other programs know them, too. */
export const parametersKeyword = 'parameters';

const negative = 'Negative prompt:';

/** Text of a value; one with signs that divide values is quoted as JSON. */
function quoted(value: string): string {
  return /^[^\s,:"\\](?:[^\n,:"\\]*[^\s,:"\\])?$/.test(value) ? value : JSON.stringify(value);
}

/** Tells whether the prompt has a line that looks like the negative one, so that its length has to be told. */
function needsLength(prompt: string): boolean {
  return prompt.startsWith(negative) || prompt.includes(`\n${negative}`);
}

/**
 * Writes parameters as other programs do: the prompt, the negative prompt, and a line of fields.
 *
 * @param model - Name of the model.
 * @param added - Low-rank additions, ControlNets and the refiner, which are told but not read again: files are found by their paths
 * alone.
 */
export function formatParameters(
  { prompt, negativePrompt, ...drawing }: DrawingParameters & Required<Pick<DrawingParameters, 'steps'>>,
  model: string,
  {
    loras = [],
    refiner,
    controls,
  }: { loras?: NamedLoras | undefined; refiner?: string; controls?: string | undefined } = {},
): string {
  const {
    steps,
    sampler,
    guidance,
    guidanceRescale = generateDefaults.guidanceRescale,
    seed,
    strength,
    sourcePrompt,
    refinerStart,
    height,
    width,
    skippedLayers = generateDefaults.skippedLayers,
    tile,
    count = 1,
    position,
  } = drawing;
  const { longPrompts: long = generateDefaults.longPrompts } = drawing;
  const fields: readonly (readonly [string, string | number | bigint | undefined])[] = [
    ['Steps', steps],
    ['Sampler', sampler],
    ['CFG scale', guidance],
    ['CFG rescale', guidanceRescale === 0 ? undefined : guidanceRescale],
    ['Seed', seed],
    ['Size', width === undefined || height === undefined ? undefined : `${width}x${height}`],
    ['Denoising strength', strength],
    ['Source prompt', sourcePrompt === undefined ? undefined : JSON.stringify(sourcePrompt)],
    ['Model', quoted(model)],
    ['Refiner', refiner === undefined ? undefined : quoted(refiner)],
    ['Refiner switch at', refinerStart],
    // Elsewhere 1 is the last layer itself.
    ['Clip skip', skippedLayers > 0 ? skippedLayers + 1 : undefined],
    ['Batch size', count > 1 ? count : undefined],
    ['Batch pos', position],
    ['Tile', tile],
    ['Long prompts', long === 'truncate' ? undefined : long],
    ['Prompt length', needsLength(prompt) ? prompt.length : undefined],
    ['Loras', loras.length === 0 ? undefined : quoted(loras.map(({ name, scale }) => `${name}:${scale}`).join(', '))],
    ['ControlNets', controls === undefined ? undefined : quoted(controls)],
    ['Version', 'dpm-native'],
  ];
  const told = fields.flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  const texts = negativePrompt === undefined ? [prompt] : [prompt, `${negative} ${negativePrompt}`];
  return [...texts, told.join(', ')].join('\n');
}

function parametersError(source: string, problem: string): DpmError {
  return new DpmError('ERR_DPM_FILE', `${source}: its parameters ${problem}`);
}

/** Reads the fields of a line, each checked as the option that it becomes. */
class Fields {
  readonly #values = new Map<string, string>();

  constructor(
    line: string,
    readonly source: string,
  ) {
    const field = /\s*([A-Za-z][\w \-/]*):[ \t]*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)/y;
    while (field.lastIndex < line.length) {
      const at = field.lastIndex;
      const [, name = '', value = ''] = field.exec(line) ?? [];
      if (name === '') throw this.error(`have no field and value at ${shownValue(line.slice(at, at + 40))}`);
      if (this.#values.has(name)) throw this.error(`have the field ${name} twice`);
      this.#values.set(name, value.trim());
    }
  }

  error(problem: string): DpmError {
    return parametersError(this.source, problem);
  }

  names(): string[] {
    return [...this.#values.keys()];
  }

  text(name: string, kind: Kind): string | undefined {
    const value = this.#values.get(name);
    if (value !== undefined && !kind.holds(value)) throw this.#wrong(name, value, kind);
    return value;
  }

  /** A text in quotation marks, as JSON. */
  quoted(name: string): string | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === 'string') return value;
    } catch {
      // Told below.
    }
    throw this.#wrong(name, text, { expected: 'a text in quotation marks' });
  }

  number(name: string, kind: Kind): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    const value = text === '' ? NaN : Number(text);
    if (!kind.holds(value)) throw this.#wrong(name, text, kind);
    return value;
  }

  seed(name: string): bigint | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,20}$/.test(text) ? BigInt(text) : null;
    if (value === null || !seedKind.holds(value)) throw this.#wrong(name, text, { expected: 'an integer below 2^64' });
    return value;
  }

  size(name: string): { height?: number; width?: number } {
    const text = this.#values.get(name);
    if (text === undefined) return {};
    const [, width = '0', height = '0'] = /^(\d{1,5})x(\d{1,5})$/.exec(text) ?? [];
    const size = { height: Number(height), width: Number(width) };
    if (size.height > 0 && size.width > 0) return size;
    throw this.#wrong(name, text, { expected: 'WIDTHxHEIGHT' });
  }

  #wrong(name: string, value: string, { expected }: Pick<Kind, 'expected'>): DpmError {
    return this.error(`say that ${name} is ${shownValue(value)}, it has to be ${expected}`);
  }
}

/** Divides what stands before the fields into the prompt and the negative prompt. */
function promptsOf(
  text: string,
  length: number | undefined,
): Pick<DrawingParameters, 'prompt' | 'negativePrompt'> | null {
  const found = text.startsWith(negative) ? 0 : text.indexOf(`\n${negative}`);
  const end = length ?? (found < 0 ? text.length : found);
  const [prompt, rest] = [text.slice(0, end), text.slice(end)];
  if (prompt.length < end) return null;
  if (rest === '') return { prompt };
  const mark = rest.startsWith(negative) && length === undefined ? negative : `\n${negative}`;
  if (!rest.startsWith(mark)) return null;
  return { prompt, negativePrompt: rest.slice(mark.length).replace(/^ /, '') };
}

/** Fields that are read, and those that say nothing about how to draw. */
const known = [
  'Steps',
  'Sampler',
  'CFG scale',
  'CFG rescale',
  'Seed',
  'Denoising strength',
  'Source prompt',
  'Refiner switch at',
  'Size',
  'Clip skip',
  'Batch size',
  'Batch pos',
  'Tile',
  'Long prompts',
];
const idle = ['Model', 'Model hash', 'Refiner', 'Prompt length', 'Version'];

/** Fields by the options of the command line that replace them, so that they need not be understood. */
const fieldsOfOptions: Readonly<Record<string, string>> = {
  count: 'Batch size',
  steps: 'Steps',
  sampler: 'Sampler',
  guidance: 'CFG scale',
  'guidance-rescale': 'CFG rescale',
  'refiner-start': 'Refiner switch at',
  seed: 'Seed',
  strength: 'Denoising strength',
  'source-prompt': 'Source prompt',
  size: 'Size',
  'clip-skip': 'Clip skip',
  tile: 'Tile',
  'long-prompts': 'Long prompts',
  lora: 'Loras',
  'control-image': 'ControlNets',
};

/** Options that take files, whose fields say nothing that could be read again. */
const ofFiles = ['lora', 'control-image'];

/**
 * Reads the parameters that a PNG holds.
 *
 * @param source - Name of the file, for messages.
 * @param isReplaced - Tells whether an option of the command line is given, whose field is then not read.
 * @returns The parameters, and the names of the fields that are not known.
 * @throws {@link DpmError} `ERR_DPM_FILE` naming the file and the field that is wrong.
 */
export function parseParameters(
  text: string,
  source: string,
  isReplaced: (option: string) => boolean = () => false,
): { parameters: DrawingParameters; unread: string[] } {
  const whole = text.replace(/\n+$/, '');
  const end = whole.lastIndexOf('\n');
  const line = whole.slice(end + 1);
  if (!line.startsWith('Steps:')) throw parametersError(source, 'do not end in a line that begins with Steps');
  const fields = new Fields(line, source);
  const prompts = promptsOf(whole.slice(0, Math.max(0, end)), fields.number('Prompt length', kinds.positiveInteger));
  if (prompts === null) throw fields.error('have another prompt than Prompt length says');
  const replaced = new Set(Object.keys(fieldsOfOptions).filter(isReplaced));
  const unless = <T>(option: string, value: (field: string) => T): T | undefined =>
    replaced.has(option) ? undefined : value(fieldsOfOptions[option] ?? '');
  const clipSkip = unless('clip-skip', (field) => fields.number(field, integerBetween(1, 256)));
  const count = unless('count', (field) => fields.number(field, integerBetween(1, MOST_AT_ONCE)));
  const given = {
    steps: unless('steps', (field) => fields.number(field, kinds.positiveInteger)),
    sampler: unless('sampler', (field) => fields.text(field, oneOf(samplerNames))) as SamplerName | undefined,
    guidance: unless('guidance', (field) => fields.number(field, kinds.finite)),
    guidanceRescale: unless('guidance-rescale', (field) => fields.number(field, probability)),
    refinerStart: unless('refiner-start', (field) => fields.number(field, shareAboveZero)),
    seed: unless('seed', (field) => fields.seed(field)),
    strength: unless('strength', (field) => fields.number(field, shareAboveZero)),
    sourcePrompt: unless('source-prompt', (field) => fields.quoted(field)),
    ...unless('size', (field) => fields.size(field)),
    skippedLayers: clipSkip === undefined ? undefined : clipSkip - 1,
    tile: unless('tile', (field) => fields.number(field, kinds.positiveInteger)),
    longPrompts: unless('long-prompts', (field) => fields.text(field, oneOf(longPrompts))) as LongPrompts | undefined,
    count,
    // A number of images begins with the first one.
    position: unless('count', () => fields.number('Batch pos', integerBetween(0, (count ?? 1) - 1))),
  };
  const parameters = {
    ...prompts,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  const isKnown = (name: string): boolean =>
    known.includes(name) ||
    idle.includes(name) ||
    ofFiles.some((option) => name === fieldsOfOptions[option] && replaced.has(option));
  return { parameters, unread: fields.names().filter((name) => !isKnown(name)) };
}
