// The tables of options in docs/, made from what the code says of them. `npm run format` writes them (scripts/tables.ts).
import {
  optionFacts,
  samplerNames,
  samplers,
  type DescribedOption,
  type DpmErrorCode,
  type JsonSchema,
  type Option,
  type OptionTable,
} from '../../lib/index.js';
import { flagName, type DescribedField } from '../../packages/server/src/config/flag.js';
import { settingsFields } from '../../packages/server/src/config/settings.js';
import { jobBodySchema } from '../../packages/server/src/jobs/job.js';
import { sampleSchema } from '../../packages/server/src/samples/sample-request.js';

/** The rows of a table by the file that shows it and the mark above it, `<!-- options of a batcher -->`. */
export interface DocumentTable {
  readonly file: string;
  readonly mark: string;
  readonly rows: readonly string[];
}

/** More samplers than these are counted. */
const MOST_NAMED = 6;

function table(head: readonly string[], body: readonly (readonly string[])[]): string[] {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [row(head), row(head.map(() => '---')), ...body.map(row)];
}

function optionRows(options: Readonly<Record<string, DescribedOption>>): string[] {
  const body = Object.entries(options).map(([name, { help, standard }]) => [`\`${name}\``, standard ?? '', help]);
  return table(['option', 'default', 'is'], body);
}

/** The values that a schema takes, in words. */
export function valuesOf(schema: JsonSchema): string {
  const { anyOf, enum: names, type, minimum, exclusiveMinimum, maximum, maxItems, items } = schema;
  if (Array.isArray(anyOf)) return anyOf.map((each) => valuesOf(each as JsonSchema)).join(' or ');
  if (Array.isArray(names)) return names.length > 9 ? 'a name' : names.map((name) => `\`${String(name)}\``).join(', ');
  if (type === 'array')
    return `${maxItems === undefined ? 'any number ' : `up to ${Number(maxItems)} `}of ${valuesOf(Object(items) as JsonSchema)}`;
  const least =
    minimum === undefined
      ? exclusiveMinimum === undefined
        ? ''
        : ` above ${Number(exclusiveMinimum)}`
      : ` from ${Number(minimum)}`;
  const most = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? '' : ` to ${Number(maximum)}`;
  return `${typeof type === 'string' ? type : 'anything'}${least}${most}`;
}

/** The options of samplers; one that differs between samplers has a row for each of its forms. */
function samplerRows(): string[] {
  const taken = new Map<string, { name: string; help: string; by: string[] }>();
  for (const sampler of samplerNames) {
    const options: OptionTable = samplers[sampler].facts.options;
    for (const [name, { help }] of Object.entries<Option<unknown>>(options)) {
      const key = `${name} ${help}`;
      const form = taken.get(key) ?? { name, help, by: [] };
      form.by.push(sampler);
      taken.set(key, form);
    }
  }
  const shown = (by: readonly string[]) =>
    by.length > MOST_NAMED ? `${by.length} samplers` : by.map((name) => `\`${name}\``).join(', ');
  const forms = [...taken.values()].sort((a, b) => b.by.length - a.by.length || (a.name < b.name ? -1 : 1));
  return table(
    ['option', 'is', 'taken by'],
    forms.map(({ name, help, by }) => [`\`${name}\``, help, shown(by)]),
  );
}

/** The fields of a body. */
function fieldRows(properties: object, but: readonly string[] = []): string[] {
  const fields = Object.entries<object>({ ...properties }).filter(([name]) => !but.includes(name));
  const body = fields.map(([name, field]) => {
    const schema: JsonSchema = { ...field };
    const inner = Object.keys(Object(schema.properties) as object);
    const shown = inner.length === 0 ? name : `${name}: { ${inner.join(', ')} }`;
    return [`\`${shown}\``, valuesOf(schema), typeof schema.description === 'string' ? schema.description : ''];
  });
  return table(['field', 'values', 'is'], body);
}

/** A default of the configuration's file in words. */
function settingText(standard: unknown): string {
  if (standard === Infinity) return 'no limit';
  if (typeof standard === 'number') return standard < 1e4 ? String(standard) : standard.toLocaleString('en-US');
  return typeof standard === 'string' || typeof standard === 'boolean' ? String(standard) : 'none';
}

