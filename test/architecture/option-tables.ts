// The tables of options in docs/, made from what the code says of them. `npm run format` writes them (scripts/tables.ts).
import {
  optionFacts,
  samplerNames,
  samplers,
  type DescribedOption,
  type JsonSchema,
  type Option,
  type OptionTable,
} from '../../lib/index.js';
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

/** Fields that a job has as a request has them. */
const sameAsRequests = ['model', 'sampler', 'steps', 'first', 'seed', 'unconditionalLabel', 'options', 'dtype'];

/** Options without those of a device, which are told with devices. */
function withoutDevice(options: Readonly<Record<string, DescribedOption>>): Readonly<Record<string, DescribedOption>> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !Object.hasOwn(optionFacts.device, name)));
}

/** Makes every table of options in docs/. */
export function optionTables(): DocumentTable[] {
  return [
    { file: 'docs/serving.md', mark: '<!-- options of a batcher -->', rows: optionRows(optionFacts.batcher) },
    { file: 'docs/serving.md', mark: '<!-- options of a request -->', rows: optionRows(optionFacts.service) },
    { file: 'docs/training.md', mark: '<!-- options of training -->', rows: optionRows(optionFacts.training) },
    {
      file: 'docs/text-to-image.md',
      mark: '<!-- options of generate -->',
      rows: optionRows(optionFacts.generation),
    },
    {
      file: 'docs/text-to-image.md',
      mark: '<!-- options of a pipeline -->',
      rows: optionRows(withoutDevice(optionFacts.pipeline)),
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
  const old = lines.slice(first).findIndex((line) => !line.startsWith('|'));
  lines.splice(first, old, ...rows);
  return lines.join('\n');
}