/** The fields of the configuration, with their flags. */
export function settingRows(fields: Readonly<Record<string, DescribedField>>): string[] {
  const body = Object.entries(fields).map(([name, { help, standard, flag }]) => {
    const value = flag?.value === undefined ? '' : ` ${flag.value}`;
    return [
      `\`${name}\``,
      flag === undefined ? '' : `\`--${flagName(name, flag)}${value}\``,
      settingText(standard),
      help,
    ];
  });
  return table(['field', 'option', 'default', 'is'], body);
}

/** Limits of requests, and the errors of those that are beyond them. */
const refusals = {
  maxWait: { ...optionFacts.batcher.maxWait, code: 'ERR_DPM_OVERLOADED' },
  deadline: { ...optionFacts.service.deadline, code: 'ERR_DPM_DEADLINE' },
  maxWaitingBytes: { ...optionFacts.batcher.maxWaitingBytes, code: 'ERR_DPM_OVERLOADED' },
  batches: { ...optionFacts.promptBatcher.batches, code: 'ERR_DPM_OVERLOADED' },
  maxWork: { ...optionFacts.batcher.maxWork, code: 'ERR_DPM_ARGUMENT' },
  hostPrograms: { ...optionFacts.batcher.hostPrograms, code: 'ERR_DPM_UNSUPPORTED' },
} as const satisfies Record<string, DescribedOption & { code: DpmErrorCode }>;

function refusalRows(): string[] {
  const body = Object.entries(refusals).map(([name, { help, standard, code }]) => [
    `\`${name}\``,
    standard ?? '',
    help,
    `\`${code}\``,
  ]);
  return table(['option', 'default', 'is', 'refused with'], body);
}

/** Fields that a job has as a request has them. */
const sameAsRequests = [
  ...['model', 'sampler', 'steps', 'first', 'seed', 'unconditionalLabel', 'options', 'dtype'],
  ...['size', 'guidanceRescale', 'longPrompts', 'skippedLayers', 'loras'],
];

type Options = Readonly<Record<string, DescribedOption>>;

/** Options without others, which are told elsewhere. */
function without(others: Options, options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !Object.hasOwn(others, name)));
}

/** Makes every table of options in docs/. */
export function optionTables(): DocumentTable[] {
  return [
    { file: 'docs/serving.md', mark: '<!-- options of a batcher -->', rows: optionRows(optionFacts.batcher) },
    {
      file: 'docs/serving.md',
      mark: '<!-- options of a batcher of prompts -->',
      rows: optionRows(without(optionFacts.batcher, optionFacts.promptBatcher)),
    },
    { file: 'docs/serving.md', mark: '<!-- options of a request -->', rows: optionRows(optionFacts.service) },
    { file: 'docs/serving.md', mark: '<!-- limits of requests -->', rows: refusalRows() },
    { file: 'docs/http.md', mark: '<!-- fields of the configuration -->', rows: settingRows(settingsFields) },
    { file: 'docs/training.md', mark: '<!-- options of training -->', rows: optionRows(optionFacts.training) },
    {
      file: 'docs/text-to-image.md',
      mark: '<!-- options of generate -->',
      rows: optionRows(optionFacts.generation),
    },
    {
      file: 'docs/text-to-image.md',
      mark: '<!-- options of invert -->',
      rows: optionRows(optionFacts.inversion),
    },
    {
      file: 'docs/text-to-image.md',
      mark: '<!-- options of a ControlNet -->',
      rows: optionRows(optionFacts.control),
    },
    {
      file: 'docs/text-to-image.md',
      mark: '<!-- options of a pipeline -->',
      rows: optionRows(without(optionFacts.device, optionFacts.pipeline)),
    },
    { file: 'docs/samplers.md', mark: '<!-- options of samplers -->', rows: samplerRows() },
    { file: 'docs/http.md', mark: '<!-- fields of a request -->', rows: fieldRows(sampleSchema.properties) },
    {
      file: 'docs/jobs.md',
      mark: '<!-- fields of a job -->',
      rows: fieldRows(jobBodySchema.properties, sameAsRequests),
    },
  ];
}

/** A document with the rows below the mark in place of those that it had. */
export function withTable(text: string, { file, mark, rows }: DocumentTable): string {
  const lines = text.split('\n');
  const at = lines.indexOf(mark);
  if (at < 0) throw new Error(`${file} has no ${mark}`);
  const first = lines.findIndex((line, index) => index > at && line.startsWith('|'));
  // The table of another mark would be overwritten.
  if (first !== at + 2) throw new Error(`${file} has no table below ${mark}`);
  const old = lines.slice(first).findIndex((line) => !line.startsWith('|'));
  lines.splice(first, old, ...rows);
  return lines.join('\n');
}
